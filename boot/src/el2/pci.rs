//! Configuration space of the machine's PCI bus 0, through ECAM.

use boot::machine::Machine;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::pci::{self, ConfigSpace, Function};
use log::info;

/// ECAM: 4 KiB per function (PCI Express base specification, 7.2.2).
pub(super) struct Ecam(pub(super) Mmio);

impl Ecam {
    fn at(function: Function, offset: u16) -> u64 {
        function.ecam_offset() + u64::from(offset & 0xffc)
    }
}

impl ConfigSpace for Ecam {
    fn read32(&self, function: Function, offset: u16) -> u32 {
        self.0.read32(Self::at(function, offset))
    }

    fn write32(&self, function: Function, offset: u16, value: u32) {
        self.0.write32(Self::at(function, offset), value);
    }
}

/// The ECAM of the machine's first bus.
pub(super) fn ecam(machine: &Machine) -> Ecam {
    // SAFETY: the device tree's ECAM, mapped by `map_devices`; configuration space is no memory of ours.
    Ecam(unsafe { Mmio::new(machine.pci.ecam.start(), hv_core::layout::ECAM_SIZE) })
}

/// What stands on the bus, every function silent and its BARs placed.
pub(super) fn scan(machine: &Machine, config_space: &Ecam) -> pci::Bus {
    let bus = pci::enumerate(config_space, &machine.pci.windows);
    for found in &bus.functions {
        info!(
            "PCI {}: device {:08x}, class {:06x}",
            found.function,
            found.identity.device,
            found.identity.class >> 8
        );
    }
    if bus.bridges + bus.left_out + bus.bars_unplaced > 0 {
        info!(
            "PCI: {} bridges not descended, {} functions and {} BARs left out",
            bus.bridges, bus.left_out, bus.bars_unplaced
        );
    }
    bus
}
