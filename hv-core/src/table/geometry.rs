//! How an input address is cut into table indices.

use crate::addr::FRAME_SHIFT;

/// The most levels a table has here (four with a 4 KiB granule).
pub(super) const MAX_DEPTH: usize = 4;

/// How many tables of a VMSAv8-64 stage 2 root may lie side by side, as a power of two
/// (Arm ARM D8.2, concatenated translation tables: up to 16).
const MAX_CONCATENATION: u32 = 4;

/// How an input address is cut up: the page offset, then index bits per level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    granule_shift: u32,
    bits: [u32; MAX_DEPTH],
    depth: usize,
}

impl Geometry {
    /// Pages of `2^granule_shift` bytes; `bits` index bits per level, the top level first. `None`
    /// for what no table can be: a granule other than 4 or 16 KiB, no level or too many, a level
    /// wider than one table (the top level: than 16 concatenated ones).
    pub const fn new(granule_shift: u32, bits: &[u32]) -> Option<Self> {
        if !(granule_shift == 12 || granule_shift == FRAME_SHIFT) {
            return None;
        }
        if bits.is_empty() || bits.len() > MAX_DEPTH {
            return None;
        }
        let full = granule_shift - 3;
        let mut own = [0; MAX_DEPTH];
        let mut level = 0;
        while level < bits.len() {
            let most = if level == 0 {
                full + MAX_CONCATENATION
            } else {
                full
            };
            if bits[level] == 0 || bits[level] > most {
                return None;
            }
            own[level] = bits[level];
            level += 1;
        }
        Some(Self {
            granule_shift,
            bits: own,
            depth: bits.len(),
        })
    }

    /// log2 of the page size.
    pub const fn granule_shift(&self) -> u32 {
        self.granule_shift
    }

    /// Bytes in a page.
    pub const fn page_size(&self) -> u64 {
        1 << self.granule_shift
    }

    /// How many levels there are.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// Is this the level of pages?
    pub const fn is_last(&self, level: usize) -> bool {
        level + 1 == self.depth
    }

    /// Bits of input address.
    pub const fn input_bits(&self) -> u32 {
        self.shift(0) + self.bits[0]
    }

    /// The first input address past the range.
    pub const fn input_size(&self) -> u64 {
        1 << self.input_bits()
    }

    /// Entries of a table at `level` (of the whole root, at level 0).
    pub const fn entries(&self, level: usize) -> usize {
        1 << self.bits[level]
    }

    /// log2 of what one entry at `level` covers.
    pub const fn shift(&self, level: usize) -> u32 {
        let mut shift = self.granule_shift;
        let mut below = level + 1;
        while below < self.depth {
            shift += self.bits[below];
            below += 1;
        }
        shift
    }

    /// Which entry of its table at `level` leads to `input`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is cut off, the mask would clear"
    )]
    pub const fn index(&self, level: usize, input: u64) -> usize {
        ((input >> self.shift(level)) as usize) & (self.entries(level) - 1)
    }

    /// log2 of the frames that the root takes.
    pub const fn root_order(&self) -> u32 {
        (self.bits[0] + 3).saturating_sub(FRAME_SHIFT)
    }
}
