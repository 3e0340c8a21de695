//! Changing what is mapped, at any page boundary: blocks are split as needed.

use super::{EditError, Entry, Format, Table, Tlb, load, store};
use crate::addr::{Frame, Pa};
use crate::frames::Frames;

impl<F: Format> Table<F> {
    /// Removes every leaf in the stretch, splitting blocks at its ends, and is done when the TLB is.
    ///
    /// # Errors
    /// When a block had to be split and there was no memory; then everything is still mapped.
    pub fn unmap<M: Frames + ?Sized>(
        &self,
        frames: &M,
        tlb: &mut impl Tlb,
        input: u64,
        bytes: u64,
    ) -> Result<(), EditError> {
        let past = self.bounds(input, bytes).ok_or(EditError::BadRun)?;
        self.split(frames, tlb, input)?;
        self.split(frames, tlb, past)?;
        self.clear(frames, input, bytes)?;
        tlb.flush(input, bytes);
        self.sweep(frames, input, bytes, |_| {})
    }

    /// Changes the attributes of every leaf in the stretch, splitting blocks at its ends, and is
    /// done when the TLB is. Only *permissions* may change: a change of memory type needs the entry
    /// to be invalid in between (Arm ARM D8.16, break-before-make), so unmap and map for that.
    ///
    /// # Errors
    /// When a block had to be split and there was no memory; then no permission has changed.
    pub fn protect<M: Frames + ?Sized>(
        &self,
        frames: &M,
        tlb: &mut impl Tlb,
        input: u64,
        bytes: u64,
        mut change: impl FnMut(F::Attributes) -> F::Attributes,
    ) -> Result<(), EditError> {
        let past = self.bounds(input, bytes).ok_or(EditError::BadRun)?;
        self.split(frames, tlb, input)?;
        self.split(frames, tlb, past)?;
        let mut at = input;
        let mut changed = false;
        while at < past {
            let (step, leaf) = self.find(frames, at);
            if let Some(Found {
                table,
                index,
                shift,
                word,
            }) = leaf
            {
                let last = shift == self.geometry.granule_shift();
                if let Entry::Leaf { output, attributes } = self.format.decode(word, last) {
                    let new = self.format.leaf(output, change(attributes), last);
                    if new != word {
                        store(frames, table, index, new);
                        changed = true;
                    }
                }
            }
            at = step;
        }
        if changed {
            tlb.flush(input, bytes);
        }
        Ok(())
    }

    /// Makes `at` a boundary between leaves, by break-before-make where it lies inside a block: a
    /// core that comes by between the two stores faults, and finds a valid entry when it looks
    /// again.
    fn split<M: Frames + ?Sized>(
        &self,
        frames: &M,
        tlb: &mut impl Tlb,
        at: u64,
    ) -> Result<(), EditError> {
        if at >= self.geometry.input_size() {
            return Ok(());
        }
        while let (
            _,
            Some(Found {
                table,
                index,
                shift,
                word,
            }),
        ) = self.find(frames, at)
        {
            let size = 1_u64 << shift;
            if at.is_multiple_of(size) {
                break;
            }
            let Entry::Leaf { output, attributes } = self.format.decode(word, false) else {
                break;
            };
            // The level below the block: the one whose table covers exactly the block.
            let Some(level) =
                (1..self.geometry.depth()).find(|&level| self.geometry.shift(level - 1) == shift)
            else {
                break;
            };
            let next = frames.allocate().ok_or(EditError::NoFrames)?;
            let last = self.geometry.is_last(level);
            let step = self.geometry.shift(level);
            for entry in 0..self.geometry.entries(level) {
                let part = Pa::new(output.get() + ((entry as u64) << step));
                store(
                    frames,
                    next,
                    entry,
                    self.format.leaf(part, attributes, last),
                );
            }
            let start = at & !(size - 1);
            store(frames, table, index, 0);
            tlb.flush(start, size);
            store(frames, table, index, self.format.table(next.base()));
        }
        Ok(())
    }

    /// The valid leaf that covers `at`, if any, and the next address worth looking at: past the
    /// leaf, or past the empty entry.
    pub(super) fn find<M: Frames + ?Sized>(&self, frames: &M, at: u64) -> (u64, Option<Found>) {
        let mut table = self.root;
        let mut level = 0;
        loop {
            let shift = self.geometry.shift(level);
            let step = (at | ((1 << shift) - 1)).saturating_add(1);
            let index = self.geometry.index(level, at);
            let word = load(frames, table, index);
            match self.format.decode(word, self.geometry.is_last(level)) {
                Entry::Invalid => return (step, None),
                Entry::Leaf { .. } => {
                    return (
                        step,
                        Some(Found {
                            table,
                            index,
                            shift,
                            word,
                        }),
                    );
                }
                Entry::Table(next) => table = Frame::containing(next),
            }
            level += 1;
            if level == self.geometry.depth() {
                // A table pointer at the last level: no format decodes one there.
                return (step, None);
            }
        }
    }
}

/// A valid leaf, by where its entry is.
pub(super) struct Found {
    pub(super) table: Frame,
    pub(super) index: usize,
    pub(super) shift: u32,
    pub(super) word: u64,
}
