//! One interrupt, in the distributor or in the SGI_base frame of a redistributor: registers are at the same offsets
//! (IHI 0069, 12.9 and 12.11).

use super::{CTLR_RWP, Fault, GICD_CTLR, GICR_CTLR};
use crate::el1::cores;
use crate::el1::cpu::barrier;
use crate::el1::mmio::Registers;

pub(in crate::el1) const GROUP: u64 = 0x080;
pub(in crate::el1) const SET_ENABLE: u64 = 0x100;
pub(in crate::el1) const CLEAR_ENABLE: u64 = 0x180;
pub(in crate::el1) const SET_PENDING: u64 = 0x200;
pub(in crate::el1) const CLEAR_PENDING: u64 = 0x280;
pub(in crate::el1) const SET_ACTIVE: u64 = 0x300;
pub(in crate::el1) const CLEAR_ACTIVE: u64 = 0x380;
pub(in crate::el1) const PRIORITY: u64 = 0x400;
pub(in crate::el1) const CONFIG: u64 = 0xc00;
pub(in crate::el1) const ROUTER: u64 = 0x6000;

/// `GICR_CTLR.RWP`.
pub(super) const GICR_RWP: u32 = 1 << 3;

/// What makes 32 interrupts idle, disabled, of Group 1.
pub(super) const IDLE: [(u64, u32); 4] = [
    (CLEAR_ENABLE, u32::MAX),
    (CLEAR_PENDING, u32::MAX),
    (CLEAR_ACTIVE, u32::MAX),
    (GROUP, u32::MAX),
];

/// One interrupt.
#[derive(Clone, Copy)]
pub(in crate::el1) struct Line {
    frame: Registers,
    intid: u32,
    /// The register that says that a change has not yet reached all, and its bit.
    control: (Registers, u32),
}

/// An interrupt; a private one is this core's.
pub(in crate::el1) fn line(intid: u32) -> Line {
    line_of(cores::this(), intid)
}

/// An interrupt; a private one is that core's.
pub(in crate::el1) fn line_of(core: usize, intid: u32) -> Line {
    if intid < 32 {
        Line {
            frame: super::private_frame(core),
            intid,
            control: (super::redistributor(core).at(GICR_CTLR), GICR_RWP),
        }
    } else {
        let distributor = super::distributor();
        Line {
            frame: distributor,
            intid,
            control: (distributor.at(GICD_CTLR), CTLR_RWP),
        }
    }
}

impl Line {
    /// Its number.
    pub(in crate::el1) const fn intid(self) -> u32 {
        self.intid
    }

    fn get(self, base: u64) -> bool {
        self.frame.read32(base + u64::from(self.intid / 32) * 4) >> (self.intid % 32) & 1 != 0
    }

    fn set(self, base: u64) {
        let offset = base + u64::from(self.intid / 32) * 4;
        barrier();
        self.frame.write32(offset, 1 << (self.intid % 32));
        barrier();
    }

    /// Waits until a disabled interrupt is no longer signalled.
    fn settle(self) {
        let (register, bit) = self.control;
        let settled = super::in_time(|| register.read32(0) & bit == 0);
        assert!(settled, "GICD_CTLR.RWP or GICR_CTLR.RWP stays set");
    }

    pub(in crate::el1) fn enable(self) {
        self.set(SET_ENABLE);
    }

    /// Returns when it is no longer signalled.
    pub(in crate::el1) fn disable(self) {
        if Fault::NoDisable.is_in() {
            return;
        }
        self.set(CLEAR_ENABLE);
        self.settle();
    }

    /// As both registers have it; `None` if they differ.
    pub(in crate::el1) fn is_enabled(self) -> Option<bool> {
        self.agreed(SET_ENABLE, CLEAR_ENABLE)
    }

    pub(in crate::el1) fn pend(self) {
        self.set(SET_PENDING);
    }

    pub(in crate::el1) fn unpend(self) {
        self.set(CLEAR_PENDING);
    }

    /// As both registers have it; `None` if they differ.
    pub(in crate::el1) fn is_pending(self) -> Option<bool> {
        self.agreed(SET_PENDING, CLEAR_PENDING)
    }

    pub(in crate::el1) fn activate(self) {
        self.set(SET_ACTIVE);
    }

    pub(in crate::el1) fn deactivate(self) {
        self.set(CLEAR_ACTIVE);
    }

    /// As both registers have it; `None` if they differ.
    pub(in crate::el1) fn is_active(self) -> Option<bool> {
        self.agreed(SET_ACTIVE, CLEAR_ACTIVE)
    }

    fn agreed(self, set: u64, clear: u64) -> Option<bool> {
        let value = self.get(set);
        (value == self.get(clear)).then_some(value)
    }

    pub(in crate::el1) fn set_priority(self, priority: u8) {
        if !Fault::NoPriority.is_in() {
            self.frame
                .write8(PRIORITY + u64::from(self.intid), priority);
            barrier();
        }
    }

    pub(in crate::el1) fn priority(self) -> u8 {
        self.frame.read8(PRIORITY + u64::from(self.intid))
    }

    /// Changes its two bits of `ICFGR`. It must be disabled (IHI 0069, `GICD_ICFGR<n>`).
    pub(in crate::el1) fn set_edge(self, edge: bool) {
        let offset = CONFIG + u64::from(self.intid / 16) * 4;
        let bit = 0b10 << (self.intid % 16 * 2);
        let rest = self.frame.read32(offset) & !bit;
        self.frame
            .write32(offset, rest | if edge { bit } else { 0 });
        barrier();
    }

    pub(in crate::el1) fn is_edge(self) -> bool {
        let word = self.frame.read32(CONFIG + u64::from(self.intid / 16) * 4);
        word >> (self.intid % 16 * 2) & 0b10 != 0
    }

    /// Group 1, or Group 0. It must be disabled.
    pub(in crate::el1) fn set_group1(self, on: bool) {
        let offset = GROUP + u64::from(self.intid / 32) * 4;
        let bit = 1 << (self.intid % 32);
        let rest = self.frame.read32(offset) & !bit;
        self.frame.write32(offset, rest | if on { bit } else { 0 });
        barrier();
    }

    pub(in crate::el1) fn is_group1(self) -> bool {
        self.get(GROUP)
    }

    /// `IROUTER`, which only SPIs have.
    pub(in crate::el1) fn set_route(self, value: u64) {
        self.frame
            .write64(ROUTER + 8 * u64::from(self.intid), value);
        barrier();
    }

    /// Routes it to a core.
    pub(in crate::el1) fn send_to(self, core: usize) {
        self.set_route(super::affinity(core));
    }
}
