//! What each of the machine's interrupts is for: a table that is filled while nobody uses the line, and read at every
//! interrupt.

use core::sync::atomic::{AtomicU32, Ordering};

use super::host::LINES;

/// What an interrupt of the machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::el2) enum Feed {
    /// Nothing: it is switched off when it comes.
    Nobody,
    /// Another core wants this one at EL2.
    Kick,
    /// A list register wants attention.
    Maintenance,
    /// EL2's timer.
    Tick,
    /// Somebody types.
    Console,
    /// The host's IOMMU has stopped something.
    Iommu,
    /// It is an interrupt of the guest, which knows it by this INTID.
    Guest(u32),
}

const TAG: u32 = 0x1_0000;

impl Feed {
    const fn word(self) -> u32 {
        match self {
            Self::Nobody => 0,
            Self::Kick => 1,
            Self::Maintenance => 2,
            Self::Tick => 3,
            Self::Console => 4,
            Self::Iommu => 5,
            Self::Guest(intid) => TAG | (intid & 0xffff),
        }
    }

    const fn of(word: u32) -> Self {
        match word {
            1 => Self::Kick,
            2 => Self::Maintenance,
            3 => Self::Tick,
            4 => Self::Console,
            5 => Self::Iommu,
            word if word & TAG != 0 => Self::Guest(word & 0xffff),
            _ => Self::Nobody,
        }
    }
}

static FEEDS: [AtomicU32; LINES] = [const { AtomicU32::new(0) }; LINES];

/// Says what INTID `intid` is for from now on; private ones are the same on every core.
pub(in crate::el2) fn set(intid: u32, feed: Feed) {
    if let Some(entry) = FEEDS.get(intid as usize) {
        entry.store(feed.word(), Ordering::Release);
    }
}

/// What it is for.
pub(super) fn get(intid: u32) -> Feed {
    let entry = FEEDS.get(intid as usize);
    entry.map_or(Feed::Nobody, |entry| {
        Feed::of(entry.load(Ordering::Acquire))
    })
}
