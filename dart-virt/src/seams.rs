//! What this crate needs of the world, each need a trait that the world implements.

use hv_core::addr::FRAME_WORDS;
use hv_core::frames::Frames;
use hv_core::ownership::Ownership;
use hv_core::{Frame, Ipa};

use crate::iommu::HostIommu;

/// There is no RAM of this guest at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRam;

/// The RAM of one guest, by the guest's own addresses.
pub trait GuestMemory {
    /// The host frame behind the guest's frame at `at`; `None` if that is not wholly RAM of this
    /// guest.
    fn frame_of(&self, at: Ipa) -> Option<Frame>;

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

/// The register window of one device. Every access is one load or store of its width.
pub trait Registers: Sync {
    /// Reads 32 bits at `offset` from the window's start.
    fn read32(&self, offset: usize) -> u32;
    /// Writes 32 bits.
    fn write32(&self, offset: usize, value: u32);
    /// Reads 64 bits.
    fn read64(&self, offset: usize) -> u64;
    /// Writes 64 bits.
    fn write64(&self, offset: usize, value: u64);
}

/// The order between memory that a device reads or writes, and its registers.
pub trait Fence: Sync {
    /// Every earlier store to memory is visible to devices before any later store, be it to memory
    /// or to a register (`dsb oshst` or stronger).
    fn stores(&self);
    /// Every earlier load of a register is complete before any later load of memory that the
    /// device wrote (`dmb oshld` or stronger).
    fn loads(&self);
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
