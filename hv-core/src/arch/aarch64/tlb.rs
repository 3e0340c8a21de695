//! Invalidation of stage-2 translations.

use core::arch::asm;

use crate::addr::Ipa;

use super::barrier;

/// Every stage-1 and stage-2 translation of the VMID that `VTTBR_EL2` holds, on every core; returns when it is done.
pub fn invalidate_guest() {
    barrier::dsb_ish();
    // SAFETY: dropping translations of a guest; Oche's own are not tagged with a VMID.
    unsafe { asm!("tlbi vmalls12e1is", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}

/// Every translation of every guest, on every core; returns when it is done.
pub fn invalidate_all_guests() {
    barrier::dsb_ish();
    // SAFETY: as above.
    unsafe { asm!("tlbi alle1is", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}

/// The same, on this core alone: what may be left from before a guest's first entry on it.
pub fn invalidate_guest_here() {
    // SAFETY: as above.
    unsafe {
        asm!(
            "tlbi vmalls12e1",
            "dsb nsh",
            "isb",
            options(nostack, preserves_flags)
        )
    };
}

/// The translations of `bytes` bytes from `from`, on every core; returns when it is done. Past
/// [`RANGE_LIMIT`] pages all of the guest's are dropped instead.
pub fn invalidate_guest_range(from: Ipa, bytes: u64, granule: u64) {
    if bytes / granule > RANGE_LIMIT {
        return invalidate_guest();
    }
    barrier::dsb_ish();
    let end = from.get().saturating_add(bytes);
    let mut at = from.get();
    while at < end {
        // SAFETY: as above. The operand is IPA[51:12] (Arm ARM, TLBI IPAS2E1IS).
        unsafe { asm!("tlbi ipas2e1is, {}", in(reg) at >> 12, options(nostack, preserves_flags)) };
        at = at.saturating_add(granule);
    }
    barrier::dsb_ish();
    // Combined stage-1 and stage-2 entries are tagged by virtual address, which nobody knows here.
    // SAFETY: as above.
    unsafe { asm!("tlbi vmalle1is", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}

/// How many single-page invalidations are worth more than dropping everything.
pub const RANGE_LIMIT: u64 = 64;
