//! Cache maintenance by address.

use core::arch::asm;

use crate::addr::Pa;

use super::{barrier, read_register};

/// Writes the range back to the point of coherency and drops it, so that an observer without caches (a guest
/// whose MMU is off) sees what was written.
pub fn clean_and_invalidate(from: Pa, bytes: u64) {
    let line = 4 << ((read_register!("ctr_el0") >> 16) & 0xf);
    let mut at = from.get() & !(line - 1);
    let end = from.get().saturating_add(bytes);
    while at < end {
        // SAFETY: cleaning a line changes no value that a coherent observer can see; a range that is not mapped
        // would fault, and all callers pass RAM of the linear map.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
        at = at.saturating_add(line);
    }
    barrier::dsb_sy();
}

/// Makes code that was just written visible to instruction fetches of every core.
pub fn invalidate_instructions() {
    // SAFETY: dropping instruction cache lines changes nothing that Rust can see.
    unsafe { asm!("ic ialluis", options(nostack, preserves_flags)) };
    barrier::dsb_ish();
    barrier::isb();
}
