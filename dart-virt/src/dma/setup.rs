//! What a guest's DMA is set up with, and what can go wrong at its ends.

use core::fmt;

use hv_core::ownership::GuestId;

use crate::guards::Guards;
use crate::iommu::AttachError;
use crate::space::Widening;
use crate::variant::Variant;

/// How many host streams a guest may be given. The configuration's parser refuses more.
pub const DEVICES_PER_GUEST: usize = 16;

/// What a guest's DMA is like.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whose it is.
    pub guest: GuestId,
    /// The DART it sees.
    pub variant: &'static Variant,
    /// What happens to leaves that the host cannot express exactly.
    pub widening: Widening,
    /// `false`: the negative control. No shadow is ever installed, every stream stays on an empty
    /// root.
    pub shadow: bool,
    /// Guards in place.
    pub guards: Guards,
}

/// Why a guest's DMA could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// No host memory.
    OutOfMemory,
    /// More devices than [`DEVICES_PER_GUEST`].
    TooManyDevices,
    /// The virtual DART has no such stream.
    NoSuchStream,
    /// This host stream was assigned already.
    Taken,
    /// The host IOMMU refused.
    Iommu(AttachError),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => write!(f, "no memory for the guest's empty DMA table"),
            Self::TooManyDevices => write!(f, "a guest has at most {DEVICES_PER_GUEST} devices"),
            Self::NoSuchStream => write!(f, "the virtual DART has no such stream"),
            Self::Taken => write!(f, "a host stream was assigned twice"),
            Self::Iommu(error) => error.fmt(f),
        }
    }
}

impl From<AttachError> for SetupError {
    fn from(error: AttachError) -> Self {
        Self::Iommu(error)
    }
}

/// An access to the register window that no driver makes: not 32 bits, not aligned, or outside.
///
/// The caller gives the guest an external abort. What real hardware does is not known (dart
/// reference 9, #12); every driver makes aligned 32-bit accesses only, and the emulators that run
/// XNU reject the rest. An abort invents no state, leaks nothing, and shows whoever makes such an
/// access where it was, which a silent zero would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What a shutdown had to leave because the host IOMMU does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Pins that stay: frames that must not change owner.
    pub pins: u64,
    /// Spaces whose tables stay.
    pub spaces: usize,
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pins, spaces } = self;
        write!(
            f,
            "the host IOMMU does not answer; {pins} pages and {spaces} tables stay pinned"
        )
    }
}
