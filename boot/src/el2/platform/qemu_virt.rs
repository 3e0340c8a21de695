//! QEMU's `virt`: firmware is QEMU itself, which answers PSCI for a hypervisor at EL2.

use boot::machine::Conduit;
use guest_abi::config::Delivery;
use hv_core::Pa;
use hv_core::arch::aarch64::barrier;
use log::warn;
use smccc::{Call, Hvc, Smc, psci};

use super::{Platform, StartRefused};

/// `-M virt`, its PSCI reached as the device tree says.
pub(in crate::el2) struct QemuVirt {
    conduit: Conduit,
}

impl QemuVirt {
    /// The conduit is the device tree's `method`.
    pub(in crate::el2) const fn new(conduit: Conduit) -> Self {
        Self { conduit }
    }
}

fn start<C: Call>(affinity: u64, entry: Pa, context: Pa) -> Result<(), StartRefused> {
    psci::cpu_on::<C>(affinity, entry.get(), context.get()).map_err(|error| {
        warn!("PSCI CPU_ON of core {affinity:#x}: {error}");
        StartRefused
    })
}

impl Platform for QemuVirt {
    fn name(&self) -> &'static str {
        "qemu-virt"
    }

    fn start_core(&self, affinity: u64, entry: Pa, context: Pa) -> Result<(), StartRefused> {
        match self.conduit {
            Conduit::Smc => start::<Smc>(affinity, entry, context),
            Conduit::Hvc => start::<Hvc>(affinity, entry, context),
        }
    }

    fn interrupts(&self) -> Delivery {
        Delivery::Hardware
    }

    fn reset(&self) -> ! {
        let _ = match self.conduit {
            Conduit::Smc => psci::system_reset::<Smc>(),
            Conduit::Hvc => psci::system_reset::<Hvc>(),
        };
        barrier::halt()
    }

    fn power_off(&self) -> ! {
        let _ = match self.conduit {
            Conduit::Smc => psci::system_off::<Smc>(),
            Conduit::Hvc => psci::system_off::<Hvc>(),
        };
        barrier::halt()
    }
}
