//! Locks on the way down: the core that failed may hold any of them.

use hv_core::arch::aarch64::core as cpu;
use spin::{Mutex, MutexGuard};

/// How long another core may go on holding a lock, in microseconds.
const GIVE_BACK_WITHIN: u64 = 10_000;

/// What is behind a lock, for the report of a failure and what leads to it: waits for a holder that goes on, and takes
/// the lock from one that does not. `None` if yet another core was quicker.
pub(in crate::el2) fn reach<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let since = cpu::ticks();
    while cpu::microseconds(cpu::ticks().saturating_sub(since)) < GIVE_BACK_WITHIN {
        if let Some(guard) = lock.try_lock() {
            return Some(guard);
        }
        core::hint::spin_loop();
    }
    // SAFETY: who still holds it has failed or will be stopped, so the value stays as it is; callers read plain numbers
    // of it, or clear words that are memory and not Rust values. Power-off follows.
    unsafe { lock.force_unlock() };
    lock.try_lock()
}
