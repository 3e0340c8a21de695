//! QEMU's `virt`: firmware is QEMU itself, which answers PSCI for a hypervisor at EL2.

use boot::machine::Conduit;
use hv_core::Pa;
use hv_core::arch::aarch64::{barrier, core as cpu};
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

/// How long a core may still be on its way off, in microseconds: its vCPU counts as off from the moment it asked, and
/// the firmware takes a little longer. Past it the guest is told that the core did not start.
const OFF_WITHIN: u64 = 1_000_000;

fn start<C: Call>(affinity: u64, entry: Pa, context: Pa) -> Result<(), StartRefused> {
    let since = cpu::ticks();
    loop {
        let on_its_way_off = match psci::cpu_on::<C>(affinity, entry.get(), context.get()) {
            Ok(()) => return Ok(()),
            Err(psci::Error::AlreadyOn) => {
                cpu::microseconds(cpu::ticks().saturating_sub(since)) < OFF_WITHIN
            }
            Err(error) => {
                warn!("PSCI CPU_ON of core {affinity:#x}: {error}");
                false
            }
        };
        if !on_its_way_off {
            return Err(StartRefused);
        }
        core::hint::spin_loop();
    }
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

    fn stop_core(&self) -> ! {
        let _ = match self.conduit {
            Conduit::Smc => psci::cpu_off::<Smc>(),
            Conduit::Hvc => psci::cpu_off::<Hvc>(),
        };
        barrier::halt() // a refused CPU_OFF leaves the core asleep in Oche, which is as good
    }

    fn power_off(&self) -> ! {
        let _ = match self.conduit {
            Conduit::Smc => psci::system_off::<Smc>(),
            Conduit::Hvc => psci::system_off::<Hvc>(),
        };
        barrier::halt()
    }
}
