//! Taking back: entries become tombstones, and after the invalidation free.

use super::edit::Found;
use super::{EditError, Entry, Format, Leaf, Table, VALID, load, store};
use crate::addr::Frame;
use crate::frames::Frames;

/// What [`Table::sweep`] gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept<A> {
    /// A leaf that was taken back: no device or core reaches its memory any more.
    Leaf(Leaf<A>),
    /// A table that was freed.
    Table(Frame),
}

impl<F: Format> Table<F> {
    /// Takes back every leaf in the stretch: each becomes a tombstone. Returns how many pages were
    /// valid. They are *stale* until a TLB invalidation, and after that want [`Table::sweep`].
    ///
    /// # Errors
    /// `Block` if the stretch cuts through a block; nothing from that block on is changed.
    pub fn clear<M: Frames + ?Sized>(
        &self,
        frames: &M,
        input: u64,
        bytes: u64,
    ) -> Result<u64, EditError> {
        let past = self.bounds(input, bytes).ok_or(EditError::BadRun)?;
        let mut pages = 0;
        let mut at = input;
        while at < past {
            let (step, leaf) = self.find(frames, at);
            if let Some(Found {
                table,
                index,
                shift,
                word,
            }) = leaf
            {
                if !at.is_multiple_of(1 << shift) || past - at < 1 << shift {
                    return Err(EditError::Block);
                }
                store(frames, table, index, word & !VALID);
                pages += 1 << (shift - self.geometry.granule_shift());
            }
            at = step;
        }
        Ok(pages)
    }

    /// Takes back the table at `level` (1 or deeper) that covers `input`, with everything below it,
    /// by clearing the one entry that points at it. Is there such a table?
    ///
    /// Stale until an invalidation (of table pointers too), then [`Table::sweep`] frees it.
    pub fn detach<M: Frames + ?Sized>(&self, frames: &M, input: u64, level: usize) -> bool {
        let mut table = self.root;
        for above in 0..level {
            let index = self.geometry.index(above, input);
            let word = load(frames, table, index);
            let Entry::Table(next) = self.format.decode(word, self.geometry.is_last(above)) else {
                return false;
            };
            if above + 1 == level {
                store(frames, table, index, word & !VALID);
                return true;
            }
            table = Frame::containing(next);
        }
        false
    }

    /// Releases every tombstone in the stretch (its ends widened to whole entries of the level
    /// where the tombstone lies): the entry becomes free, and `release` is told each leaf and each
    /// table that went. Only after the invalidation has completed.
    pub fn sweep<M: Frames + ?Sized>(
        &self,
        frames: &M,
        input: u64,
        bytes: u64,
        mut release: impl FnMut(Swept<F::Attributes>),
    ) -> Result<(), EditError> {
        let past = self.bounds(input, bytes).ok_or(EditError::BadRun)?;
        let span = Span { from: input, past };
        self.sweep_table(frames, self.root, 0, 0, Some(span), &mut release);
        Ok(())
    }

    /// `span` = `None`: the table itself is detached, so valid entries go too.
    fn sweep_table<M: Frames + ?Sized>(
        &self,
        frames: &M,
        table: Frame,
        level: usize,
        base: u64,
        span: Option<Span>,
        release: &mut impl FnMut(Swept<F::Attributes>),
    ) {
        let last = self.geometry.is_last(level);
        let shift = self.geometry.shift(level);
        let (first, past) = match span {
            None => (0, self.geometry.entries(level)),
            Some(span) => span.indices(base, shift, self.geometry.entries(level)),
        };
        for index in first..past {
            let word = load(frames, table, index);
            let gone = span.is_none() || word & VALID == 0;
            if word == 0 || (last && !gone) {
                continue;
            }
            let input = base + ((index as u64) << shift);
            let below = if gone { None } else { span };
            match self.format.decode(word | VALID, last) {
                Entry::Table(next) => {
                    let next = Frame::containing(next);
                    self.sweep_table(frames, next, level + 1, input, below, release);
                    if gone {
                        store(frames, table, index, 0);
                        frames.free(next);
                        release(Swept::Table(next));
                    }
                }
                Entry::Leaf { output, attributes } if gone => {
                    store(frames, table, index, 0);
                    release(Swept::Leaf(Leaf {
                        input,
                        output,
                        attributes,
                        shift,
                    }));
                }
                Entry::Leaf { .. } | Entry::Invalid => {}
            }
        }
    }

    /// Frees the root and everything below it, leaves and tombstones included, and tells `release`
    /// each of them. Only when nobody walks the table any more and no TLB knows it.
    pub fn free_all<M: Frames + ?Sized>(
        self,
        frames: &M,
        mut release: impl FnMut(Swept<F::Attributes>),
    ) {
        self.sweep_table(frames, self.root, 0, 0, None, &mut release);
        frames.free_contiguous(self.root, self.geometry.root_order());
    }
}

#[derive(Clone, Copy)]
struct Span {
    from: u64,
    past: u64,
}

impl Span {
    /// The entries that touch the span, of a table at `base` whose entries cover `2^shift` each.
    fn indices(self, base: u64, shift: u32, entries: usize) -> (usize, usize) {
        let index = |address: u64, up: bool| {
            let offset = address.saturating_sub(base);
            let whole = offset >> shift;
            let partial = up && offset & ((1 << shift) - 1) != 0;
            usize::try_from(whole + u64::from(partial))
                .unwrap_or(entries)
                .min(entries)
        };
        (index(self.from, false), index(self.past, true))
    }
}
