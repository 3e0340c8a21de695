//! What a guest is made from.

use arrayvec::ArrayVec;
use boot::machine::{Interrupt, Machine};
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

/// A line of the machine that feeds the guest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::el2) struct ForwardedLine {
    /// The machine's.
    pub(super) machine: Interrupt,
    /// The INTID by which the guest knows it.
    pub(super) intid: u32,
}

/// A pin of a PCI function.
#[derive(Clone, Copy)]
pub(in crate::el2) struct Wire {
    /// 1 to 4 for INTA to INTD.
    pub(super) pin: u8,
    /// What pulling it comes to.
    pub(super) line: ForwardedLine,
}

/// The machine's lines that feed the guest: two timers, four pins.
pub(in crate::el2) type Lines = ArrayVec<ForwardedLine, 6>;

/// One of the guest's PCI functions: the stream of its DART, and the host IOMMU's.
pub(in crate::el2) struct Route {
    /// Where the machine has it.
    pub(super) function: Function,
    /// The pin that it pulls.
    pub(super) wire: Option<Wire>,
    pub(super) stream: u8,
    pub(super) host: u32,
}
