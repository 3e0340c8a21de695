//! `WFI` and what wakes it (Arm ARM D1.6).

use super::stage::{Check, Stage, edge, handle, quiet};
use crate::el1::bench::{Failure, must};
use crate::el1::cores;
use crate::el1::cpu::Deadline;
use crate::el1::gic::line::line;
use crate::el1::gic::{PATIENCE_MS, PRIORITY, icc, vector};
use crate::el1::timers::{Timer, microseconds};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("what pends wakes, though PSTATE.I masks it", pending),
    ("what comes later wakes, though PSTATE.I masks it", later),
    (
        "what comes later wakes and is taken by the vector",
        by_vector,
    ),
    ("an SPI from another core wakes", shared),
];

/// A timer of the lowest priority that wakes when nothing else does, so that a check that fails ends.
struct Guard;

impl Guard {
    fn set() -> Self {
        let timer = Timer::Virtual;
        line(timer.intid()).set_priority(0xe0);
        line(timer.intid()).enable();
        timer.start(timer.now() + microseconds(1000 * PATIENCE_MS));
        Self
    }

    /// Waits for an interrupt that is signalled; the guard's is none. A `WFI` may end without a reason.
    fn sleep(&self) -> Result<(), Failure> {
        while !icc::is_signalled() {
            icc::wait_for_interrupt();
        }
        must(!Timer::Virtual.is_due(), "an interrupt does not end a WFI")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        Timer::Virtual.silence();
    }
}

fn pending(_: &Stage) -> Result<(), Failure> {
    let guard = Guard::set();
    line(1).enable();
    let shared = edge(0, PRIORITY);
    for _ in 0..10 {
        icc::send(1, 0);
        // At once, whether it is signalled already or not.
        icc::wait_for_interrupt();
        guard.sleep()?;
        handle(1)?;
        shared.pend();
        icc::wait_for_interrupt();
        guard.sleep()?;
        handle(shared.intid())?;
    }
    quiet()
}

/// Jobs, for another core: something for the first one, after a while.
fn send_later(us: u64) -> u64 {
    pause(us);
    icc::send(1, 0);
    0
}

fn pend_later(us: u64) -> u64 {
    pause(us);
    line(super::stage::FREE).pend();
    0
}

fn pause(us: u64) {
    let end = Timer::Virtual.now() + microseconds(us);
    let limit = Deadline::after_ms(PATIENCE_MS);
    while Timer::Virtual.now() < end && !limit.passed() {
        core::hint::spin_loop();
    }
}

fn later(stage: &Stage) -> Result<(), Failure> {
    let Some(second) = stage.second() else {
        return Ok(());
    };
    let guard = Guard::set();
    line(1).enable();
    for round in 0..20 {
        cores::give(second, send_later, round * 200);
        guard.sleep()?;
        handle(1)?;
        stage.wait(second)?;
    }
    quiet()
}

fn by_vector(stage: &Stage) -> Result<(), Failure> {
    let Some(second) = stage.second() else {
        return Ok(());
    };
    let _guard = Guard::set();
    line(1).enable();
    let record = vector::record(0);
    record.arm(vector::ignore);
    for round in 0..20 {
        cores::give(second, send_later, u64::from(round) * 200);
        // Masked while looking, so that it cannot come between the look and the wait.
        while record.count(1) <= round {
            must(!Timer::Virtual.is_due(), "an interrupt does not end a WFI")?;
            icc::wait_for_interrupt();
            icc::with_interrupts(|| ());
        }
        stage.wait(second)?;
    }
    must(record.count(1) == 20, "an interrupt is taken twice")?;
    quiet()
}

fn shared(stage: &Stage) -> Result<(), Failure> {
    let Some(second) = stage.second() else {
        return Ok(());
    };
    let guard = Guard::set();
    let line = edge(0, PRIORITY);
    for round in 0..20 {
        cores::give(second, pend_later, round * 200);
        guard.sleep()?;
        handle(line.intid())?;
        stage.wait(second)?;
    }
    quiet()
}
