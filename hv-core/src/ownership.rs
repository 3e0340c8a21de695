//! Who owns each frame of RAM, and how many host table entries let a device reach it.
//!
//! One flat array of 32-bit states, one per frame of RAM, changed only by compare-and-swap. The
//! invariants that hang on it: a valid host entry is counted by its frame's pin count, and a frame
//! changes owner only while that count is zero.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::addr::Frame;

mod assigned;
mod owner;
mod self_test;
#[cfg(test)]
mod tests;

pub use assigned::AssignmentError;
pub use owner::{GuestId, Owner};
pub use self_test::{SelfTestFailure, self_test};

/// The most host entries that may name one frame at a time. The next one is refused: the entry is
/// not installed, and a device that uses it faults.
pub const PIN_LIMIT: u16 = u16::MAX;

// State word: owner [7:0], sharing [15:8] (reserved for frames that guests share, zero for now),
// pin count [31:16].
const OWNER_MASK: u32 = 0xff;
const PIN_SHIFT: u32 = 16;
const ONE_PIN: u32 = 1 << PIN_SHIFT;

/// A contiguous stretch of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamRange {
    /// Its first frame.
    pub first: Frame,
    /// How many frames it has.
    pub frames: u64,
}

/// The state of one frame, as read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameState {
    /// Whose it is.
    pub owner: Owner,
    /// How many host entries let a device reach it.
    pub pins: u16,
}

/// Why [`Ownership::new`] refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The state array is too short: this many words are needed.
    TooFewStates(usize),
    /// Ranges overlap, are empty or not in ascending order.
    BadRanges,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewStates(needed) => write!(f, "the frame states need {needed} words"),
            Self::BadRanges => write!(f, "the RAM ranges overlap or are not in ascending order"),
        }
    }
}

/// Why a frame did not change owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferError {
    /// No RAM there.
    NotRam,
    /// It belongs to somebody else than the caller thought.
    NotOwned(Owner),
    /// There is no such transition ([`Owner::may_become`]).
    Illegal,
    /// A device may still reach it.
    Pinned(u16),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRam => write!(f, "not RAM"),
            Self::NotOwned(owner) => write!(f, "belongs to {owner:?}"),
            Self::Illegal => write!(f, "no frame may change hands that way"),
            Self::Pinned(pins) => write!(f, "{pins} device mappings still name it"),
        }
    }
}

/// Why a frame was not pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinError {
    /// No RAM there, nor registers that this guest was given.
    NotRam,
    /// The frame is not this guest's.
    NotOwned,
    /// [`PIN_LIMIT`] entries name it already.
    Limit,
}

/// The array of frame states.
#[derive(Clone, Copy)]
pub struct Ownership<'a> {
    ranges: &'a [RamRange],
    states: &'a [AtomicU32],
    /// Frames that are no RAM, and whose devices may reach them.
    assignments: &'a [AtomicU64],
}

impl<'a> Ownership<'a> {
    /// How many state words these ranges need; `None` if that does not fit a `usize`.
    pub fn states_needed(ranges: &[RamRange]) -> Option<usize> {
        ranges.iter().try_fold(0_usize, |sum, range| {
            sum.checked_add(usize::try_from(range.frames).ok()?)
        })
    }

    /// States for `ranges` (ascending, disjoint) in `states`, which must be zero: every frame
    /// starts as [`Owner::Nobody`]'s, unpinned.
    ///
    /// # Errors
    /// When the ranges are malformed or the storage is too short.
    pub fn new(ranges: &'a [RamRange], states: &'a [AtomicU32]) -> Result<Self, LayoutError> {
        let mut end = 0;
        for range in ranges {
            let past = range.first.number().checked_add(range.frames);
            if range.frames == 0 || range.first.number() < end {
                return Err(LayoutError::BadRanges);
            }
            end = past.ok_or(LayoutError::BadRanges)?;
        }
        let needed = Self::states_needed(ranges).ok_or(LayoutError::BadRanges)?;
        if states.len() < needed {
            return Err(LayoutError::TooFewStates(needed));
        }
        Ok(Self {
            ranges,
            states,
            assignments: &[],
        })
    }

    fn cell(&self, frame: Frame) -> Option<&AtomicU32> {
        let mut before = 0_u64;
        for range in self.ranges {
            if let Some(offset) = frame.number().checked_sub(range.first.number())
                && offset < range.frames
            {
                return self.states.get(usize::try_from(before + offset).ok()?);
            }
            before += range.frames;
        }
        None
    }

    fn decode(word: u32) -> FrameState {
        let Some(owner) = Owner::from_code(word & OWNER_MASK) else {
            // Only this module writes states, so this is memory corruption: nothing that is
            // decided from it could be trusted.
            panic!("frame state {word:#x} names no owner");
        };
        FrameState {
            owner,
            pins: (word >> PIN_SHIFT) as u16,
        }
    }

