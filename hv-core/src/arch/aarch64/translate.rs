//! Asking the guest's own translation.

use core::arch::asm;

use crate::addr::Ipa;

/// What stage 1 of the guest says of a virtual address, read at EL1: `PAR_EL1`. The guest's own `PAR_EL1` stays as it was.
pub fn stage1(address: u64) -> u64 {
    stage1_for(address, false, false)
}

/// What stage 1 lets an access do: the same for a load or a store, made where the guest is (`el0`). An access that is
/// completed for the guest beyond the byte that trapped has no more rights than the guest's own.
pub fn stage1_for(address: u64, write: bool, el0: bool) -> u64 {
    macro_rules! at {
        ($operation:literal) => {{
            let par: u64;
            // SAFETY: a translation that changes nothing but PAR_EL1, which is put back; a fault of it is reported there.
            unsafe {
                asm!(
                    "mrs {kept}, par_el1",
                    concat!("at ", $operation, ", {address}"),
                    "isb",
                    "mrs {par}, par_el1",
                    "msr par_el1, {kept}",
                    kept = out(reg) _,
                    address = in(reg) address,
                    par = out(reg) par,
                    options(nostack, preserves_flags),
                );
            }
            par
        }};
    }
    match (write, el0) {
        (false, false) => at!("s1e1r"),
        (true, false) => at!("s1e1w"),
        (false, true) => at!("s1e0r"),
        (true, true) => at!("s1e0w"),
    }
}

/// Where `address` leads, by the `PAR_EL1` of its page; `None` if it leads nowhere.
pub const fn output(par: u64, address: u64) -> Option<Ipa> {
    const PAGE: u64 = 0xfff;
    const OUTPUT: u64 = 0x000f_ffff_ffff_f000;
    if par & 1 != 0 {
        return None;
    }
    Some(Ipa::new((par & OUTPUT) | (address & PAGE)))
}
