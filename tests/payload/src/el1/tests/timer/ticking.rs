//! Periodic ticks, counted.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::el1::bench::{Failure, must};
use crate::el1::cores;
use crate::el1::gic::line::line;
use crate::el1::gic::{self, Fault, GICD_TYPER, advancing, icc, vector};
use crate::el1::tests::gic::stage::{Check, Stage, check, quiet};
use crate::el1::timers::{Timer, microseconds};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("two hundred ticks are two hundred", |_| each(two_hundred)),
    ("two hundred ticks on every core", on_every_core),
    ("ticks while registers of a device are read", |_| {
        each(while_reading)
    }),
    ("ticks while the core waits", |_| each(while_waiting)),
];

fn each(check: fn(Timer) -> Result<(), Failure>) -> Result<(), Failure> {
    check(Timer::Virtual)?;
    check(Timer::Physical)
}

/// A core's clock.
struct Clock {
    ticks: AtomicU32,
    wanted: AtomicU32,
    /// Interrupts of a timer that was not due.
    idle: AtomicU32,
    period: AtomicU64,
}

static CLOCKS: [Clock; cores::MAX] = [const {
    Clock {
        ticks: AtomicU32::new(0),
        wanted: AtomicU32::new(0),
        idle: AtomicU32::new(0),
        period: AtomicU64::new(0),
    }
}; cores::MAX];

/// What the next tick is reckoned from is CVAL, so that none is skipped however late it is.
fn on_tick(intid: u32) {
    let clock = &CLOCKS[cores::this()];
    let Some(timer) = Timer::ALL.into_iter().find(|it| it.intid() == intid) else {
        return;
    };
    if !timer.is_due() {
        clock.idle.fetch_add(1, Ordering::AcqRel);
        return;
    }
    let ticks = clock.ticks.fetch_add(1, Ordering::AcqRel) + 1;
    if Fault::DoubleTick.is_in() && ticks.is_multiple_of(50) {
        return;
    }
    if ticks >= clock.wanted.load(Ordering::Acquire) {
        timer.stop();
    }
    timer.set_compare(timer.compare() + clock.period.load(Ordering::Acquire));
}

/// Starts the clock of this core; returns when its first tick would have been one period ago.
fn start(timer: Timer, ticks: u32, us: u64) -> u64 {
    let this = cores::this();
    let clock = &CLOCKS[this];
    clock.ticks.store(0, Ordering::Release);
    clock.idle.store(0, Ordering::Release);
    clock.wanted.store(ticks, Ordering::Release);
    clock.period.store(microseconds(us), Ordering::Release);
    vector::record(this).arm(on_tick);
    line(timer.intid()).enable();
    let start = timer.now();
    timer.start(start + microseconds(us));
    start
}

/// Waits for the end, and judges. `meanwhile` is done over and over.
fn run(timer: Timer, ticks: u32, us: u64, mut meanwhile: impl FnMut()) -> Result<(), Failure> {
    let this = cores::this();
    let (clock, record) = (&CLOCKS[this], vector::record(this));
    let start = start(timer, ticks, us);
    let ended = icc::with_interrupts(|| {
        advancing(
            || record.taken(),
            || {
                meanwhile();
                clock.ticks.load(Ordering::Acquire) >= ticks
            },
        )
    });
    let end = timer.now();
    // What is doubled has time to come.
    icc::with_interrupts(|| ());
    let (came, idle) = (
        clock.ticks.load(Ordering::Acquire),
        clock.idle.load(Ordering::Acquire),
    );
    check!(ended, "ticks do not come", "{came} of {ticks}")?;
    check!(
        came == ticks && idle == 0 && record.count(timer.intid()) == ticks,
        "a tick comes twice, or for nothing",
        "{came} of {ticks}, {idle} for nothing, {} taken",
        record.count(timer.intid())
    )?;
    let period = microseconds(us);
    must(
        timer.compare() == start + u64::from(ticks + 1) * period,
        "a tick was counted and the timer not moved",
    )?;
    must(
        end >= start + u64::from(ticks) * period,
        "the last tick comes before its time",
    )?;
    quiet()
}

fn two_hundred(timer: Timer) -> Result<(), Failure> {
    run(timer, 200, 1000, core::hint::spin_loop)
}

/// A job: 1 if all is right.
fn two_hundred_here(_: u64) -> u64 {
    let right = two_hundred(Timer::Virtual).and_then(|()| two_hundred(Timer::Physical));
    right.is_ok().into()
}

fn on_every_core(stage: &Stage) -> Result<(), Failure> {
    for core in 1..stage.cores {
        cores::give(core, two_hundred_here, 0);
    }
    let here = two_hundred_here(0);
    let mut right = here == 1;
    for core in 1..stage.cores {
        right &= stage.wait(core)? == 1;
    }
    must(right, "on some core a tick is lost or doubled")
}

fn while_reading(timer: Timer) -> Result<(), Failure> {
    let first = gic::distributor().read32(GICD_TYPER);
    let mut right = true;
    run(timer, 100, 500, || {
        for _ in 0..20 {
            right &= gic::distributor().read32(GICD_TYPER) == first;
            right &= line(super::super::gic::stage::FREE).priority() == gic::PRIORITY;
        }
    })?;
    must(right, "a register reads as another while ticks come")
}

fn while_waiting(timer: Timer) -> Result<(), Failure> {
    let clock = &CLOCKS[cores::this()];
    run(timer, 100, 500, || {
        icc::doze(|| clock.ticks.load(Ordering::Acquire) >= clock.wanted.load(Ordering::Acquire));
    })
}
