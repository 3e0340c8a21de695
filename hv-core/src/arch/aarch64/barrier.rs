//! Barriers and hints.

use aarch64_cpu::asm::barrier;

/// Everything before has reached the whole system, devices included.
pub fn dsb_sy() {
    barrier::dsb(barrier::SY);
}

/// Everything before has reached every core, and the walkers of the inner-shareable domain.
pub fn dsb_ish() {
    barrier::dsb(barrier::ISH);
}

/// What follows is fetched anew.
pub fn isb() {
    barrier::isb(barrier::SY);
}

/// Waits until an interrupt is pending, masked or not.
pub fn wait_for_interrupt() {
    aarch64_cpu::asm::wfi();
}

/// Stops this core for good.
pub fn halt() -> ! {
    loop {
        aarch64_cpu::asm::wfi();
    }
}
