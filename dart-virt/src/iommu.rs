//! The seam to the host's IOMMUs.
//!
//! A *context* is what the host's IOMMU calls a translation regime: a root, with a tag under which
//! translations are cached. The driver owns the tags. Any number of streams may be attached to one
//! context, so one invalidation covers all of them; a space is one context on each host IOMMU that
//! its streams stand behind.

use core::fmt;

use hv_core::table::Geometry;
use hv_core::{Frame, Iova};

mod host_format;
pub mod smmuv3;

pub use host_format::{Expressed, HostAttributes, HostFormat, Memory};

/// A stream of a host IOMMU, by the number that the host's device tree gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostStream(pub u32);

/// A context, by the driver's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextId(pub u16);

/// The host IOMMU did not answer within its bound. What was asked for may or may not have happened:
/// nothing may be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hung;

/// Why a context or an attachment could not be had. Nothing has changed then, but for `Hung`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// No host memory for the IOMMU's own tables.
    OutOfMemory,
    /// No context left.
    NoContext,
    /// The IOMMU has no such stream.
    NoSuchStream,
    /// The IOMMU cannot walk tables of this shape.
    Unsupported,
    /// It does not answer.
    Hung,
}

impl From<Hung> for AttachError {
    fn from(_: Hung) -> Self {
        Self::Hung
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfMemory => "no memory for the host IOMMU's own tables",
            Self::NoContext => "the host IOMMU has no context left",
            Self::NoSuchStream => "the host IOMMU has no such stream",
            Self::Unsupported => "the host IOMMU cannot walk tables of this shape",
            Self::Hung => "the host IOMMU does not answer",
        })
    }
}

/// Host entries that were cleared in memory but may still be in a TLB.
#[must_use = "a device may still reach the frames behind these entries"]
#[derive(Debug, PartialEq, Eq)]
pub struct Stale {
    first: u64,
    past: u64,
    tables: bool,
}

impl Stale {
    /// Leaves in this stretch, or with `tables` also pointers to tables that lead there.
    pub fn new(first: Iova, bytes: u64, tables: bool) -> Self {
        Self {
            first: first.get(),
            past: first.get().saturating_add(bytes),
            tables,
        }
    }

    /// Both.
    pub fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            past: self.past.max(other.past),
            tables: self.tables || other.tables,
        }
    }

    /// The first address concerned.
    pub fn first(&self) -> Iova {
        Iova::new(self.first)
    }

    /// How many bytes from there on.
    pub fn bytes(&self) -> u64 {
        self.past.saturating_sub(self.first)
    }

    /// Are pointers to tables among the entries?
    pub fn tables(&self) -> bool {
        self.tables
    }
}

/// Proof that the host IOMMU has forgotten what was stale: what it led to may be released.
#[derive(Debug)]
pub struct Quiet(());

impl Quiet {
    /// For drivers only, after the IOMMU has confirmed.
    pub(crate) fn confirmed() -> Self {
        Self(())
    }
}

/// Why a device's access was stopped by the host IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFaultKind {
    /// No valid entry.
    Translation,
    /// The entry forbids it.
    Permission,
    /// An address was too wide.
    AddressSize,
    /// The stream is not set up: nobody was given it, or it was taken away.
    NoStream,
    /// Anything else, by the host IOMMU's own number.
    Other(u8),
}

/// A device's access that the host IOMMU stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFault {
    /// Whose.
    pub stream: HostStream,
    /// Where.
    pub iova: Iova,
    /// A write, else a read.
    pub write: bool,
    /// Why.
    pub kind: HostFaultKind,
}

/// A host IOMMU. Everything is denied until a stream is attached.
///
/// Every method is bounded in time. Stores that the caller made to tables before a call are visible
/// to the IOMMU's walker when the call takes effect.
pub trait HostIommu: Send {
    /// How it wants its entries written, and so which accesses it can express.
    fn format(&self) -> HostFormat;

    /// A context that walks the table at `root`, cut up as `geometry` says.
    ///
    /// # Errors
    /// When there is none left, or it cannot walk such a table.
    fn open(&mut self, root: Frame, geometry: &Geometry) -> Result<ContextId, AttachError>;

    /// Points `stream` at a context. When it returns, no access of the stream goes through the
    /// context it was attached to before; an access in between is denied.
    ///
    /// # Errors
    /// With `Hung` the stream is denied as far as memory goes, and what it was attached to must not
    /// be released.
    fn attach(&mut self, stream: HostStream, context: ContextId) -> Result<(), AttachError>;

    /// Denies `stream` everything.
    ///
    /// # Errors
    /// As for `attach`.
    fn deny(&mut self, stream: HostStream) -> Result<(), Hung>;

    /// Forgets what is stale in `context`, for all streams attached to it.
    ///
    /// # Errors
    /// When the IOMMU does not answer; what was stale still is.
    fn invalidate(&mut self, context: ContextId, stale: Stale) -> Result<Quiet, Stale>;

    /// Entries were added to the tables of `context`: when this returns, devices find them.
    ///
    /// What was never there need not be forgotten by an IOMMU that caches no invalid entries; then
    /// a fence is all. Whoever drives one that may cache them (dart reference 9, #8) invalidates.
    fn publish(&mut self, context: ContextId);

    /// Gives a context back to which no stream is attached any more, and forgets everything under
    /// its tag.
    ///
    /// # Errors
    /// When the IOMMU does not answer; the context then stays in use for ever, and so must its
    /// tables.
    fn close(&mut self, context: ContextId) -> Result<Quiet, Hung>;

    /// The oldest fault not yet reported.
    fn next_fault(&mut self) -> Option<HostFault>;

    /// How often faults were lost because the IOMMU had no room to report them, as far as
    /// [`HostIommu::next_fault`] has noticed. Each time may stand for any number of faults.
    fn lost(&self) -> u64;

    /// Test images only: lets `stream` reach all memory.
    ///
    /// # Errors
    /// As for `attach`.
    #[cfg(feature = "guards-out")]
    fn bypass(&mut self, stream: HostStream) -> Result<(), AttachError>;
}
