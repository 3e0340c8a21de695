//! Why a function is not given to a guest.

use core::fmt;

use super::Function;
use super::bus::Unplaced;

/// Why a function may not be given to any guest. `Display` gives one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unassignable {
    /// Nothing answers at this address.
    NotThere(Function),
    /// It is a bridge.
    Bridge(Function),
    /// It is the host bridge.
    HostBridge(Function),
    /// A virtio device.
    Virtio(Function),
    /// The serial line that Oche is spoken to by.
    OwnSerial(Function),
    /// No IOMMU sees its DMA.
    NoIommu(Function),
    /// It is behind a bridge whose id its accesses may carry.
    Alias {
        /// The function.
        function: Function,
        /// The bridge.
        bridge: Function,
    },
    /// One of its BARs found no place.
    NoPlace {
        /// The function.
        function: Function,
        /// The BAR.
        bar: Unplaced,
    },
}

impl fmt::Display for Unassignable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotThere(function) => write!(
                f,
                "there is no PCI function {function}: see the PCI lines above for what is there"
            ),
            Self::Bridge(function) => write!(
                f,
                "PCI function {function} is a bridge, which Oche keeps: give the guest what is behind it"
            ),
            Self::HostBridge(function) => write!(
                f,
                "PCI function {function} is the host bridge, which Oche keeps: give the guest another one"
            ),
            Self::Virtio(function) => write!(
                f,
                "PCI function {function} is a virtio device, whose DMA no IOMMU need see, \
                 so no guest may have it"
            ),
            Self::OwnSerial(function) => write!(
                f,
                "PCI function {function} is a serial line for Oche itself, so no guest may have it"
            ),
            Self::NoIommu(function) => write!(
                f,
                "no IOMMU sees the DMA of PCI function {function}, so no guest may have it"
            ),
            Self::Alias { function, bridge } => write!(
                f,
                "PCI function {function} is behind the conventional PCI bridge {bridge}, \
                 and the IOMMU cannot tell it from its neighbours there, so no guest may have it"
            ),
            Self::NoPlace { function, bar } => write!(
                f,
                "BAR {} of PCI function {function} has {:#x} bytes, and the host bridge's windows \
                 have {:#x} left for it, so no guest may have the function",
                bar.index, bar.size, bar.room
            ),
        }
    }
}

impl core::error::Error for Unassignable {}
