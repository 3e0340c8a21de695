//! When a timer fires, and when it does not (Arm ARM D12.2.4).

use crate::el1::bench::{Failure, must};
use crate::el1::cores;
use crate::el1::gic::line::line;
use crate::el1::gic::{icc, in_time, vector};
use crate::el1::tests::gic::stage::{Check, Stage, check, goes_or_comes_once, handle, quiet, take};
use crate::el1::timers::{DUE, ENABLE, MASKED, Timer, microseconds};

/// Never, and less than what wraps round when the virtual counter's offset is added: QEMU 7.2 then takes a virtual timer
/// for due again and again, and comes to nothing else.
const FAR: u64 = 1 << 62;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("its registers hold what was written", |_| both(registers)),
    ("it fires at the compare value, not before", |_| {
        both(not_before)
    }),
    ("a distance is signed, and counts down", |_| both(distance)),
    ("off or masked it does not fire", |_| both(masked)),
    ("far away it does not fire, in the past at once", |_| {
        both(extremes)
    }),
    ("it comes again until it is moved", |_| both(again)),
    ("moved before its end it does not come again", |_| {
        both(moved)
    }),
    ("moved before it was acknowledged it goes", |_| {
        both(withdrawn)
    }),
    ("it ends a WFI", |_| both(wait)),
    ("both are due at once and come by priority", together),
    ("each core has its own", each_core),
];

fn both(check: fn(Timer) -> Result<(), Failure>) -> Result<(), Failure> {
    for timer in Timer::ALL {
        line(timer.intid()).enable();
        check(timer).inspect_err(|_| {
            crate::el1::console::say!("oche-payload: detail: the {timer:?} timer");
        })?;
        timer.silence();
        line(timer.intid()).disable();
    }
    Ok(())
}

fn registers(timer: Timer) -> Result<(), Failure> {
    for value in [0, 1 << 40, 0x1234_5678_9abc_def0, !0] {
        timer.set_compare(value);
        must(
            timer.compare() == value,
            "CVAL does not hold what was written",
        )?;
    }
    must(timer.control() == 0, "CTL is not 0 in a timer that is off")?;
    timer.set_compare(FAR);
    // ISTATUS cannot be written.
    timer.set_control(ENABLE | MASKED | DUE);
    check!(
        timer.control() == ENABLE | MASKED,
        "CTL does not hold what was written",
        "{:#x}",
        timer.control()
    )?;
    quiet()
}

fn not_before(timer: Timer) -> Result<(), Failure> {
    for us in [500, 2000, 5000] {
        let compare = timer.now() + microseconds(us);
        timer.start(compare);
        must(in_time(icc::is_signalled), "a timer does not fire")?;
        let now = timer.now();
        check!(
            now >= compare,
            "a timer fires before its time",
            "{} ticks early",
            compare.wrapping_sub(now)
        )?;
        must(timer.control() & DUE != 0, "a timer fires without ISTATUS")?;
        take(timer.intid())?;
        timer.stop();
        icc::end(timer.intid());
        quiet()?;
    }
    Ok(())
}

fn distance(timer: Timer) -> Result<(), Failure> {
    // Into the past: the difference is a signed number of 32 bits.
    timer.set_distance(-1000);
    let compare = timer.compare();
    must(compare < timer.now(), "a negative TVAL lies ahead")?;
    timer.set_control(ENABLE | MASKED);
    must(timer.is_due(), "a negative TVAL is not due")?;
    must(timer.distance() <= -1000, "TVAL does not count below zero")?;
    let before = timer.now();
    timer.set_distance(i32::MAX);
    let after = timer.now();
    let compare = timer.compare();
    let max = u64::from(i32::MAX.cast_unsigned());
    must(
        (before + max..=after + max).contains(&compare),
        "CVAL is not the counter and TVAL",
    )?;
    must(!timer.is_due(), "a timer far away is due")?;
    let first = timer.distance();
    must(
        first > 0 && in_time(|| timer.distance() < first),
        "TVAL does not count down",
    )?;
    // TVAL is CVAL less the counter, in 32 bits.
    timer.set_compare(timer.now() + microseconds(1_000_000));
    let (before, distance) = (timer.now(), timer.distance());
    let expected = timer.compare() - before;
    must(
        distance > 0 && u64::from(distance.unsigned_abs()) <= expected,
        "TVAL is not CVAL less the counter",
    )?;
    // And it fires.
    let ticks = i32::try_from(microseconds(1000)).unwrap_or(i32::MAX);
    timer.set_distance(ticks);
    timer.set_control(ENABLE);
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    quiet()
}

