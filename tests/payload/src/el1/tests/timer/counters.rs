//! The counters that timers compare with (Arm ARM D12.1).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::el1::bench::{Failure, must};
use crate::el1::console::say;
use crate::el1::cores;
use crate::el1::cpu::read_register;
use crate::el1::gic::advancing;
use crate::el1::tests::gic::stage::{Check, Stage, check};
use crate::el1::timers::Timer;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("the frequency is set", frequency),
    ("the counters never go back", monotonic),
    ("the counters of two cores agree", across_cores),
    (
        "the virtual counter is the physical one less an offset",
        offset,
    ),
];

fn frequency(stage: &Stage) -> Result<(), Failure> {
    let here = read_register!("cntfrq_el0");
    must(here >= 1_000_000, "CNTFRQ_EL0 is below a megahertz")?;
    for core in 1..stage.cores {
        let there = stage.on(core, |_| read_register!("cntfrq_el0"), 0)?;
        must(there == here, "CNTFRQ_EL0 differs between cores")?;
    }
    Ok(())
}

/// A job: 1 if a counter never goes back.
fn never_back(rounds: u64) -> u64 {
    let mut right = true;
    for timer in Timer::ALL {
        let mut last = timer.now();
        for _ in 0..rounds {
            let now = timer.now();
            right &= now >= last;
            last = now;
        }
    }
    right.into()
}

fn monotonic(stage: &Stage) -> Result<(), Failure> {
    const ROUNDS: u64 = 20_000;
    for core in 1..stage.cores {
        cores::give(core, never_back, ROUNDS);
    }
    must(never_back(ROUNDS) == 1, "a counter goes back")?;
    for core in 1..stage.cores {
        must(stage.wait(core)? == 1, "a counter goes back")?;
    }
    // It goes on, too.
    for timer in Timer::ALL {
        let start = timer.now();
        must(
            crate::el1::gic::in_time(|| timer.now() > start + 1000),
            "a counter stands still",
        )?;
    }
    Ok(())
}

/// The newest count that any core has seen, while two cores look in turns.
static NEWEST: AtomicU64 = AtomicU64::new(0);
static TURN: AtomicU32 = AtomicU32::new(0);

/// A job: in every second turn, is the counter at least where the other core saw it? 1 if always.
fn in_turns(parity: u64) -> u64 {
    const TURNS: u32 = 100;
    let mut right = true;
    let over = advancing(
        || TURN.load(Ordering::Acquire),
        || {
            let turn = TURN.load(Ordering::Acquire);
            if turn < TURNS && u64::from(turn % 2) == parity {
                let now = Timer::Virtual.now();
                right &= now >= NEWEST.load(Ordering::Acquire);
                NEWEST.store(now, Ordering::Release);
                TURN.store(turn + 1, Ordering::Release);
            }
            turn >= TURNS
        },
    );
    (right && over).into()
}

fn across_cores(stage: &Stage) -> Result<(), Failure> {
    let Some(second) = stage.second() else {
        return Ok(());
    };
    NEWEST.store(0, Ordering::Release);
    TURN.store(0, Ordering::Release);
    cores::give(second, in_turns, 1);
    let here = in_turns(0);
    let there = stage.wait(second)?;
    must(
        here == 1 && there == 1,
        "CNTVCT_EL0 is behind what another core has seen",
    )
}

/// What the offset may be, as far as looks at both counters tell: at least, at most.
#[derive(Clone, Copy)]
struct Bounds {
    least: u64,
    most: u64,
}

/// Physical, virtual, physical, so that the virtual one lies between. Moved by half of the range, so that small offsets
/// of both signs compare.
fn look(bounds: Bounds) -> Bounds {
    const HALF: u64 = 1 << 63;
    let first = Timer::Physical.now();
    let middle = Timer::Virtual.now();
    let last = Timer::Physical.now();
    let from = |physical: u64| physical.wrapping_sub(middle).wrapping_add(HALF);
    Bounds {
        least: bounds.least.max(from(first)),
        most: bounds.most.min(from(last)),
    }
}

static LEAST: AtomicU64 = AtomicU64::new(0);
static MOST: AtomicU64 = AtomicU64::new(0);

/// A job: looks often, beginning with what others saw; 1 if there is an offset that fits all.
fn look_often(rounds: u64) -> u64 {
    let mut bounds = Bounds {
        least: LEAST.load(Ordering::Acquire),
        most: MOST.load(Ordering::Acquire),
    };
    for _ in 0..rounds {
        bounds = look(bounds);
    }
    LEAST.store(bounds.least, Ordering::Release);
    MOST.store(bounds.most, Ordering::Release);
    (bounds.least <= bounds.most).into()
}

fn offset(stage: &Stage) -> Result<(), Failure> {
    LEAST.store(0, Ordering::Release);
    MOST.store(u64::MAX, Ordering::Release);
    must(look_often(5000) == 1, "the offset of CNTVCT_EL0 changes")?;
    for core in 1..stage.cores {
        let fits = stage.on(core, look_often, 5000)?;
        check!(
            fits == 1,
            "the offset of CNTVCT_EL0 differs between cores",
            "core {core}"
        )?;
    }
    say!(
        "oche-payload: timer: fact: CNTPCT_EL0 is {} to {} ahead of CNTVCT_EL0",
        LEAST
            .load(Ordering::Acquire)
            .wrapping_sub(1 << 63)
            .cast_signed(),
        MOST.load(Ordering::Acquire)
            .wrapping_sub(1 << 63)
            .cast_signed()
    );
    Ok(())
}
