//! The guest's RAM as Oche reaches it.

use boot::range::PaRange;
use dart_virt::seams::{GuestMemory, NotRam};
use hv_core::addr::{FRAME_SHIFT, FRAME_WORDS};
use hv_core::arch::aarch64::memory;
use hv_core::layout::V2M_BASE;
use hv_core::{Frame, Ipa, Pa};

#[cfg(feature = "guards-out")]
use {super::super::allocator::FRAMES, hv_core::frames::Frames};

/// One run of the guest's physical addresses and the RAM behind it. Both begin on a frame and are whole frames.
#[derive(Clone, Copy, Debug)]
pub(in crate::el2) struct GuestRam {
    base: Ipa,
    host: PaRange,
    /// What the frame for messages leads to.
    doorbell: Option<Frame>,
}

impl GuestRam {
    /// RAM at `base`, which is `host`.
    pub(in crate::el2) const fn new(base: Ipa, host: PaRange) -> Self {
        Self {
            base,
            host,
            doorbell: None,
        }
    }

    /// The same with a frame for messages, which leads to this doorbell of the machine.
    pub(in crate::el2) const fn with_doorbell(self, doorbell: Option<Frame>) -> Self {
        Self { doorbell, ..self }
    }

    /// Where it is in the machine.
    pub(in crate::el2) const fn host(&self) -> PaRange {
        self.host
    }

    /// Where the guest sees it.
    pub(in crate::el2) const fn base(&self) -> Ipa {
        self.base
    }

    /// The machine's address of `bytes` bytes at `at`, if all of them are RAM.
    pub(in crate::el2) fn host_address(&self, at: Ipa, bytes: u64) -> Option<Pa> {
        let offset = at.offset_from(self.base)?;
        let end = offset.checked_add(bytes)?;
        (end <= self.host.size())
            .then(|| self.host.start().checked_add(offset))
            .flatten()
    }

    /// Copies into it, before the guest runs.
    pub(in crate::el2) fn write(&self, at: Ipa, bytes: &[u8]) -> Option<()> {
        let to = self.host_address(at, bytes.len() as u64)?;
        // SAFETY: the range was checked against guest RAM, which no Rust value occupies.
        unsafe { memory::write_bytes(to, bytes) };
        Some(())
    }
}

impl GuestMemory for GuestRam {
    fn frame_of(&self, at: Ipa) -> Option<Frame> {
        self.host_address(at.frame_base(), 1 << FRAME_SHIFT)
            .map(Frame::containing)
    }

    fn doorbell_at(&self, at: Ipa) -> Option<Frame> {
        self.doorbell.filter(|_| at.frame_base() == V2M_BASE)
    }

    fn load_u64(&self, at: Ipa) -> Result<u64, NotRam> {
        let from = self
            .host_address(at, 8)
            .filter(|pa| pa.get().is_multiple_of(8))
            .ok_or(NotRam)?;
        // SAFETY: an aligned word inside guest RAM, which no Rust value occupies.
        Ok(unsafe { memory::load_word(from) })
    }

    fn read_frame(&self, at: Ipa, into: &mut [u64; FRAME_WORDS]) -> Result<(), NotRam> {
        let from = self
            .host_address(at, 1 << FRAME_SHIFT)
            .filter(|pa| pa.is_frame_aligned())
            .ok_or(NotRam)?;
        // SAFETY: a whole frame of guest RAM, which no Rust value occupies.
        unsafe { memory::read_frame(Frame::containing(from), into) };
        Ok(())
    }

    #[cfg(feature = "guards-out")]
    fn read_any_frame(&self, at: Pa, into: &mut [u64; FRAME_WORDS]) -> Result<(), NotRam> {
        let frame = Frame::containing(at);
        if !at.is_frame_aligned() || !FRAMES.holds(frame) {
            return Err(NotRam);
        }
        FRAMES.read_all(frame, into);
        Ok(())
    }
}
