//! What was found on the machine's buses.

use arrayvec::ArrayVec;

use super::isolation::{Isolation, alias_of, group_of};
use super::{Bar, Capabilities, Function, Unassignable};

/// Functions that are kept. One more is silenced like the rest, counted and given to nobody.
pub const MAX_FUNCTIONS: usize = 32;
/// Bridges that are kept. What is behind one more is not reached.
pub const MAX_BRIDGES: usize = 32;
/// Bridges one behind the other. What is behind one more is not reached.
pub const MAX_DEPTH: usize = 8;

/// The bridges above a function, from the root down.
pub type Path = ArrayVec<Function, MAX_DEPTH>;

/// Those words of a header that a guest is shown as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device and vendor.
    pub device: u32,
    /// Class and revision.
    pub class: u32,
    /// Subsystem and its vendor.
    pub subsystem: u32,
}

impl Identity {
    /// The vendor of virtio devices (virtio 1.2, 4.1.2).
    const VIRTIO: u32 = 0x1af4;
    /// The device and vendor of QEMU's `pci-serial`.
    const SERIAL: u32 = 0x0002_1b36;
    /// Base class and subclass of a host bridge (PCI Code and ID 1.11, 1.7).
    const HOST_BRIDGE: u32 = 0x0600;

    /// May the function's DMA go round the IOMMU that the device tree names? A virtio device without
    /// `VIRTIO_F_ACCESS_PLATFORM` does (virtio 1.2, 6.1), and the guest chooses whether to accept that feature.
    pub fn bypasses_iommu(&self) -> bool {
        // Shared memory of QEMU (`ivshmem`) has the same vendor, and does no DMA at all.
        self.device & 0xffff == Self::VIRTIO && self.device >> 16 != 0x1110
    }

    /// Is it a serial line that Oche keeps?
    pub(super) fn is_serial(&self) -> bool {
        self.device == Self::SERIAL
    }

    pub(super) fn is_host_bridge(&self) -> bool {
        self.class >> 16 == Self::HOST_BRIDGE
    }
}

/// A memory BAR for which there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Which of the six words it starts in.
    pub index: u8,
    /// Bytes.
    pub size: u64,
    /// Bytes that were left in the window it could have been in.
    pub room: u64,
}

/// A function that Oche found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFunction {
    /// Its address.
    pub function: Function,
    /// What it is.
    pub identity: Identity,
    /// Its memory BARs that found a place.
    pub bars: ArrayVec<Bar, 6>,
    /// The first one that found none.
    pub unplaced: Option<Unplaced>,
    /// Which of the pins INTA to INTD (1 to 4) it pulls; 0 for none.
    pub pin: u8,
    /// Does its device have other functions?
    pub multifunction: bool,
    /// What it can do.
    pub capabilities: Capabilities,
    /// The bridges above it.
    pub path: Path,
}

impl HostFunction {
    /// The pin of a device on the root bus that the function's pin is, after it went round at each
    /// bridge (PCI-to-PCI Bridge 1.2, 9.1); `None` if it pulls none.
    pub fn root_pin(&self) -> Option<(Function, u8)> {
        let mut pin = self.pin.checked_sub(1).filter(|pin| *pin < 4)?;
        let mut function = self.function;
        for bridge in self.path.iter().rev() {
            pin = (pin + function.device()) % 4;
            function = *bridge;
        }
        Some((function, pin + 1))
    }
}

/// A bridge that Oche found and went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Its address.
    pub function: Function,
    /// The bus behind it.
    pub secondary: u8,
    /// The last bus behind it.
    pub subordinate: u8,
    /// Does it keep what is behind it apart, and how?
    pub(super) isolation: Isolation,
}

/// What is on the buses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bus {
    /// The functions that are no bridges.
    pub functions: ArrayVec<HostFunction, MAX_FUNCTIONS>,
    /// The bridges.
    pub bridges: ArrayVec<Bridge, MAX_BRIDGES>,
    /// Functions beyond [`MAX_FUNCTIONS`].
    pub left_out: usize,
    /// Bridges whose other side is not reached: more than [`MAX_BRIDGES`], deeper than
    /// [`MAX_DEPTH`], or without a bus number left.
    pub unreached: usize,
}

impl Bus {
    /// The function at this address.
    pub fn find(&self, function: Function) -> Option<&HostFunction> {
        self.functions
            .iter()
            .find(|candidate| candidate.function == function)
    }

    /// The bridge at this address.
    pub(super) fn bridge(&self, function: Function) -> Option<&Bridge> {
        self.bridges
            .iter()
            .find(|candidate| candidate.function == function)
    }

    /// The function at this address, if it may be given to a guest. Whether an IOMMU sees its DMA
    /// is for the caller to ask, who knows the machine.
    ///
    /// # Errors
    /// Why it may not.
    pub fn assignable(&self, function: Function) -> Result<&HostFunction, Unassignable> {
        if self.bridge(function).is_some() {
            return Err(Unassignable::Bridge(function));
        }
        let found = self
            .find(function)
            .ok_or(Unassignable::NotThere(function))?;
        if found.identity.is_host_bridge() {
            return Err(Unassignable::HostBridge(function));
        }
        if found.identity.bypasses_iommu() {
            return Err(Unassignable::Virtio(function));
        }
        if found.identity.is_serial() {
            return Err(Unassignable::OwnSerial(function));
        }
        if let Some(bridge) = alias_of(self, found) {
            return Err(Unassignable::Alias { function, bridge });
        }
        if let Some(bar) = found.unplaced {
            return Err(Unassignable::NoPlace { function, bar });
        }
        Ok(found)
    }

    /// The group of a function, named by one address: functions of one group can reach each other
    /// without an IOMMU in between, so that all of them can go to one guest only.
    pub fn group(&self, found: &HostFunction) -> Function {
        group_of(self, found)
    }
}
