//! What this crate needs of the world, each need a trait that the world implements.

use hv_core::addr::FRAME_WORDS;
pub use hv_core::device::{Fence, Registers};
use hv_core::frames::Frames;
use hv_core::ownership::Ownership;
use hv_core::{Frame, Ipa};

use crate::iommu::HostIommu;

/// There is no RAM of this guest at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRam;

/// The memory of one guest, by the guest's own addresses: its RAM, and what its devices find beside.
pub trait GuestMemory {
    /// The host frame behind the guest's frame at `at`; `None` if that is not wholly RAM of this
    /// guest.
    fn frame_of(&self, at: Ipa) -> Option<Frame>;

    /// The frame of registers that the guest's devices find at the guest's page at `at`: the
    /// host's doorbell where the guest sees its own (`hv_core::layout::V2M_BASE`). That a device of
    /// the guest may reach it must also be said to `Ownership`.
    fn doorbell_at(&self, _at: Ipa) -> Option<Frame> {
        None
    }

    /// The word at `at`, read by one access of eight bytes.
    ///
    /// # Errors
    /// When `at` is not eight-byte aligned RAM of this guest.
    fn load_u64(&self, at: Ipa) -> Result<u64, NotRam>;

    /// Copies the guest's frame at `at` (frame-aligned) out, reading each word once by one access
    /// of eight bytes: the guest may be writing it meanwhile.
    ///
    /// # Errors
    /// When that is not RAM of this guest; `into` is unspecified then.
    fn read_frame(&self, at: Ipa, into: &mut [u64; FRAME_WORDS]) -> Result<(), NotRam>;

    /// Test images only: copies any frame of the machine out, whoever owns it. It is what reading a
    /// table pointer without a check would amount to.
    ///
    /// # Errors
    /// When nothing answers there.
    #[cfg(feature = "guards-out")]
    fn read_any_frame(&self, at: hv_core::Pa, into: &mut [u64; FRAME_WORDS]) -> Result<(), NotRam>;
}

/// The world as one call sees it: handed in each time, so that nothing here holds on to it.
pub struct Host<'a> {
    /// The guest's RAM.
    pub memory: &'a dyn GuestMemory,
    /// Host frames.
    pub frames: &'a dyn Frames,
    /// Whose each frame is, and its pins.
    pub ownership: &'a Ownership<'a>,
    /// The IOMMU behind which the guest's devices stand.
    pub iommu: &'a mut dyn HostIommu,
}
