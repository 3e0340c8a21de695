//! Frames of device registers that a guest's devices may reach: a doorbell for messages, for one. They are no RAM and
//! have no owner; several guests may be given the same one, so each such *assignment* has a pin count of its own.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{GuestId, Ownership, PIN_LIMIT, PinError};
use crate::addr::Frame;

// State word: pin count [15:0], guest [22:16], assigned [23], frame number [63:24]. Zero: free.
const GUEST_SHIFT: u32 = 16;
const ASSIGNED: u64 = 1 << 23;
const FRAME_SHIFT: u32 = 24;
const PINS: u64 = 0xffff;

/// Why a frame of registers was not assigned or not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignmentError {
    /// It is RAM, or past what a state can name.
    NotRegisters,
    /// The guest has it already.
    Taken,
    /// There is no room: as many assignments were made as there are words for them.
    NoRoom,
    /// The guest does not have it.
    NotAssigned,
    /// A device may still reach it.
    Pinned(u16),
}

impl fmt::Display for AssignmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegisters => write!(f, "no registers that could be assigned"),
            Self::Taken => write!(f, "assigned already"),
            Self::NoRoom => write!(f, "more assignments of registers than there is room for"),
            Self::NotAssigned => write!(f, "not assigned"),
            Self::Pinned(pins) => write!(f, "{pins} device mappings still name it"),
        }
    }
}

/// The state of an assignment without a pin, `None` for a frame that no state can name.
fn unpinned(frame: Frame, guest: GuestId) -> Option<u64> {
    let number = frame.number();
    let fits = number << FRAME_SHIFT >> FRAME_SHIFT == number;
    let guest = u64::from(guest.number()) << GUEST_SHIFT;
    fits.then_some(number << FRAME_SHIFT | ASSIGNED | guest)
}

impl<'a> Ownership<'a> {
    /// The same, with room for as many assignments of registers as `assignments` has words. They must be zero.
    #[must_use]
    pub fn with_assignments(self, assignments: &'a [AtomicU64]) -> Self {
        Self {
            assignments,
            ..self
        }
    }

    fn assignment(&self, frame: Frame, guest: GuestId) -> Option<&AtomicU64> {
        let wanted = unpinned(frame, guest)?;
        self.assignments
            .iter()
            .find(|word| word.load(Ordering::Acquire) & !PINS == wanted)
    }

    /// Lets the devices of `guest` reach `frame`, which are registers. Nobody else may assign or withdraw at the same
    /// time.
    ///
    /// # Errors
    /// Then nothing has changed.
    pub fn assign_registers(&self, frame: Frame, guest: GuestId) -> Result<(), AssignmentError> {
        let state = unpinned(frame, guest)
            .filter(|_| self.cell(frame).is_none())
            .ok_or(AssignmentError::NotRegisters)?;
        if self.assignment(frame, guest).is_some() {
            return Err(AssignmentError::Taken);
        }
        let free = |word: &&AtomicU64| word.load(Ordering::Acquire) == 0;
        let word = self.assignments.iter().find(free);
        word.ok_or(AssignmentError::NoRoom)?
            .store(state, Ordering::Release);
        Ok(())
    }

