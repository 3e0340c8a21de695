//! Pass 2 of a flush (see [`super::shadow`]): the guest's words are judged, and what passes is
//! installed in runs.

use hv_core::ownership::PinError;
use hv_core::table::{MapError, Run};
use hv_core::{Frame, Ipa};

use super::shadow::{Shadow, Verdict};
use super::{Notice, Space, Widening, Work, taken_at_its_word};
use crate::format::{Decoded, Leaf, PteWord};
use crate::guards::Guard;
use crate::iommu::{Expressed, HostAttributes, Memory};

/// A run of leaves to install: consecutive entries, consecutive frames, the same attributes.
struct Batch {
    first: usize,
    count: usize,
    frame: Frame,
    attributes: HostAttributes,
}

fn decode_table(work: &Work<'_, '_>, word: PteWord) -> Decoded<Ipa> {
    let format = work.variant.format;
    if work.guards.stands(Guard::AddressWidth) {
        format.table(word)
    } else {
        format.table(format.cut_table(word))
    }
}

fn decode_leaf(work: &Work<'_, '_>, word: PteWord) -> Decoded<Leaf> {
    let format = work.variant.format;
    if work.guards.stands(Guard::AddressWidth) {
        format.leaf(word)
    } else {
        format.leaf(format.cut_leaf(word))
    }
}

impl Space {
    /// Pass 2 for one table.
    pub(super) fn fill(&mut self, work: &mut Work<'_, '_>, position: usize) {
        self.read(work, position);
        let Shadow {
            level, base, seen, ..
        } = self.shadows[position];
        let geometry = *self.table.geometry();
        let last = geometry.is_last(level);
        let mut batch: Option<Batch> = None;
        let mut later = false;
        for index in 0..geometry.entries(level) {
            let word = PteWord(work.scratch.now[index]);
            if word.0 == 0 || work.scratch.before[index] != 0 {
                continue;
            }
            let verdict = if last {
                self.judge_leaf(work, word)
            } else {
                let child = base + ((index as u64) << geometry.shift(level));
                self.judge_table(work, level + 1, child, word)
            };
            match verdict {
                Verdict::Seen => work.host.frames.store(seen, index, word.0),
                Verdict::Later => later = true,
                Verdict::Install(frame, attributes) => {
                    if let Some(batch) = batch.as_mut()
                        && batch.first + batch.count == index
                        && batch.frame.number() + batch.count as u64 == frame.number()
                        && batch.attributes == attributes
                    {
                        batch.count += 1;
                    } else {
                        let next = Batch {
                            first: index,
                            count: 1,
                            frame,
                            attributes,
                        };
                        if let Some(ready) = batch.replace(next) {
                            later |= !self.install(work, base, seen, &ready);
                        }
                    }
                }
            }
        }
        if let Some(ready) = batch {
            later |= !self.install(work, base, seen, &ready);
        }
        // By key, because children were inserted meanwhile (behind it, as it happens).
        if let Ok(position) = self.position(level, base) {
            self.shadows[position].unfilled = later;
        }
    }

    fn judge_table(
        &mut self,
        work: &mut Work<'_, '_>,
        level: usize,
        base: u64,
        word: PteWord,
    ) -> Verdict {
        match decode_table(work, word) {
            Decoded::Empty => Verdict::Seen,
            Decoded::Bad => {
                work.counters.tables_refused += 1;
                Verdict::Seen
            }
            Decoded::Good(table) => self.follow(work, level, base, table),
        }
    }

    /// Checks a leaf and pins its page.
    fn judge_leaf(&self, work: &mut Work<'_, '_>, word: PteWord) -> Verdict {
        let leaf = match decode_leaf(work, word) {
            Decoded::Empty => return Verdict::Seen,
            Decoded::Bad => {
                work.counters.leaves_refused += 1;
                return Verdict::Seen;
            }
            Decoded::Good(leaf) => leaf,
        };
        let (attributes, wider) = match self.table.format().express(leaf.access, leaf.window) {
            Expressed::Nothing => return Verdict::Seen,
            Expressed::Exactly(attributes) => (attributes, false),
            Expressed::Wider(_) if work.widening == Widening::Refuse => {
                work.counters.leaves_refused += 1;
                return Verdict::Seen;
            }
            Expressed::Wider(attributes) => (attributes, true),
        };
        match Self::pin_leaf(work, leaf) {
            Ok((frame, memory)) => {
                work.counters.leaves_widened += u64::from(wider);
                Verdict::Install(frame, attributes.of(memory))
            }
            Err(error) => {
                work.counters.leaves_refused += 1;
                if error == PinError::Limit {
                    // Other entries may let go of the frame.
                    return Verdict::Later;
                }
                work.notices.say(work.guest, Notice::ForeignLeaf);
                Verdict::Seen
            }
        }
    }

    fn pin_leaf(work: &mut Work<'_, '_>, leaf: Leaf) -> Result<(Frame, Memory), PinError> {
        let (frame, memory) = match work.behind(leaf.frame) {
            Some(behind) => behind,
            None if work.guards.stands(Guard::LeafOwnership) => return Err(PinError::NotRam),
            None => (taken_at_its_word(leaf.frame.get()), Memory::Normal),
        };
        work.pin(frame)?;
        Ok((frame, memory))
    }

    /// Installs a batch; `false` if part of it must wait. Pages of that part lose their pins at
    /// once: no device has ever seen the entry.
    fn install(&mut self, work: &mut Work<'_, '_>, base: u64, seen: Frame, batch: &Batch) -> bool {
        let page = self.table.geometry().page_size();
        let run = Run {
            input: base + batch.first as u64 * page,
            output: batch.frame.base(),
            bytes: batch.count as u64 * page,
        };
        let mapped = match self.table.map(work.host.frames, run, batch.attributes) {
            Ok(()) => batch.count as u64,
            Err(MapError::NoFrames { mapped }) => {
                work.out_of_memory();
                mapped / page
            }
            Err(MapError::Occupied { mapped }) => mapped / page,
            Err(MapError::BadRun) => {
                debug_assert!(false, "a batch lies inside the table");
                0
            }
        };
        for step in 0..batch.count {
            if (step as u64) < mapped {
                let index = batch.first + step;
                work.host.frames.store(seen, index, work.scratch.now[index]);
            } else {
                work.unpin(Frame::from_number(batch.frame.number() + step as u64));
            }
        }
        work.counters.pages_mapped += mapped;
        if run.input != run.output.get() {
            work.counters.translations_moved += mapped;
        }
        mapped == batch.count as u64
    }
}
