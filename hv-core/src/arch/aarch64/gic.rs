//! The GIC's CPU interface as EL2 uses it, and the virtual one that a guest gets (Arm IHI 0069, chapter 12.2 and 12.4).
//!
//! Registers go by their encodings, because an assembler knows them only with the architecture extension switched on.

use super::{barrier, read_register, write_register};
use crate::psci::AFFINITY;
use crate::vgic::{DirTrap, MAX_LIST_REGISTERS};

/// Which of the two interrupt signals an interrupt comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Group 1.
    Irq,
    /// Group 0, where EL2 may have any.
    Fiq,
}

/// INTIDs from here to 1023 say that there is nothing to take.
const SPECIAL: u32 = 1020;
/// The first INTID of a message (LPI).
pub const FIRST_MESSAGE: u32 = 8192;

/// Switches this core's physical CPU interface on: every priority passes, ends of interrupts drop the priority and
/// leave the interrupt active until [`deactivate`] (`ICC_CTLR_EL1.EOImode`). `group0`: EL2 takes FIQs as well.
pub fn start_interface(group0: bool) {
    const SRE: u64 = 0b1111; // system registers, no bypass, EL1 may use its own
    const EOIMODE: u64 = 1 << 1;
    write_register!("s3_4_c12_c9_5", SRE); // ICC_SRE_EL2
    barrier::isb();
    write_register!("s3_0_c4_c6_0", 0xff); // ICC_PMR_EL1
    write_register!("s3_0_c12_c12_3", 0); // ICC_BPR1_EL1
    write_register!("s3_0_c12_c12_4", EOIMODE); // ICC_CTLR_EL1
    write_register!("s3_0_c12_c12_6", u64::from(group0)); // ICC_IGRPEN0_EL1
    write_register!("s3_0_c12_c12_7", 1); // ICC_IGRPEN1_EL1
    barrier::isb();
}

/// Takes the most urgent pending interrupt of this core; `None`: there is none.
#[inline]
pub fn acknowledge(signal: Signal) -> Option<u32> {
    let word = match signal {
        Signal::Irq => read_register!("s3_0_c12_c12_0"), // ICC_IAR1_EL1
        Signal::Fiq => read_register!("s3_0_c12_c8_0"),  // ICC_IAR0_EL1
    };
    let intid = (word & 0xff_ffff) as u32;
    (!(SPECIAL..FIRST_MESSAGE).contains(&intid)).then_some(intid)
}

/// Lets other interrupts come again; the one that was taken stays active.
#[inline]
pub fn drop_priority(signal: Signal, intid: u32) {
    match signal {
        Signal::Irq => write_register!("s3_0_c12_c12_1", u64::from(intid)), // ICC_EOIR1_EL1
        Signal::Fiq => write_register!("s3_0_c12_c8_1", u64::from(intid)),  // ICC_EOIR0_EL1
    }
}

/// Makes an active interrupt inactive, so that it can come again (`ICC_DIR_EL1`). Private ones are this core's.
pub fn deactivate(intid: u32) {
    write_register!("s3_0_c12_c11_1", u64::from(intid));
}

/// Sends software-generated interrupt `intid` (0 to 15) to the core with this affinity.
pub fn send(signal: Signal, intid: u32, affinity: u64) {
    let affinity = affinity & AFFINITY;
    let (low, first) = (affinity & 0xf, (affinity >> 4) & 0xf);
    let value = (((affinity >> 32) & 0xff) << 48)
        | (first << 44)
        | (((affinity >> 16) & 0xff) << 32)
        | (u64::from(intid & 0xf) << 24)
        | (((affinity >> 8) & 0xff) << 16)
        | (1 << low);
    // What was written for the other core to see comes before the interrupt.
    barrier::dsb_sy();
    match signal {
        Signal::Irq => write_register!("s3_0_c12_c11_5", value), // ICC_SGI1R_EL1
        Signal::Fiq => write_register!("s3_0_c12_c11_7", value), // ICC_SGI0R_EL1
    }
    barrier::isb();
}

