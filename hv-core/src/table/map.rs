//! Mapping.

use super::{Entry, Format, MapError, Run, Table, load, store};
use crate::addr::{Frame, Pa};
use crate::frames::Frames;

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
}

enum Stop {
    NoFrames,
    Occupied,
}
