//! Configuration space of the machine's PCI bus 0, through ECAM.

use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::pci::{ConfigSpace, Function};

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