/// How many list registers this core has.
pub fn list_registers() -> usize {
    let vtr = read_register!("s3_4_c12_c11_1"); // ICH_VTR_EL2
    ((vtr & 0x1f) as usize)
        .saturating_add(1)
        .min(MAX_LIST_REGISTERS)
}

/// Whether `ICC_DIR_EL1` can be trapped alone (`ICH_VTR_EL2.TDS`).
pub fn dir_trap() -> DirTrap {
    match read_register!("s3_4_c12_c11_1") & (1 << 19) {
        0 => DirTrap::Common,
        _ => DirTrap::Own,
    }
}

macro_rules! lists {
    ($($n:literal $name:literal),*) => {
        /// Reads list register `n`.
        pub fn read_list(n: usize) -> u64 {
            match n {
                $( $n => read_register!($name), )*
                _ => 0,
            }
        }

        /// Writes list register `n`; it takes effect at the next entry of the guest.
        pub fn write_list(n: usize, value: u64) {
            match n {
                $( $n => write_register!($name, value), )*
                _ => {}
            }
        }
    };
}

lists!(
    0 "s3_4_c12_c12_0", 1 "s3_4_c12_c12_1", 2 "s3_4_c12_c12_2", 3 "s3_4_c12_c12_3",
    4 "s3_4_c12_c12_4", 5 "s3_4_c12_c12_5", 6 "s3_4_c12_c12_6", 7 "s3_4_c12_c12_7",
    8 "s3_4_c12_c13_0", 9 "s3_4_c12_c13_1", 10 "s3_4_c12_c13_2", 11 "s3_4_c12_c13_3",
    12 "s3_4_c12_c13_4", 13 "s3_4_c12_c13_5", 14 "s3_4_c12_c13_6", 15 "s3_4_c12_c13_7"
);

/// Which list registers hold nothing any more, a bit each (`ICH_ELRSR_EL2`).
pub fn empty_lists() -> u32 {
    (read_register!("s3_4_c12_c11_5") & 0xffff) as u32
}

/// `ICH_HCR_EL2`.
pub fn control() -> u64 {
    read_register!("s3_4_c12_c11_0")
}

/// Writes `ICH_HCR_EL2`.
pub fn set_control(value: u64) {
    write_register!("s3_4_c12_c11_0", value);
}

/// `ICH_VMCR_EL2.VEOIM`: the guest has asked for priority drop and deactivation to be two steps.
pub fn guest_splits_ends() -> bool {
    read_register!("s3_4_c12_c11_7") & (1 << 9) != 0
}

/// The virtual CPU interface of this core as after reset, with nothing in its list registers.
pub fn reset_virtual_interface() {
    set_control(0);
    let vtr = read_register!("s3_4_c12_c11_1");
    write_register!("s3_4_c12_c11_7", 0); // ICH_VMCR_EL2
    // How many words of active priorities there are: 5, 6 or 7 bits of preemption make 1, 2 or 4 (ICH_VTR_EL2.PREbits).
    let bits = (vtr >> 26) & 7;
    write_register!("s3_4_c12_c8_0", 0); // ICH_AP0R0_EL2
    write_register!("s3_4_c12_c9_0", 0); // ICH_AP1R0_EL2
    if bits >= 5 {
        write_register!("s3_4_c12_c8_1", 0);
        write_register!("s3_4_c12_c9_1", 0);
    }
    if bits >= 6 {
        write_register!("s3_4_c12_c8_2", 0);
        write_register!("s3_4_c12_c9_2", 0);
        write_register!("s3_4_c12_c8_3", 0);
        write_register!("s3_4_c12_c9_3", 0);
    }
    for n in 0..list_registers() {
        write_list(n, 0);
    }
    barrier::isb();
}
