//! A guest's spaces, and how many streams go through each.

use crate::iommu::{ContextId, Hung};
use crate::space::{Notice, SPACES_PER_GUEST, Source, Space, Work};
use crate::variant::Roots;

/// A place in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

struct Entry {
    space: Space,
    /// Streams that go through it.
    users: usize,
    /// The host IOMMU did not confirm its end: kept for its pins, joined by nobody.
    lost: bool,
}

/// Up to [`SPACES_PER_GUEST`] spaces.
#[derive(Default)]
pub(super) struct Pool {
    entries: [Option<Entry>; SPACES_PER_GUEST],
}

impl Pool {
    /// Every place, used or not.
    pub(super) fn slots() -> impl Iterator<Item = Slot> {
        (0..SPACES_PER_GUEST).map(Slot)
    }

    fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.0)?.as_ref()
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.0)?.as_mut()
    }

    /// How many spaces there are.
    pub(super) fn len(&self) -> usize {
        self.entries.iter().flatten().count()
    }

    /// The context of the space at `slot`.
    pub(super) fn context(&self, slot: Slot) -> Option<ContextId> {
        self.get(slot).map(|entry| entry.space.context())
    }

    /// The roots that the space at `slot` follows.
    pub(super) fn roots(&self, slot: Slot) -> Option<Roots> {
        match self.get(slot)?.space.source() {
            Source::Roots(roots) => Some(roots),
            Source::Explicit => None,
        }
    }

    /// The space of these roots: the one that another stream uses already, or a new one, filled.
    /// `None` when there is no memory or no room.
    pub(super) fn find_or_open(&mut self, work: &mut Work<'_, '_>, roots: Roots) -> Option<Slot> {
        let source = Source::Roots(roots);
        let known = Self::slots().find(|&slot| {
            self.get(slot)
                .is_some_and(|entry| entry.space.source() == source && !entry.lost)
        });
        if known.is_some() {
            return known;
        }
        let Some(free) = Self::slots().find(|&slot| self.get(slot).is_none()) else {
            work.notices.say(work.guest, Notice::Spaces);
            return None;
        };
        let mut space = match Space::open(work, source) {
            Ok(space) => space,
            Err(error) => {
                work.counters.out_of_memory += 1;
                log::debug!(
                    "guest {}: no space for a stream: {error}",
                    work.guest.number()
                );
                return None;
            }
        };
        space.follow_roots(work);
        // Nothing was there before, so nothing is stale and nothing can hang.
        let filled = space.flush(work);
        debug_assert!(filled.is_ok(), "an empty space had something to forget");
        *self.entries.get_mut(free.0)? = Some(Entry {
            space,
            users: 0,
            lost: false,
        });
        Some(free)
    }

    /// One more stream goes through the space.
    pub(super) fn enter(&mut self, slot: Slot) {
        if let Some(entry) = self.get_mut(slot) {
            entry.users += 1;
        }
    }

    /// One stream less; the last one closes the space.
    pub(super) fn leave(&mut self, work: &mut Work<'_, '_>, slot: Slot) {
        let Some(entry) = self.get_mut(slot) else {
            return;
        };
        entry.users = entry.users.saturating_sub(1);
        if entry.users == 0 {
            self.close(work, slot);
        }
    }

    fn close(&mut self, work: &mut Work<'_, '_>, slot: Slot) {
        let Some(place) = self.entries.get_mut(slot.0) else {
            return;
        };
        let Some(Entry { space, .. }) = place.take() else {
            return;
        };
        if let Err(space) = space.close(work) {
            work.notices.say(work.guest, Notice::Hung);
            *place = Some(Entry {
                space,
                users: 0,
                lost: true,
            });
        }
    }

    /// Brings the space in line with the guest's tables.
    pub(super) fn flush(&mut self, work: &mut Work<'_, '_>, slot: Slot) -> Result<(), Hung> {
        match self.get_mut(slot) {
            Some(entry) => entry.space.flush(work),
            None => Ok(()),
        }
    }

    /// Closes every space: no stream goes through any of them any more.
    pub(super) fn close_all(&mut self, work: &mut Work<'_, '_>) {
        for slot in Self::slots() {
            self.close(work, slot);
        }
    }

    /// Visits the spaces, for the checks of tests.
    #[cfg(test)]
    pub(super) fn spaces(&self) -> impl Iterator<Item = &Space> {
        self.entries.iter().flatten().map(|entry| &entry.space)
    }
}