    /// Owner and pin count of a frame, `None` if it is not RAM.
    pub fn state(&self, frame: Frame) -> Option<FrameState> {
        self.cell(frame)
            .map(|cell| Self::decode(cell.load(Ordering::Acquire)))
    }

    /// Is this frame RAM of `guest`?
    pub fn is_guests(&self, frame: Frame, guest: GuestId) -> bool {
        self.state(frame)
            .is_some_and(|state| state.owner == Owner::Guest(guest))
    }

    /// May the devices of `guest` reach this frame: its RAM, or registers that it was given?
    pub fn may_reach(&self, frame: Frame, guest: GuestId) -> bool {
        self.is_guests(frame, guest) || self.register_pins(frame, guest).is_some()
    }

    /// Gives `frame` from `from` to `to`.
    ///
    /// # Errors
    /// Then nothing has changed.
    pub fn transfer(&self, frame: Frame, from: Owner, to: Owner) -> Result<(), TransferError> {
        if !from.may_become(to) {
            return Err(TransferError::Illegal);
        }
        let cell = self.cell(frame).ok_or(TransferError::NotRam)?;
        // From the exact word "owned by `from`, no pin": a pin that arrives meanwhile makes the
        // exchange fail rather than be forgotten.
        cell.compare_exchange(from.code(), to.code(), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(|word| {
                let state = Self::decode(word);
                if state.owner == from {
                    TransferError::Pinned(state.pins)
                } else {
                    TransferError::NotOwned(state.owner)
                }
            })
    }

    /// [`Ownership::transfer`] of `count` frames from `first` on: all of them or none.
    ///
    /// # Errors
    /// The first frame that could not go, and why. Nobody else may transfer the same frames at the
    /// same time.
    pub fn transfer_run(
        &self,
        first: Frame,
        count: u64,
        from: Owner,
        to: Owner,
    ) -> Result<(), (Frame, TransferError)> {
        let past = first
            .number()
            .checked_add(count)
            .ok_or((first, TransferError::NotRam))?;
        for number in first.number()..past {
            let frame = Frame::from_number(number);
            if let Err(error) = self.transfer(frame, from, to) {
                for number in first.number()..number {
                    // Back to what it was a moment ago, which is not a transition anybody asks for.
                    if let Some(cell) = self.cell(Frame::from_number(number)) {
                        cell.store(from.code(), Ordering::Release);
                    }
                }
                return Err((frame, error));
            }
        }
        Ok(())
    }

    /// Counts one more host entry that names `frame`, if the frame is RAM of `guest` or registers that it was given.
    ///
    /// # Errors
    /// Then nothing has changed and the entry must not be installed.
    pub fn pin(&self, frame: Frame, guest: GuestId) -> Result<(), PinError> {
        let Some(cell) = self.cell(frame) else {
            return self.pin_registers(frame, guest);
        };
        let mut word = cell.load(Ordering::Acquire);
        loop {
            let state = Self::decode(word);
            if state.owner != Owner::Guest(guest) {
                return Err(PinError::NotOwned);
            }
            if state.pins == PIN_LIMIT {
                return Err(PinError::Limit);
            }
            match cell.compare_exchange_weak(
                word,
                word + ONE_PIN,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Takes one pin of `guest` off `frame`. Only after the host IOMMU confirmed that no device can reach the
    /// frame through the entry any more.
    ///
    /// # Panics
    /// If the frame has no pin of the guest's: then entries and pins have gone out of step, which is
    /// a bug of ours that no guest can bring about, and going on would let a frame change hands
    /// under a device.
    pub fn unpin(&self, frame: Frame, guest: GuestId) {
        let had_a_pin = match self.cell(frame) {
            Some(cell) => {
                let before = cell.fetch_sub(ONE_PIN, Ordering::AcqRel);
                before >= ONE_PIN && Self::decode(before).owner == Owner::Guest(guest)
            }
            None => self.unpin_registers(frame, guest),
        };
        assert!(
            had_a_pin,
            "broken invariant: {frame:?} was unpinned without a pin"
        );
    }

    /// Frames of RAM that the array knows.
    pub fn frames(&self) -> u64 {
        self.ranges.iter().map(|range| range.frames).sum()
    }

    /// Visits every frame with its state: for the check of invariants in tests and at shutdown.
    pub fn for_each(&self, mut visit: impl FnMut(Frame, FrameState)) {
        for range in self.ranges {
            for number in range.first.number()..range.first.number() + range.frames {
                let frame = Frame::from_number(number);
                if let Some(state) = self.state(frame) {
                    visit(frame, state);
                }
            }
        }
    }
}
