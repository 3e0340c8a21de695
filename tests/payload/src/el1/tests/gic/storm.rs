//! Thousands of interrupts at once on two cores: none lost, none doubled.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::stage::{Check, Stage, check, quiet};
use crate::el1::bench::Failure;
use crate::el1::console::say;
use crate::el1::cores;
use crate::el1::cpu::{Deadline, nanoseconds, ticks};
use crate::el1::gic::line::line;
use crate::el1::gic::{advancing, icc, vector};
use crate::el1::timers::{Timer, microseconds};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("SGIs to and fro, and both timers", storm),
    (
        "the same with what is less urgent interrupted",
        preempting_storm,
    ),
];

/// SGIs from each core, and ticks of each timer on each core.
const SGIS: u32 = 2000;
const TICKS: u32 = 300;
const PERIOD_US: u64 = 400;
/// What wakes a core when the ticks are over: the other one has taken its SGI and does not say so.
const BEAT_US: u64 = 1000;
const SGI: u32 = 3;

/// What two cores know of each other.
struct Side {
    /// SGIs it was sent.
    sent: AtomicU32,
    /// SGIs that came to it.
    came: AtomicU32,
    /// Ticks, and what came when nothing was due.
    ticks: [AtomicU32; 2],
    idle: AtomicU32,
    /// The timers have been withdrawn: each may come once more (`goes_or_comes_once`).
    over: AtomicU32,
    /// How many did.
    withdrawn: AtomicU32,
    next: [AtomicU64; 2],
    /// May handlers be interrupted?
    preempt: AtomicU32,
}

static SIDES: [Side; 2] = [const {
    Side {
        sent: AtomicU32::new(0),
        came: AtomicU32::new(0),
        ticks: [const { AtomicU32::new(0) }; 2],
        idle: AtomicU32::new(0),
        over: AtomicU32::new(0),
        withdrawn: AtomicU32::new(0),
        next: [const { AtomicU64::new(0) }; 2],
        preempt: AtomicU32::new(0),
    }
}; 2];

impl Side {
    fn reset(&self, preempt: bool) {
        for counter in [
            &self.sent,
            &self.came,
            &self.idle,
            &self.over,
            &self.withdrawn,
        ]
        .into_iter()
        .chain(&self.ticks)
        {
            counter.store(0, Ordering::Release);
        }
        self.preempt.store(preempt.into(), Ordering::Release);
    }

    fn is_done(&self) -> bool {
        self.came.load(Ordering::Acquire) >= SGIS
            && self
                .ticks
                .iter()
                .all(|ticks| ticks.load(Ordering::Acquire) >= TICKS)
    }
}

fn on_interrupt(intid: u32) {
    let side = &SIDES[cores::this() % 2];
    match intid {
        SGI => {
            side.came.fetch_add(1, Ordering::AcqRel);
        }
        27 => tick(side, Timer::Virtual, 0),
        30 => tick(side, Timer::Physical, 1),
        _ => {
            side.idle.fetch_add(1, Ordering::AcqRel);
        }
    }
    if side.preempt.load(Ordering::Acquire) != 0 {
        // Long enough for something to come.
        icc::with_interrupts(|| {
            for _ in 0..50 {
                core::hint::spin_loop();
            }
        });
    }
}

fn tick(side: &Side, timer: Timer, index: usize) {
    if !timer.is_due() {
        let counter = match side.over.load(Ordering::Acquire) {
            0 => &side.idle,
            _ => &side.withdrawn,
        };
        counter.fetch_add(1, Ordering::AcqRel);
        return;
    }
    let ticks = side.ticks[index].fetch_add(1, Ordering::AcqRel) + 1;
    if ticks == TICKS && timer == Timer::Virtual {
        timer.silence();
        return;
    }
    if ticks >= TICKS {
        // From now on only so that no wait is for ever.
        timer.set_compare(timer.now() + microseconds(BEAT_US));
        return;
    }
    let next = side.next[index].load(Ordering::Acquire) + microseconds(PERIOD_US);
    side.next[index].store(next, Ordering::Release);
    timer.set_compare(next);
}

