//! The timers of EL1 (Arm ARM D12), of the core that calls.

use core::arch::asm;

use super::cpu::{read_register, ticks};
use super::gic::Fault;

/// A timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// `CNTV_*_EL0`
    Virtual,
    /// `CNTP_*_EL0`
    Physical,
}

/// `CNTx_CTL_EL0`.
pub(super) const ENABLE: u64 = 1 << 0;
pub(super) const MASKED: u64 = 1 << 1;
pub(super) const DUE: u64 = 1 << 2;

macro_rules! write_either {
    ($timer:expr, $virtual:literal, $physical:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: a timer's register, which touches no memory.
        unsafe {
            match $timer {
                Timer::Virtual => {
                    asm!(concat!("msr ", $virtual, ", {0}"), "isb", in(reg) value, options(nostack));
                }
                Timer::Physical => {
                    asm!(concat!("msr ", $physical, ", {0}"), "isb", in(reg) value, options(nostack));
                }
            }
        }
    }};
}

impl Timer {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Virtual, Self::Physical];

    /// Its PPI (Arm BSA, PPI assignments).
    pub(super) const fn intid(self) -> u32 {
        match self {
            Self::Virtual => 27,
            Self::Physical => 30,
        }
    }

    /// The counter that it compares with.
    pub(super) fn now(self) -> u64 {
        match self {
            Self::Virtual => ticks(),
            Self::Physical => {
                // SAFETY: a barrier, so that the counter is not read early.
                unsafe { asm!("isb", options(nostack, preserves_flags)) };
                read_register!("cntpct_el0")
            }
        }
    }

    /// `CNTx_CVAL_EL0`.
    pub(super) fn set_compare(self, value: u64) {
        write_either!(self, "cntv_cval_el0", "cntp_cval_el0", value);
    }

    pub(super) fn compare(self) -> u64 {
        match self {
            Self::Virtual => read_register!("cntv_cval_el0"),
            Self::Physical => read_register!("cntp_cval_el0"),
        }
    }

    /// `CNTx_TVAL_EL0`.
    pub(super) fn set_distance(self, value: i32) {
        let bits = u64::from(value.cast_unsigned());
        write_either!(self, "cntv_tval_el0", "cntp_tval_el0", bits);
    }

    pub(super) fn distance(self) -> i32 {
        // SAFETY: a barrier, so that the counter is not read early.
        unsafe { asm!("isb", options(nostack, preserves_flags)) };
        let value = match self {
            Self::Virtual => read_register!("cntv_tval_el0"),
            Self::Physical => read_register!("cntp_tval_el0"),
        };
        #[expect(clippy::cast_possible_truncation, reason = "the register has 32 bits")]
        let value = value as u32;
        value.cast_signed()
    }

    /// `CNTx_CTL_EL0`.
    pub(super) fn set_control(self, value: u64) {
        write_either!(self, "cntv_ctl_el0", "cntp_ctl_el0", value);
    }

    pub(super) fn control(self) -> u64 {
        // SAFETY: a barrier, so that the timer is not asked early.
        unsafe { asm!("isb", options(nostack, preserves_flags)) };
        match self {
            Self::Virtual => read_register!("cntv_ctl_el0"),
            Self::Physical => read_register!("cntp_ctl_el0"),
        }
    }

    /// `ISTATUS`.
    pub(super) fn is_due(self) -> bool {
        self.control() & DUE != 0
    }

    /// Fires when the counter gets to `compare`.
    pub(super) fn start(self, compare: u64) {
        self.set_compare(compare);
        self.set_control(ENABLE);
    }

    /// Off.
    pub(super) fn stop(self) {
        if !Fault::NoStop.is_in() {
            self.silence();
        }
    }

    /// Off, whatever the driver does wrong.
    pub(super) fn silence(self) {
        self.set_control(0);
    }
}

/// So many microseconds as ticks of the counters.
pub(super) fn microseconds(us: u64) -> u64 {
    read_register!("cntfrq_el0") / 1000 * us / 1000
}
