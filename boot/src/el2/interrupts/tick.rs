//! What Oche looks at periodically, on the first core.

use hv_core::arch::aarch64::{core as cpu, timer};

use super::super::{console, control, guest};

/// How often Oche looks at what has no interrupt of its own.
const TICKS_A_SECOND: u64 = 50;

/// Starts the first tick.
pub(super) fn start() {
    timer::start(cpu::tick_frequency() / TICKS_A_SECOND);
}

/// The time has come; the next one is TICKS_A_SECOND from now.
pub(super) fn tick() {
    start();
    console::receive();
    control::poll();
    // The IOMMU's queue may hold more than one look takes, and speaks up only when it was empty.
    guest::faults();
    if let Some(guest) = guest::current() {
        guest.uart_attend();
    }
}
