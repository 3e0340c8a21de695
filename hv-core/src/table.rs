//! One engine for every radix table of this machine: a [`Geometry`] says how an input address is
//! cut up, a [`Format`] says how an entry is written, and everything is done over runs.
//!
//! Each table of up to 16 KiB lies in a frame of its own (with a 4 KiB granule that wastes room and
//! saves a second allocator); a root of several concatenated tables lies in contiguous frames.
//!
//! # Free, valid, tombstone
//!
//! An entry is *free* only when its word is zero, *valid* when [`VALID`] is set, and otherwise a
//! *tombstone*: taken back, but perhaps still in some TLB. A tombstone keeps the rest of the word,
//! so that after the invalidation [`Table::sweep`] still knows which frame the entry named; until
//! then nothing can be mapped over it. That makes the order "clear, invalidate, release" hold
//! without a list on the side, which could run out of memory at the worst moment.

mod edit;
mod geometry;
mod map;
mod read;
mod take;
#[cfg(test)]
mod tests;

pub use geometry::Geometry;
pub use read::{Leaf, Walked};
pub use take::Swept;

use crate::addr::{FRAME_WORDS, Frame, Pa};
use crate::frames::Frames;

/// The bit that makes an entry valid: bit 0 in every format there is (VMSAv8-64: Arm ARM D8.3;
/// DART1 and DART2: dart reference 2.2).
pub const VALID: u64 = 1;

/// What an entry says, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<A> {
    /// Nothing, or a reserved encoding.
    Invalid,
    /// The next table.
    Table(Pa),
    /// Memory: a page at the last level, a block above it.
    Leaf {
        /// Where it begins.
        output: Pa,
        /// What may be done with it.
        attributes: A,
    },
}

/// How entries are written.
pub trait Format: Copy {
    /// What a leaf says beside its address.
    type Attributes: Copy + PartialEq + core::fmt::Debug;

    /// The entry that points at the table at `next`.
    fn table(&self, next: Pa) -> u64;

    /// The entry for memory at `output`; `last` at the last level (a page), else a block.
    fn leaf(&self, output: Pa, attributes: Self::Attributes, last: bool) -> u64;

    /// Takes a word of a level apart.
    fn decode(&self, word: u64, last: bool) -> Entry<Self::Attributes>;

    /// May a leaf above the last level cover `2^shift` bytes?
    fn allows_block(&self, shift: u32) -> bool;
}

/// Told when entries have changed, so that no TLB keeps what they said before.
pub trait Tlb {
    /// Makes every earlier store to the table visible to walkers, forgets all translations of
    /// `bytes` bytes from input address `input` on (leaves and cached table pointers alike), and
    /// returns when that is complete.
    fn flush(&mut self, input: u64, bytes: u64);
}

/// A stretch of input addresses and the equally long stretch of memory they lead to. All three
/// numbers are multiples of the page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First input address.
    pub input: u64,
    /// Where it leads.
    pub output: Pa,
    /// How long it is.
    pub bytes: u64,
}

/// Why [`Table::map`] stopped. What lay before the stop is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// The run is not page-aligned, wraps round, or leaves the input range.
    BadRun,
    /// No frame for a table; `mapped` bytes from the start of the run are mapped.
    NoFrames {
        /// Bytes that are mapped.
        mapped: u64,
    },
    /// Something is mapped there, or was and has not been swept; `mapped` bytes before it are
    /// mapped. To replace a mapping, remove it first.
    Occupied {
        /// Bytes that are mapped.
        mapped: u64,
    },
}

/// Why an edit of existing entries was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The run is not page-aligned, wraps round, or leaves the input range.
    BadRun,
    /// A block had to be split and no frame was to be had. Nothing is changed.
    NoFrames,
    /// The run cuts through a block, and this operation does not split.
    Block,
}

/// A table: its root, and how to read it. The frames behind it are owned, but are given back only
/// by [`Table::free_all`], which is the caller's to call when nobody walks the table any more.
#[derive(Debug)]
pub struct Table<F: Format> {
    geometry: Geometry,
    format: F,
    root: Frame,
}

impl<F: Format> Table<F> {
    /// An empty table; `None` when there is no memory for its root.
    pub fn new<M: Frames + ?Sized>(frames: &M, geometry: Geometry, format: F) -> Option<Self> {
        let root = frames.allocate_contiguous(geometry.root_order())?;
        Some(Self {
            geometry,
            format,
            root,
        })
    }

    /// The first frame of the root.
    pub fn root(&self) -> Frame {
        self.root
    }

    /// How input addresses are cut up.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The format of its entries.
    pub fn format(&self) -> &F {
        &self.format
    }

    /// Does this stretch begin and end on pages, inside the input range?
    fn bounds(&self, input: u64, bytes: u64) -> Option<u64> {
        let page = self.geometry.page_size();
        let past = input.checked_add(bytes)?;
        let aligned = input.is_multiple_of(page) && bytes.is_multiple_of(page);
        (aligned && past <= self.geometry.input_size()).then_some(past)
    }
}

/// The frame and word that hold entry `index` of the table that begins at `table`.
fn place(table: Frame, index: usize) -> (Frame, usize) {
    let frame = Frame::from_number(table.number() + (index / FRAME_WORDS) as u64);
    (frame, index % FRAME_WORDS)
}

fn load<M: Frames + ?Sized>(frames: &M, table: Frame, index: usize) -> u64 {
    let (frame, word) = place(table, index);
    frames.load(frame, word)
}

fn store<M: Frames + ?Sized>(frames: &M, table: Frame, index: usize, value: u64) {
    let (frame, word) = place(table, index);
    frames.store(frame, word, value);
}
