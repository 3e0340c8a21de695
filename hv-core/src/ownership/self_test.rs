//! Every legal and illegal transition, tried on a private array: run at boot on the machine and as
//! a unit test on a PC.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use super::{
    GuestId, ONE_PIN, Owner, Ownership, PIN_LIMIT, PIN_SHIFT, PinError, RamRange, TransferError,
};
use crate::addr::Frame;

/// The check that failed: a sentence for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfTestFailure(pub &'static str);

impl fmt::Display for SelfTestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ownership self-test: {}", self.0)
    }
}

const FIRST: Frame = Frame::from_number(0x40);

fn check(holds: bool, sentence: &'static str) -> Result<(), SelfTestFailure> {
    if holds {
        Ok(())
    } else {
        Err(SelfTestFailure(sentence))
    }
}

/// Tries every transition between every two owners, with and without a pin, and the limits of the
/// pin count.
///
/// # Errors
/// The first check that failed; the machine must not start a guest then.
pub fn self_test() -> Result<(), SelfTestFailure> {
    const ONE: Owner = Owner::Guest(GuestId(0));
    const OTHER: Owner = Owner::Guest(GuestId(GuestId::LAST));
    const OWNERS: [Owner; 5] = [
        Owner::Nobody,
        Owner::Hypervisor,
        Owner::Firmware,
        ONE,
        OTHER,
    ];

    let states = [const { AtomicU32::new(0) }; 4];
    // Two ranges with a hole of one frame between them.
    let ranges = [
        RamRange {
            first: FIRST,
            frames: 2,
        },
        RamRange {
            first: Frame::from_number(FIRST.number() + 3),
            frames: 2,
        },
    ];
    let ownership = Ownership::new(&ranges, &states)
        .map_err(|_| SelfTestFailure("well-formed ranges were refused"))?;
    let outside = [FIRST.number() - 1, FIRST.number() + 2, FIRST.number() + 5];

    for from in OWNERS {
        for to in OWNERS {
            states[0].store(from.code(), Ordering::Relaxed);
            let outcome = ownership.transfer(FIRST, from, to);
            let after = states[0].load(Ordering::Relaxed);
            if from.may_become(to) {
                check(
                    outcome.is_ok() && after == to.code(),
                    "a legal transition was refused",
                )?;
            } else {
                check(
                    outcome == Err(TransferError::Illegal),
                    "an illegal transition happened",
                )?;
                check(
                    after == from.code(),
                    "a refused transition changed the state",
                )?;
            }

            states[0].store(from.code() | ONE_PIN, Ordering::Relaxed);
            check(
                ownership.transfer(FIRST, from, to).is_err(),
                "a pinned frame changed hands",
            )?;
            check(
                states[0].load(Ordering::Relaxed) == from.code() | ONE_PIN,
                "a refused transition changed the pin count",
            )?;

            for wrong in OWNERS {
                if wrong != from {
                    states[0].store(from.code(), Ordering::Relaxed);
                    check(
                        ownership.transfer(FIRST, wrong, to).is_err(),
                        "a frame was given away by somebody who does not own it",
                    )?;
                }
            }
        }

        states[0].store(from.code(), Ordering::Relaxed);
        let pinned = ownership.pin(FIRST, GuestId(0));
        if from == ONE {
            check(pinned.is_ok(), "a guest's own frame could not be pinned")?;
            ownership.unpin(FIRST, GuestId(0));
        } else {
            check(
                pinned == Err(PinError::NotOwned),
                "a frame was pinned for another's device",
            )?;
        }
        check(
            states[0].load(Ordering::Relaxed) == from.code(),
            "a pin was left behind",
        )?;
    }

    states[1].store(
        ONE.code() | u32::from(PIN_LIMIT) << PIN_SHIFT,
        Ordering::Relaxed,
    );
    let second = Frame::from_number(FIRST.number() + 1);
    check(
        ownership.pin(second, GuestId(0)) == Err(PinError::Limit),
        "a pin count went past its limit",
    )?;
    for number in outside {
        let frame = Frame::from_number(number);
        check(
            ownership.state(frame).is_none(),
            "a frame outside RAM has a state",
        )?;
        check(
            ownership.pin(frame, GuestId(0)) == Err(PinError::NotRam),
            "no RAM, yet pinned",
        )?;
    }
    check(
        states[2].load(Ordering::Relaxed) == 0,
        "a neighbour's state was changed",
    )?;
    check(
        states[3].load(Ordering::Relaxed) == 0,
        "a neighbour's state was changed",
    )
}
