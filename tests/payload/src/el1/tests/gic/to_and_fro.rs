//! Two cores that answer each other.

use core::sync::atomic::{AtomicU32, Ordering};

use super::stage::{Check, Stage, check, quiet};
use crate::el1::bench::Failure;
use crate::el1::cores;
use crate::el1::gic::line::line;
use crate::el1::gic::{advancing, icc, vector};
use crate::el1::timers::{Timer, microseconds};

pub(super) const CHECKS: &[(&str, Check)] = &[(
    "two cores send an SGI to and fro a thousand times",
    ping_pong,
)];

const ROUNDS: u32 = 1000;
static ANSWERS: AtomicU32 = AtomicU32::new(0);

/// Both wait in `WFI`; this ends it now and then if nothing else does.
fn heartbeat() {
    let timer = Timer::Virtual;
    timer.start(timer.now() + microseconds(50_000));
}

/// On the second core.
fn answer(intid: u32) {
    if intid == 1 {
        icc::send(2, 0);
    } else {
        heartbeat();
    }
}

/// On the first core.
fn ask_again(intid: u32) {
    if intid != 2 {
        heartbeat();
    } else if ANSWERS.fetch_add(1, Ordering::AcqRel) + 1 < ROUNDS {
        icc::send(1, 1);
    }
}

/// Takes an SGI by the vector until so many have come; how many there were.
fn take_all(intid: u32, rounds: u32) -> u32 {
    let record = vector::record(cores::this());
    line(Timer::Virtual.intid()).enable();
    heartbeat();
    icc::with_interrupts(|| {
        advancing(
            || record.count(intid),
            || {
                icc::doze(|| record.count(intid) >= rounds);
                record.count(intid) >= rounds
            },
        )
    });
    Timer::Virtual.silence();
    icc::with_interrupts(|| ());
    record.count(intid)
}

/// A job.
fn answer_all(_: u64) -> u64 {
    vector::record(cores::this()).arm(answer);
    line(1).enable();
    take_all(1, ROUNDS).into()
}

fn ping_pong(stage: &Stage) -> Result<(), Failure> {
    let Some(second) = stage.second() else {
        return Ok(());
    };
    ANSWERS.store(0, Ordering::Release);
    vector::record(0).arm(ask_again);
    line(2).enable();
    cores::give(second, answer_all, 0);
    icc::send(1, second);
    let here = take_all(2, ROUNDS);
    let there = stage.wait(second)?;
    check!(
        here == ROUNDS && there == u64::from(ROUNDS),
        "an SGI of a thousand to and fro is lost or doubled",
        "{here} came back of {there} that went, of {ROUNDS}"
    )?;
    quiet()
}
