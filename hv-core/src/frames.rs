//! Frames of host memory: the one seam through which tables, queues and shadow pages are had.

use crate::addr::{FRAME_WORDS, Frame};

#[cfg(any(test, feature = "test-support"))]
pub mod test_arena;

/// Gives and takes zeroed 16 KiB frames of host memory, and reaches their words.
///
/// On the machine this is the allocator plus the linear map; every load and store is one
/// single-copy atomic access of eight bytes, so a table walker sees the old or the new entry, never
/// a mixture (Arm ARM B2.2). It says nothing about *order*: whoever needs a store to be seen by a
/// device before a later register write uses a fence.
///
/// `index` is always below [`FRAME_WORDS`]; an implementation may panic on another one, because
/// only a bug of ours can produce it.
pub trait Frames: Sync {
    /// `2^order` contiguous frames, zeroed, naturally aligned. `None` when memory has run out: an
    /// ordinary event that every caller survives.
    fn allocate_contiguous(&self, order: u32) -> Option<Frame>;

    /// Takes back what [`Frames::allocate_contiguous`] gave, with the same order.
    fn free_contiguous(&self, first: Frame, order: u32);

    /// The word `index` of `frame`.
    fn load(&self, frame: Frame, index: usize) -> u64;

    /// Writes the word `index` of `frame`.
    fn store(&self, frame: Frame, index: usize, value: u64);

    /// One zeroed frame.
    fn allocate(&self) -> Option<Frame> {
        self.allocate_contiguous(0)
    }

    /// Takes back one frame.
    fn free(&self, frame: Frame) {
        self.free_contiguous(frame, 0);
    }

    /// Copies a whole frame out. The machine overrides this with something faster than word by
    /// word through a vtable.
    fn read_all(&self, frame: Frame, into: &mut [u64; FRAME_WORDS]) {
        for (index, word) in into.iter_mut().enumerate() {
            *word = self.load(frame, index);
        }
    }
}