    /// Takes registers back from a guest: only where no device can reach them any more.
    ///
    /// # Errors
    /// Then nothing has changed.
    pub fn withdraw_registers(&self, frame: Frame, guest: GuestId) -> Result<(), AssignmentError> {
        let word = self.assignment(frame, guest);
        let word = word.ok_or(AssignmentError::NotAssigned)?;
        // From exactly "no pin", as when RAM changes its owner.
        let unpinned = word.load(Ordering::Acquire) & !PINS;
        word.compare_exchange(unpinned, 0, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(|word| AssignmentError::Pinned(pins(word)))
    }

    /// How many host entries of `guest` name these registers; `None` if it does not have them.
    pub fn register_pins(&self, frame: Frame, guest: GuestId) -> Option<u16> {
        self.assignment(frame, guest)
            .map(|word| pins(word.load(Ordering::Acquire)))
    }

    pub(super) fn pin_registers(&self, frame: Frame, guest: GuestId) -> Result<(), PinError> {
        let word = self.assignment(frame, guest).ok_or(PinError::NotRam)?;
        let step = |word| (pins(word) < PIN_LIMIT).then_some(word + 1);
        word.fetch_update(Ordering::AcqRel, Ordering::Acquire, step)
            .map(|_| ())
            .map_err(|_| PinError::Limit)
    }

    /// `false` if there is no such pin.
    pub(super) fn unpin_registers(&self, frame: Frame, guest: GuestId) -> bool {
        let step = |word| (pins(word) > 0).then(|| word - 1);
        self.assignment(frame, guest).is_some_and(|word| {
            word.fetch_update(Ordering::AcqRel, Ordering::Acquire, step)
                .is_ok()
        })
    }
}

const fn pins(word: u64) -> u16 {
    (word & PINS) as u16
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU32;

    use super::*;
    use crate::ownership::RamRange;

    const DOORBELL: Frame = Frame::from_number(0x809_0000 >> 14);
    const ONE: GuestId = GuestId(1);
    const TWO: GuestId = GuestId(2);

    fn with(test: impl FnOnce(&Ownership<'_>)) {
        let states = [const { AtomicU32::new(0) }; 4];
        let assignments = [const { AtomicU64::new(0) }; 2];
        let ranges = [RamRange {
            first: Frame::from_number(0x1_0000),
            frames: 4,
        }];
        let ownership = Ownership::new(&ranges, &states).unwrap();
        test(&ownership.with_assignments(&assignments));
    }

    #[test]
    fn registers_are_pinned_only_for_a_guest_that_has_them() {
        with(|ownership| {
            assert_eq!(ownership.pin(DOORBELL, ONE), Err(PinError::NotRam));
            ownership.assign_registers(DOORBELL, ONE).unwrap();
            assert_eq!(ownership.pin(DOORBELL, ONE), Ok(()));
            assert_eq!(ownership.pin(DOORBELL, TWO), Err(PinError::NotRam));
            for number in [DOORBELL.number() - 1, DOORBELL.number() + 1] {
                let neighbour = Frame::from_number(number);
                assert_eq!(ownership.pin(neighbour, ONE), Err(PinError::NotRam));
            }
            assert!(ownership.may_reach(DOORBELL, ONE));
            assert!(!ownership.may_reach(DOORBELL, TWO));
            assert!(!ownership.is_guests(DOORBELL, ONE));
        });
    }

    #[test]
    fn registers_stay_with_a_guest_until_the_last_pin_is_gone() {
        with(|ownership| {
            let back = || ownership.withdraw_registers(DOORBELL, ONE);
            assert_eq!(back(), Err(AssignmentError::NotAssigned));
            ownership.assign_registers(DOORBELL, ONE).unwrap();
            ownership.assign_registers(DOORBELL, TWO).unwrap();
            ownership.pin(DOORBELL, ONE).unwrap();
            ownership.pin(DOORBELL, ONE).unwrap();
            assert_eq!(back(), Err(AssignmentError::Pinned(2)));
            assert_eq!(ownership.register_pins(DOORBELL, TWO), Some(0));
            assert_eq!(ownership.withdraw_registers(DOORBELL, TWO), Ok(()));
            ownership.unpin(DOORBELL, ONE);
            ownership.unpin(DOORBELL, ONE);
            assert_eq!(back(), Ok(()));
            assert_eq!(ownership.register_pins(DOORBELL, ONE), None);
        });
    }

    #[test]
    fn the_pin_count_of_registers_ends_at_its_limit() {
        with(|ownership| {
            ownership.assign_registers(DOORBELL, ONE).unwrap();
            for _ in 0..PIN_LIMIT {
                ownership.pin(DOORBELL, ONE).unwrap();
            }
            assert_eq!(ownership.pin(DOORBELL, ONE), Err(PinError::Limit));
            assert_eq!(ownership.register_pins(DOORBELL, ONE), Some(PIN_LIMIT));
        });
    }

    #[test]
    fn what_cannot_be_assigned_is_refused() {
        with(|ownership| {
            let assign = |number, guest| {
                let frame = Frame::from_number(number);
                ownership.assign_registers(frame, guest)
            };
            assert_eq!(assign(0x1_0002, ONE), Err(AssignmentError::NotRegisters));
            assert_eq!(assign(1 << 40, ONE), Err(AssignmentError::NotRegisters));
            assert_eq!(assign(5, ONE), Ok(()));
            assert_eq!(assign(5, ONE), Err(AssignmentError::Taken));
            assert_eq!(assign(6, ONE), Ok(()));
            assert_eq!(assign(7, ONE), Err(AssignmentError::NoRoom));
        });
    }

    #[test]
    #[should_panic(expected = "without a pin")]
    fn an_unpin_of_registers_without_a_pin_is_a_broken_invariant() {
        with(|ownership| {
            ownership.assign_registers(DOORBELL, ONE).unwrap();
            ownership.unpin(DOORBELL, ONE);
        });
    }
}
