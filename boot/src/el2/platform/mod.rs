//! What differs between machines. Addresses come from the device tree; what is left is how cores are started and how
//! the machine is switched off.

use guest_abi::config::Delivery;
use hv_core::Pa;

mod qemu_virt;

pub(super) use qemu_virt::QemuVirt;

/// One kind of machine.
pub(super) trait Platform: Sync {
    /// What it is called in the log.
    fn name(&self) -> &'static str;

    /// Starts the core with this affinity at `entry`, MMU off, with `context` in `x0`. It answers before the core runs.
    fn start_core(&self, affinity: u64, entry: Pa, context: Pa) -> Result<(), StartRefused>;

    /// How interrupts reach guests best here.
    fn interrupts(&self) -> Delivery;

    /// Starts the machine anew, from its firmware.
    fn reset(&self) -> !;

    /// Switches the machine off.
    fn power_off(&self) -> !;
}

/// The firmware would not start a core; the log says why.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartRefused;

static CURRENT: spin::Once<QemuVirt> = spin::Once::new();

/// Makes `platform` the machine's.
pub(super) fn install(platform: QemuVirt) -> &'static dyn Platform {
    CURRENT.call_once(|| platform)
}

/// The machine's platform; before it is known, what QEMU would be.
pub(super) fn current() -> &'static dyn Platform {
    CURRENT.call_once(|| QemuVirt::new(boot::machine::Conduit::Smc))
}