/// How many have come to either, those aside that only wake.
fn progress() -> u32 {
    SIDES.iter().fold(0, |sum, side| {
        let counters = side.ticks.iter().map(|ticks| ticks.load(Ordering::Acquire));
        sum + side.came.load(Ordering::Acquire) + counters.map(|it| it.min(TICKS)).sum::<u32>()
    })
}

/// A job for both: sends an SGI to the other core (with one core: to itself) when the last one has come, and takes
/// what comes, until all is over.
fn blow(order: u64) -> u64 {
    let (core_count, dozes) = (order & 0xff, order >> 8);
    let this = cores::this();
    let other = if core_count > 1 { 1 - this } else { 0 };
    let (side, target) = (&SIDES[this], &SIDES[other]);
    vector::record(this).arm(on_interrupt);
    for (index, timer) in Timer::ALL.into_iter().enumerate() {
        line(timer.intid()).set_priority(if index == 0 { 0x60 } else { 0x90 });
        line(timer.intid()).enable();
        let next = timer.now() + microseconds(PERIOD_US);
        side.next[index].store(next, Ordering::Release);
        timer.start(next);
    }
    line(SGI).set_priority(0xc0);
    line(SGI).enable();
    icc::with_interrupts(|| {
        advancing(progress, || {
            let sent = target.sent.load(Ordering::Acquire);
            if sent < SGIS && target.came.load(Ordering::Acquire) == sent {
                target.sent.store(sent + 1, Ordering::Release);
                icc::send(SGI, other);
            }
            let is_over = || {
                target.sent.load(Ordering::Acquire) >= SGIS && side.is_done() && target.is_done()
            };
            // One of the two waits in `WFI`, the other one runs.
            if this as u64 == dozes {
                icc::doze(|| {
                    let sent = target.sent.load(Ordering::Acquire);
                    is_over() || sent < SGIS && target.came.load(Ordering::Acquire) == sent
                });
            }
            is_over()
        })
    });
    side.over.store(1, Ordering::Release);
    for timer in Timer::ALL {
        timer.silence();
    }
    // What is doubled has time to come.
    let after = Deadline::after_ms(5);
    icc::with_interrupts(|| while !after.passed() {});
    0
}

fn storm(stage: &Stage) -> Result<(), Failure> {
    run(stage, false)
}

fn preempting_storm(stage: &Stage) -> Result<(), Failure> {
    run(stage, true)
}

fn run(stage: &Stage, preempt: bool) -> Result<(), Failure> {
    let cores = stage.cores.min(2);
    for side in &SIDES {
        side.reset(preempt);
    }
    let order = cores as u64 | if preempt { 0 } else { 1 << 8 };
    let start = ticks();
    if cores > 1 {
        cores::give(1, blow, order);
    }
    blow(order);
    if cores > 1 {
        stage.wait(1)?;
    }
    let took = nanoseconds(ticks() - start) / 1_000_000;
    for (core, side) in SIDES.iter().enumerate().take(cores) {
        let came = side.came.load(Ordering::Acquire);
        let [virtual_ticks, beats] = [0, 1].map(|index| side.ticks[index].load(Ordering::Acquire));
        let physical_ticks = beats.min(TICKS);
        let idle = side.idle.load(Ordering::Acquire);
        let record = vector::record(core);
        check!(
            came == SGIS && virtual_ticks == TICKS && physical_ticks == TICKS && idle == 0,
            "in a storm an interrupt is lost or doubled",
            "core {core}: {came} SGIs of {SGIS}, {virtual_ticks} and {physical_ticks} ticks of \
             {TICKS}, {idle} for nothing"
        )?;
        let withdrawn = side.withdrawn.load(Ordering::Acquire);
        check!(
            withdrawn <= 2,
            "a timer that was withdrawn comes more than once",
            "core {core}: {withdrawn} of two timers"
        )?;
        check!(
            record.taken() == SGIS + virtual_ticks + beats + withdrawn,
            "in a storm more is acknowledged than was sent",
            "core {core}: {} taken, {} spurious",
            record.taken(),
            record.spurious()
        )?;
    }
    say!("oche-payload: gic: fact: a storm on {cores} cores took {took} ms");
    quiet()
}
