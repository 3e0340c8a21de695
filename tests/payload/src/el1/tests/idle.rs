//! A guest that never ends by itself.

use core::arch::asm;

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact};
use crate::el1::console::say;

/// Says so, and waits for an interrupt that nothing sends. Not among `all`.
pub(super) fn for_ever(bench: &mut Bench) -> Result<Finding, Failure> {
    fact!(bench, "waits for ever");
    loop {
        // SAFETY: it waits, and changes nothing.
        unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) };
    }
}