fn masked(timer: Timer) -> Result<(), Failure> {
    timer.set_compare(0);
    timer.set_control(0);
    quiet()?;
    timer.set_control(MASKED);
    quiet()?;
    timer.set_control(ENABLE | MASKED);
    quiet()?;
    must(timer.is_due(), "ISTATUS is 0 in a masked timer that is due")?;
    timer.set_control(ENABLE);
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    quiet()
}

fn extremes(timer: Timer) -> Result<(), Failure> {
    for far in [FAR, timer.now() + (1 << 40)] {
        timer.start(far);
        quiet()?;
        must(!timer.is_due(), "a timer that is far away is due")?;
    }
    for past in [0, 1, timer.now() - 1] {
        timer.start(past);
        take(timer.intid())?;
        timer.stop();
        icc::end(timer.intid());
        quiet()?;
    }
    Ok(())
}

fn again(timer: Timer) -> Result<(), Failure> {
    timer.start(timer.now());
    for _ in 0..10 {
        handle(timer.intid())?;
    }
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    quiet()
}

fn moved(timer: Timer) -> Result<(), Failure> {
    timer.start(timer.now());
    for _ in 0..20 {
        take(timer.intid())?;
        let next = timer.now() + microseconds(3000);
        timer.set_compare(next);
        icc::end(timer.intid());
        while timer.now() < next - microseconds(100) {
            check!(
                !icc::is_signalled() || timer.now() >= next,
                "a timer that was moved before its end comes again",
                "the {timer:?} timer"
            )?;
        }
    }
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    quiet()
}

fn withdrawn(timer: Timer) -> Result<(), Failure> {
    for _ in 0..5 {
        timer.start(timer.now());
        must(in_time(icc::is_signalled), "a timer does not fire")?;
        timer.set_compare(FAR);
        goes_or_comes_once(timer.intid())?;
        timer.start(timer.now());
        must(in_time(icc::is_signalled), "a timer does not fire")?;
        timer.stop();
        goes_or_comes_once(timer.intid())?;
        must(
            line(timer.intid()).is_pending() == Some(false),
            "a timer that is off pends",
        )?;
    }
    Ok(())
}

fn wait(timer: Timer) -> Result<(), Failure> {
    for us in [0, 50, 500, 5000] {
        let compare = timer.now() + microseconds(us);
        timer.start(compare);
        while !icc::is_signalled() {
            icc::wait_for_interrupt();
        }
        must(timer.now() >= compare, "a timer fires before its time")?;
        take(timer.intid())?;
        timer.stop();
        icc::end(timer.intid());
        quiet()?;
    }
    Ok(())
}

fn together(_: &Stage) -> Result<(), Failure> {
    for [first, second] in [
        [Timer::Virtual, Timer::Physical],
        [Timer::Physical, Timer::Virtual],
    ] {
        for (timer, priority) in [(first, 0x40), (second, 0x80)] {
            line(timer.intid()).set_priority(priority);
            line(timer.intid()).enable();
        }
        icc::set_mask(0);
        second.start(second.now());
        first.start(first.now());
        must(
            in_time(|| first.is_due() && second.is_due()),
            "a timer is not due",
        )?;
        quiet()?;
        icc::open_mask();
        take(first.intid())?;
        first.stop();
        icc::end(first.intid());
        take(second.intid())?;
        second.stop();
        icc::end(second.intid());
        quiet()?;
    }
    Ok(())
}

/// A job: both timers of this core fire so often; how often they did by the vector.
fn fire_often(rounds: u64) -> u64 {
    fn stop(intid: u32) {
        for timer in Timer::ALL {
            if timer.intid() == intid {
                timer.stop();
            }
        }
    }
    let record = vector::record(cores::this());
    record.arm(stop);
    for timer in Timer::ALL {
        line(timer.intid()).enable();
    }
    let mut came = 0;
    for round in 0..rounds {
        for timer in Timer::ALL {
            let before = record.count(timer.intid());
            timer.start(timer.now() + microseconds(round % 7 * 100));
            icc::with_interrupts(|| in_time(|| record.count(timer.intid()) > before));
        }
    }
    icc::with_interrupts(|| ());
    for timer in Timer::ALL {
        came += u64::from(record.count(timer.intid()));
    }
    came
}

fn each_core(stage: &Stage) -> Result<(), Failure> {
    const ROUNDS: u64 = 50;
    for core in 1..stage.cores {
        cores::give(core, fire_often, ROUNDS);
    }
    let here = fire_often(ROUNDS);
    check!(
        here == 2 * ROUNDS,
        "a timer fires too often, or not often enough",
        "core 0: {here} of {}",
        2 * ROUNDS
    )?;
    for core in 1..stage.cores {
        let there = stage.wait(core)?;
        check!(
            there == 2 * ROUNDS,
            "a timer fires too often, or not often enough",
            "core {core}: {there} of {}",
            2 * ROUNDS
        )?;
    }
    Ok(())
}
