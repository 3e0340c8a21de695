//! Filling a space from a guest's tables.
//!
//! Each guest table that is followed has a [`Shadow`]: where it is, which IOVAs it governs, and
//! *seen*, the last words accepted from it, in a host frame. A flush has two passes with the host's
//! invalidation in between:
//!
//! 1. *Take back*: every entry that no longer says what was seen is taken out of the host table,
//!    and `seen` forgets it.
//! 2. *Fill*: every entry of which nothing is seen is read (again: pass 1 used it only to decide
//!    on a removal), checked, installed, and seen. What cannot be installed for want of memory
//!    stays unseen, so that the next flush finds it changed and tries again.
//!
//! An entry that the guest changes between the passes is found valid with something seen, and
//! waits for the flush that the guest owes for it. An entry that changes from one valid word to
//! another has been taken back and confirmed before the new one goes in: break-before-make.

use hv_core::table::EditError;
use hv_core::{Frame, Iova, Ipa};

use super::{Notice, Source, Space, TABLES_PER_GUEST, Work};
use crate::format::Decoded;
use crate::guards::Guard;
use crate::iommu::{HostAttributes, Hung, Stale};

/// A guest table that is followed.
pub(super) struct Shadow {
    /// Its level in the geometry: 1 for a table that a `TTBR` names.
    pub(super) level: usize,
    /// The first IOVA that it governs.
    pub(super) base: u64,
    /// Where it is.
    guest: Ipa,
    /// The last words accepted from it; zero where nothing was.
    pub(super) seen: Frame,
    /// Has it words of which nothing is seen?
    pub(super) unfilled: bool,
}

impl Shadow {
    fn new(work: &mut Work<'_, '_>, level: usize, base: u64, guest: Ipa) -> Option<Self> {
        let seen = work.host.frames.allocate()?;
        work.counters.table_added();
        Some(Self {
            level,
            base,
            guest,
            seen,
            unfilled: true,
        })
    }

    /// Stops following it. `seen` is ours alone, so this may happen at once.
    pub(super) fn forget(self, work: &mut Work<'_, '_>) {
        work.host.frames.free(self.seen);
        work.counters.tables = work.counters.tables.saturating_sub(1);
    }

    fn key(&self) -> (usize, u64) {
        (self.level, self.base)
    }
}

/// What became of a guest's word.
pub(super) enum Verdict {
    /// Install it.
    Install(Frame, HostAttributes),
    /// It is dealt with: there is nothing to install.
    Seen,
    /// It cannot be had now; try again at the next flush.
    Later,
}

impl Space {
    /// Follows what the roots name. To be called once, after the space was opened; the first flush
    /// fills it.
    pub(crate) fn follow_roots(&mut self, work: &mut Work<'_, '_>) {
        let Source::Roots(roots) = self.source else {
            return;
        };
        for index in 0..usize::from(work.variant.ttbrs) {
            let base = (index as u64) << self.table.geometry().shift(0);
            match roots.table(index) {
                Decoded::Empty => {}
                Decoded::Bad => work.counters.tables_refused += 1,
                Decoded::Good(table) => {
                    let _followed_or_counted = self.follow(work, 1, base, table);
                }
            }
        }
    }

    /// Brings the host table in line with the guest's tables.
    ///
    /// # Errors
    /// When the host IOMMU does not answer. What was taken back stays pinned; nothing new was
    /// installed.
    pub(crate) fn flush(&mut self, work: &mut Work<'_, '_>) -> Result<(), Hung> {
        self.retry_roots(work);
        // By index, because taking a table pointer back removes the tables below, which all come
        // later in the order.
        let mut next = 0;
        while next < self.shadows.len() {
            self.take_back(work, next);
            next += 1;
        }
        self.settle(work)?;
        let before = work.counters.pages_mapped;
        let mut next = 0;
        while next < self.shadows.len() {
            if self.shadows[next].unfilled {
                self.fill(work, next);
            }
            next += 1;
        }
        if work.counters.pages_mapped != before {
            work.host.iommu.publish(self.context);
        }
        Ok(())
    }

    /// Roots that could not be followed for want of memory are tried again.
    fn retry_roots(&mut self, work: &mut Work<'_, '_>) {
        let Source::Roots(roots) = self.source else {
            return;
        };
        for index in 0..usize::from(work.variant.ttbrs) {
            let base = (index as u64) << self.table.geometry().shift(0);
            if let Decoded::Good(table) = roots.table(index)
                && self.position(1, base).is_err()
            {
                let _followed_or_counted = self.follow(work, 1, base, table);
            }
        }
    }

