//! What a guest is made from.

use boot::machine::Machine;
use boot::range::PaRange;
use guest_abi::bundle;
use guest_abi::config::{GuestConfig, RunConfig};
use hv_core::ownership::{GuestId, Ownership};
use hv_core::pci::Function;

use super::super::platform::Platform;

/// Everything that [`super::load`] needs.
pub(in crate::el2) struct Ingredients<'a> {
    pub(in crate::el2) tree: &'static [u8],
    pub(in crate::el2) machine: &'a Machine,
    pub(in crate::el2) run: &'a RunConfig<'a>,
    pub(in crate::el2) files: bundle::Guest<'a>,
    pub(in crate::el2) config: &'a GuestConfig<'a>,
    pub(in crate::el2) id: GuestId,
    pub(in crate::el2) ram: PaRange,
    pub(in crate::el2) ownership: Ownership<'static>,
    pub(in crate::el2) platform: &'static dyn Platform,
}

/// One of the guest's PCI functions: the stream of its DART, and the host IOMMU's.
pub(super) struct Route {
    pub(super) function: Function,
    pub(super) stream: u8,
    pub(super) host: u32,
}
