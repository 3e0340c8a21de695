//! Mapping, clearing, sweeping, protecting.

use super::{EditError, Entry, Format, Leaf, MapError, Run, Table, Tlb, VALID, load, store};
use crate::addr::{Frame, Pa};
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
    /// Maps a run, with the largest leaves that fit, creating tables as needed. New entries need no
    /// invalidation: VMSAv8-64 caches no faulting entry (Arm ARM D8.16).
    ///
    /// # Errors
    /// Says how much of the run is mapped; the rest is as it was.
    pub fn map<M: Frames + ?Sized>(
        &self,
        frames: &M,
        run: Run,
        attributes: F::Attributes,
    ) -> Result<(), MapError> {
        let page = self.geometry.page_size();
        let past = self.bounds(run.input, run.bytes).ok_or(MapError::BadRun)?;
        let fits = run.output.checked_add(run.bytes).is_some();
        if !fits || !run.output.get().is_multiple_of(page) {
            return Err(MapError::BadRun);
        }
        let mut at = run.input;
        while at < past {
            let mapped = at - run.input;
            let output = Pa::new(run.output.get() + mapped);
            at += self
                .map_some(frames, at, output, past - at, attributes)
                .map_err(|stop| match stop {
                    Stop::NoFrames => MapError::NoFrames { mapped },
                    Stop::Occupied => MapError::Occupied { mapped },
                })?;
        }
        Ok(())
    }

    /// Maps as much as one table's entries allow and says how many bytes that was.
    fn map_some<M: Frames + ?Sized>(
        &self,
        frames: &M,
        input: u64,
        output: Pa,
        bytes: u64,
        attributes: F::Attributes,
    ) -> Result<u64, Stop> {
        let mut table = self.root;
        let mut level = 0;
        loop {
            let last = self.geometry.is_last(level);
            let shift = self.geometry.shift(level);
            let size = 1_u64 << shift;
            let index = self.geometry.index(level, input);
            let aligned = input.is_multiple_of(size) && output.get().is_multiple_of(size);
            let word = load(frames, table, index);
            let block = aligned && bytes >= size && self.format.allows_block(shift) && word == 0;
            if last || block {
                let room = self.geometry.entries(level) - index;
                let wanted = usize::try_from(bytes >> shift)
                    .unwrap_or(usize::MAX)
                    .min(room);
                return self.fill(frames, table, level, index, wanted, output, attributes);
            }
            table = match self.format.decode(word, last) {
                Entry::Table(next) => Frame::containing(next),
                Entry::Leaf { .. } => return Err(Stop::Occupied),
                Entry::Invalid if word != 0 => return Err(Stop::Occupied),
                Entry::Invalid => {
                    let next = frames.allocate().ok_or(Stop::NoFrames)?;
                    store(frames, table, index, self.format.table(next.base()));
                    next
                }
            };
            level += 1;
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a private step of `map_some`, called once"
    )]
    fn fill<M: Frames + ?Sized>(
        &self,
        frames: &M,
        table: Frame,
        level: usize,
        index: usize,
        count: usize,
        output: Pa,
        attributes: F::Attributes,
    ) -> Result<u64, Stop> {
        let last = self.geometry.is_last(level);
        let shift = self.geometry.shift(level);
        for step in 0..count {
            let done = (step as u64) << shift;
            if load(frames, table, index + step) != 0 {
                return if step == 0 {
                    Err(Stop::Occupied)
                } else {
                    Ok(done)
                };
            }
            let word = self
                .format
                .leaf(Pa::new(output.get() + done), attributes, last);
            store(frames, table, index + step, word);
        }
        Ok((count as u64) << shift)
    }

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
    fn find<M: Frames + ?Sized>(&self, frames: &M, at: u64) -> (u64, Option<Found>) {
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

enum Stop {
    NoFrames,
    Occupied,
}

struct Found {
    table: Frame,
    index: usize,
    shift: u32,
    word: u64,
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
