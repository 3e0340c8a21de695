//! What a guest is made from.

use arrayvec::ArrayVec;
use boot::machine::Machine;
use boot::range::PaRange;
use guest_abi::bundle;
use guest_abi::config::{self, GuestConfig, RunConfig};
use hv_core::ownership::{GuestId, Ownership};
use hv_core::pci::Function;

use super::super::platform::Platform;

/// Everything that [`super::load`] needs.
pub(in crate::el2) struct Ingredients {
    pub(in crate::el2) tree: &'static [u8],
    pub(in crate::el2) machine: &'static Machine,
    pub(in crate::el2) run: RunConfig<'static>,
    pub(in crate::el2) files: bundle::Guest<'static>,
    pub(in crate::el2) config: GuestConfig<'static>,
    pub(in crate::el2) id: GuestId,
    pub(in crate::el2) ram: PaRange,
    pub(in crate::el2) ownership: Ownership<'static>,
    pub(in crate::el2) platform: &'static dyn Platform,
}

/// The guest's PCI functions.
pub(in crate::el2) type Routes = ArrayVec<Route, { config::MAX_DEVICES }>;

/// INTIDs of the machine's lines that feed the guest: two timers, four pins, the serial line.
pub(in crate::el2) type Lines = ArrayVec<u32, 7>;

/// One of the guest's PCI functions: the stream of its DART, and the host IOMMU's.
pub(in crate::el2) struct Route {
    pub(super) function: Function,
    pub(super) stream: u8,
    pub(super) host: u32,
}
