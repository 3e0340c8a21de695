//! Calls to the firmware, which under Oche is Oche (Arm DEN 0022).

use core::arch::asm;

pub(super) const VERSION: u32 = 0x8400_0000;
pub(super) const CPU_OFF: u32 = 0x8400_0002;
pub(super) const CPU_ON: u32 = 0xc400_0003;
pub(super) const AFFINITY_INFO: u32 = 0xc400_0004;
pub(super) const SYSTEM_OFF: u32 = 0x8400_0008;
pub(super) const SYSTEM_RESET: u32 = 0x8400_0009;
pub(super) const FEATURES: u32 = 0x8400_000a;

pub(super) const SUCCESS: i32 = 0;
pub(super) const NOT_SUPPORTED: i32 = -1;
pub(super) const INVALID_PARAMETERS: i32 = -2;
pub(super) const ALREADY_ON: i32 = -4;

macro_rules! conduit {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        #[expect(clippy::cast_possible_truncation, reason = "error codes are 32 bits")]
        pub(super) fn $name(function: u32, arguments: [u64; 3]) -> i32 {
            let [x1, x2, x3] = arguments;
            let result: u64;
            // SAFETY: the callee keeps to SMCCC 1.0 (DEN 0028): it changes x0 to x17 and no memory
            // but what the call is about.
            unsafe {
                asm!($instruction,
                    inout("x0") u64::from(function) => result,
                    inout("x1") x1 => _, inout("x2") x2 => _, inout("x3") x3 => _,
                    out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _,
                    out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _,
                    out("x15") _, out("x16") _, out("x17") _, options(nostack));
            }
            result as i32
        }
    };
}

conduit!(
    /// With `hvc`, which the device tree names.
    call, "hvc #0");
conduit!(
    /// With `smc`, which Oche answers too.
    call_smc, "smc #0");

/// Ends everything.
pub(super) fn system_off() -> ! {
    call(SYSTEM_OFF, [0; 3]);
    // It does not come back; if it does, there is nothing better to do.
    loop {
        core::hint::spin_loop();
    }
}
