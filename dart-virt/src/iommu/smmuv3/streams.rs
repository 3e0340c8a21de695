//! The stream table (IHI 0070 3.3.1, 5.2): two levels where the SMMU offers them, so that 65536
//! stream numbers do not cost 4 MiB; else one level, sized to what it has, within reason.

use hv_core::Frame;
use hv_core::addr::FRAME_WORDS;
use hv_core::frames::Frames;

use super::Io;
use super::spec::{ENTRY_WORDS, Identity, STREAM_VALID};
use crate::iommu::{AttachError, HostStream};

/// log2 of the entries in a second-level table: 256 fill a frame (`STRTAB_BASE_CFG.SPLIT` = 8).
const SPLIT: u32 = 8;
/// Stream number bits that a first level in one frame covers. Streams above are denied by the SMMU.
const TWO_LEVEL_BITS: u32 = SPLIT + 11;
/// Stream number bits that a one-level table covers at most (1 MiB). Streams above are denied by
/// the SMMU.
const LINEAR_BITS: u32 = SPLIT + 6;

/// `STRTAB_BASE_CFG.FMT` (6.3.24).
const FORMAT_TWO_LEVEL: u32 = 0b01 << 16;

pub(super) struct StreamTable {
    first: Frame,
    bits: u32,
    two_level: bool,
}

/// Where one stream's entry is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    frame: Frame,
    word: usize,
}

impl Place {
    pub(super) fn store(self, io: &Io<'_>, index: usize, value: u64) {
        io.frames.store(self.frame, self.word + index, value);
    }

    pub(super) fn is_valid(self, io: &Io<'_>) -> bool {
        io.frames.load(self.frame, self.word) & STREAM_VALID != 0
    }
}

impl StreamTable {
    /// A table in which every stream is invalid; `None` when there is no memory.
    pub(super) fn new(frames: &dyn Frames, identity: &Identity) -> Option<Self> {
        // With few streams one frame holds them all and a second level would only cost.
        let two_level = identity.two_level && identity.stream_bits > SPLIT;
        let most = if two_level {
            TWO_LEVEL_BITS
        } else {
            LINEAR_BITS
        };
        let bits = identity.stream_bits.min(most);
        let order = if two_level {
            0
        } else {
            bits.saturating_sub(SPLIT)
        };
        Some(Self {
            first: frames.allocate_contiguous(order)?,
            bits,
            two_level,
        })
    }

    pub(super) fn free(self, frames: &dyn Frames) {
        let order = if self.two_level {
            0
        } else {
            self.bits.saturating_sub(SPLIT)
        };
        frames.free_contiguous(self.first, order);
    }

    /// The values of `STRTAB_BASE` (less its hint) and `STRTAB_BASE_CFG`.
    pub(super) fn registers(&self) -> (u64, u32) {
        let format = if self.two_level {
            FORMAT_TWO_LEVEL | SPLIT << 6
        } else {
            0
        };
        (self.first.base().get(), format | self.bits)
    }

    fn place_in(table: Frame, index: usize) -> Place {
        let word = index * ENTRY_WORDS;
        let frame = Frame::from_number(table.number() + (word / FRAME_WORDS) as u64);
        Place {
            frame,
            word: word % FRAME_WORDS,
        }
    }

    fn split(&self, stream: HostStream) -> Option<(usize, usize)> {
        let number = usize::try_from(stream.0)
            .ok()
            .filter(|number| number >> self.bits == 0)?;
        Some((number >> SPLIT, number & ((1 << SPLIT) - 1)))
    }

    /// The entry of `stream`, if it has memory.
    pub(super) fn existing(&self, io: &Io<'_>, stream: HostStream) -> Option<Place> {
        let (high, low) = self.split(stream)?;
        if !self.two_level {
            return Some(Self::place_in(self.first, (high << SPLIT) + low));
        }
        let word = io.frames.load(self.first, high);
        let table = hv_core::Pa::new(word & 0x000f_ffff_ffff_ffc0);
        (word != 0).then(|| Self::place_in(Frame::containing(table), low))
    }

    /// The entry of `stream`, given memory if it has none.
    pub(super) fn place(&self, io: &Io<'_>, stream: HostStream) -> Result<Place, AttachError> {
        let (high, _) = self.split(stream).ok_or(AttachError::NoSuchStream)?;
        if let Some(place) = self.existing(io, stream) {
            return Ok(place);
        }
        let table = io.frames.allocate().ok_or(AttachError::OutOfMemory)?;
        // Span = SPLIT + 1: the table has 2^(Span - 1) entries (5.1).
        io.fence.stores();
        io.frames
            .store(self.first, high, table.base().get() | u64::from(SPLIT + 1));
        self.existing(io, stream).ok_or(AttachError::NoSuchStream)
    }
}
