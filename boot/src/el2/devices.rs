//! The machine's devices, brought up once: the IOMMU before anything that could make a device master the bus, then the
//! bus, the control line on it, and the ITS.

use alloc::boxed::Box;

use boot::machine::Machine;
use boot::range::PaRange;
use dart_virt::iommu::smmuv3::Smmuv3;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::pci::{Bus, own_serial};
use log::{info, warn};

use super::allocator::FRAMES;
use super::fence::SystemFence;
use super::pci::{Ecam, ecam, scan};
use super::sentence::{Sentence, sentence};
use super::{control, cores, messages};

extern crate alloc;

/// Two register pages of 64 KiB (IHI 0070, 6.1).
const SMMU_WINDOW: u64 = 0x2_0000;

/// What there is to give to guests.
pub(super) struct Devices {
    pub(super) iommu: Smmuv3<'static>,
    pub(super) config_space: Ecam,
    pub(super) found: Bus,
}

/// Brings them up.
pub(super) fn bring_up(machine: &'static Machine) -> Result<Devices, Sentence> {
    if machine.smmu.registers.size() < SMMU_WINDOW {
        return Err(sentence!(
            "the SMMU's registers take {SMMU_WINDOW:#x} bytes, and the device tree gives {:#x}",
            machine.smmu.registers.size()
        ));
    }

    let registers: &'static Mmio = Box::leak(Box::new(
        // SAFETY: the device tree's SMMU, mapped at boot; the driver owns it and keeps its tables to itself.
        unsafe {
            Mmio::new(
                machine.smmu.registers.start(),
                machine.smmu.registers.size(),
            )
        },
    ));
    let top = machine
        .ram
        .iter()
        .map(PaRange::end)
        .max()
        .unwrap_or_default();
    let iommu = Smmuv3::start(registers, &FRAMES, &SystemFence, top)
        .map_err(|error| sentence!("{error}"))?;
    let config_space = ecam(machine);
    let found = scan(machine, &config_space);
    listen(machine, &config_space, &found);
    messages::start(machine, machine.cpus.len().min(cores::MAX_CORES));
    Ok(Devices {
        iommu,
        config_space,
        found,
    })
}

/// Opens the control line, if the machine has one.
fn listen(machine: &Machine, config_space: &Ecam, found: &Bus) {
    let Some(serial) = own_serial(config_space, found, &machine.pci.windows) else {
        return info!("there is no control line");
    };
    // SAFETY: `own_serial` placed the UART's registers there, in the I/O window, which is mapped at boot; the function
    // is Oche's own for good.
    if !unsafe { control::start(serial.registers, machine.cpus.len() as u64) } {
        warn!(
            "PCI {}: no UART answers, so there is no control line",
            serial.function
        );
    }
}
