//! Just enough PCI to find an NVMe drive.

use super::machine::Machine;
use super::mmio::Registers;

/// Mass storage, non-volatile memory, NVMe (PCI Code and ID 1.11, 1.2).
const NVME_CLASS: u32 = 0x01_0802;

/// A drive.
pub(super) struct Drive {
    /// Its requester id.
    pub(super) rid: u16,
    /// Its registers.
    pub(super) registers: Registers,
    config: Registers,
}

/// The first drive on the bus, not enabled yet.
pub(super) fn find_drive(machine: &Machine) -> Option<Drive> {
    // SAFETY: the device tree says that configuration space is there.
    let ecam = unsafe { Registers::new(machine.ecam) };
    (0..32u16).map(|device| device << 3).find_map(|rid| {
        let config = ecam.at(u64::from(rid) << 12);
        if config.read32(0) == u32::MAX || config.read32(8) >> 8 != NVME_CLASS {
            return None;
        }
        let mut base = u64::from(config.read32(0x14)) << 32 | u64::from(config.read32(0x10) & !0xf);
        if base == 0 {
            // A bare QEMU leaves this to the operating system.
            base = machine.pci_window;
            config.write32(0x10, u32::try_from(base).ok()?);
        }
        // SAFETY: BAR 0 holds the controller's registers (NVMe base 1.4, 2.1.10).
        let registers = unsafe { Registers::new(base) };
        Some(Drive {
            rid,
            registers,
            config,
        })
    })
}

impl Drive {
    /// One of its capabilities (PCI 6.7).
    pub(super) fn capability(&self, id: u8) -> Option<Registers> {
        let mut at = self.config.read8(0x34) & !3;
        // There is no room for more than 48.
        for _ in 0..48 {
            if at == 0 {
                break;
            }
            let capability = self.config.at(at.into());
            if capability.read8(0) == id {
                return Some(capability);
            }
            at = capability.read8(1) & !3;
        }
        None
    }

    /// Lets it answer at its BAR and master the bus.
    pub(super) fn enable(&self) {
        self.config.write16(4, 0x6);
    }
}