    pub(super) fn position(&self, level: usize, base: u64) -> Result<usize, usize> {
        self.shadows
            .binary_search_by_key(&(level, base), Shadow::key)
    }

    /// Follows the guest table at `guest`, if it may be.
    pub(super) fn follow(
        &mut self,
        work: &mut Work<'_, '_>,
        level: usize,
        base: u64,
        guest: Ipa,
    ) -> Verdict {
        let Err(position) = self.position(level, base) else {
            return Verdict::Seen;
        };
        let owned = work.host.memory.frame_of(guest).is_some();
        if !owned && work.guards.stands(Guard::TableOwnership) {
            work.counters.tables_refused += 1;
            work.notices.say(work.guest, Notice::ForeignTable);
            return Verdict::Seen;
        }
        if work.counters.tables >= TABLES_PER_GUEST && work.guards.stands(Guard::TableLimit) {
            work.counters.tables_refused += 1;
            work.notices.say(work.guest, Notice::TableLimit);
            return Verdict::Later;
        }
        if self.shadows.try_reserve(1).is_err() {
            work.out_of_memory();
            return Verdict::Later;
        }
        let Some(shadow) = Shadow::new(work, level, base, guest) else {
            work.out_of_memory();
            return Verdict::Later;
        };
        self.shadows.insert(position, shadow);
        Verdict::Seen
    }

    /// Stops following every table below `level` that governs part of `[base, past)`.
    fn forget_below(&mut self, work: &mut Work<'_, '_>, level: usize, base: u64, past: u64) {
        let gone =
            |shadow: &mut Shadow| shadow.level > level && shadow.base >= base && shadow.base < past;
        for shadow in self.shadows.extract_if(.., gone) {
            shadow.forget(work);
        }
    }

    /// Copies the guest's table and what was seen of it into the scratch. A table that is no RAM of
    /// the guest's (any more) counts as empty.
    pub(super) fn read(&self, work: &mut Work<'_, '_>, position: usize) {
        let Shadow { guest, seen, .. } = self.shadows[position];
        let read = work.host.memory.read_frame(guest, &mut work.scratch.now);
        if read.is_err() && !work.read_unguarded(guest) {
            work.scratch.now.fill(0);
        }
        work.host.frames.read_all(seen, &mut work.scratch.before);
    }

    /// Pass 1 for one table.
    fn take_back(&mut self, work: &mut Work<'_, '_>, position: usize) {
        self.read(work, position);
        let Shadow {
            level, base, seen, ..
        } = self.shadows[position];
        let geometry = *self.table.geometry();
        let entries = geometry.entries(level);
        if work.scratch.now[..entries] == work.scratch.before[..entries] {
            return;
        }
        self.shadows[position].unfilled = true;
        let mut index = 0;
        while index < entries {
            if !Self::is_gone(work, index) {
                index += 1;
                continue;
            }
            let first = index;
            while index < entries && Self::is_gone(work, index) {
                work.host.frames.store(seen, index, 0);
                index += 1;
            }
            self.remove_entries(work, level, base, first, index);
        }
    }

    /// Was something seen there that the guest's word no longer says?
    fn is_gone(work: &Work<'_, '_>, index: usize) -> bool {
        let before = work.scratch.before[index];
        before != 0 && before != work.scratch.now[index]
    }

    /// Takes the entries `first..past` of one table out of the host table.
    fn remove_entries(
        &mut self,
        work: &mut Work<'_, '_>,
        level: usize,
        base: u64,
        first: usize,
        past: usize,
    ) {
        let geometry = *self.table.geometry();
        let shift = geometry.shift(level);
        let input = base + ((first as u64) << shift);
        let bytes = ((past - first) as u64) << shift;
        if geometry.is_last(level) {
            match self.table.clear(work.host.frames, input, bytes) {
                Ok(0) => {}
                Ok(_) => self.add_stale(Stale::new(Iova::new(input), bytes, false)),
                Err(EditError::BadRun | EditError::NoFrames | EditError::Block) => {
                    debug_assert!(false, "a shadow lies inside the table and has no blocks");
                }
            }
            return;
        }
        self.forget_below(work, level, input, input + bytes);
        let size = 1_u64 << shift;
        for entry in (input..input + bytes).step_by(1 << shift) {
            if self.table.detach(work.host.frames, entry, level + 1) {
                self.add_stale(Stale::new(Iova::new(entry), size, true));
            }
        }
    }
}
