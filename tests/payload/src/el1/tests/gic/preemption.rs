//! Interrupts inside interrupts, and the binary point (IHI 0069, 4.8.3).

use core::sync::atomic::{AtomicU32, Ordering};

use super::stage::{Check, FREE, Stage, arrives, check, edge, handle, quiet, take};
use crate::el1::bench::{Failure, must};
use crate::el1::gic::line::line;
use crate::el1::gic::{icc, in_time, vector};

pub(super) const CHECKS: &[(&str, Check)] = &[
    (
        "a more urgent one interrupts, a less urgent one waits",
        polled,
    ),
    ("an equal one waits", equal_waits),
    ("fifteen inside each other", fifteen_deep),
    (
        "the binary point has its smallest value and those above",
        binary_points,
    ),
    ("the binary point says what interrupts what", groups),
    (
        "within a group the order is the whole priority's",
        within_a_group,
    ),
    (
        "by the vector: a handler is interrupted by a more urgent one only",
        by_vector,
    ),
];

fn polled(_: &Stage) -> Result<(), Failure> {
    let (low, high, middle) = (edge(0, 0xc0), edge(1, 0x80), edge(2, 0xa0));
    low.pend();
    take(low.intid())?;
    high.pend();
    take(high.intid())?;
    middle.pend();
    quiet()?;
    must(
        icc::running_priority() == 0x80,
        "ICC_RPR_EL1 is not the inner interrupt's",
    )?;
    icc::end(high.intid());
    must(
        icc::running_priority() == 0xc0,
        "ICC_RPR_EL1 is not the outer interrupt's after the inner one's end",
    )?;
    take(middle.intid())?;
    icc::end(middle.intid());
    icc::end(low.intid());
    must(
        icc::running_priority() == icc::IDLE,
        "a priority runs after all have ended",
    )?;
    quiet()
}

fn equal_waits(_: &Stage) -> Result<(), Failure> {
    let (first, second) = (edge(0, 0x80), edge(1, 0x80));
    first.pend();
    take(first.intid())?;
    second.pend();
    quiet()?;
    icc::end(first.intid());
    handle(second.intid())?;
    quiet()
}

fn fifteen_deep(_: &Stage) -> Result<(), Failure> {
    for split in [false, true] {
        icc::set_split(split);
        for number in 0..15_u8 {
            let line = edge(number.into(), 0xe0 - 0x10 * number);
            line.pend();
            take(line.intid())?;
        }
        quiet()?;
        for number in (0..15_u8).rev() {
            let line = line(FREE + u32::from(number));
            must(
                icc::running_priority() == 0xe0 - 0x10 * number,
                "ICC_RPR_EL1 is not the innermost interrupt's",
            )?;
            must(
                line.is_active() == Some(true),
                "an outer interrupt is not active",
            )?;
            icc::end(line.intid());
            if split {
                icc::deactivate(line.intid());
            }
            must(
                in_time(|| line.is_active() == Some(false)),
                "an interrupt stays active after its end",
            )?;
        }
        must(
            icc::running_priority() == icc::IDLE,
            "a priority runs after all have ended",
        )?;
        quiet()?;
    }
    Ok(())
}

/// The smallest binary point.
fn smallest() -> u8 {
    icc::set_binary_point(0);
    icc::binary_point()
}

fn binary_points(_: &Stage) -> Result<(), Failure> {
    let smallest = smallest();
    // With n bits of preemption it is 8 - n; n is 4 to 7.
    check!(
        (1..=4).contains(&smallest),
        "the smallest ICC_BPR1_EL1 is none that Group 1 can have",
        "{smallest}"
    )?;
    for point in 0..8 {
        icc::set_binary_point(point);
        must(
            icc::binary_point() == point.max(smallest),
            "ICC_BPR1_EL1 does not hold what was written",
        )?;
    }
    Ok(())
}

fn groups(_: &Stage) -> Result<(), Failure> {
    let smallest = smallest();
    for point in smallest..=7 {
        icc::set_binary_point(point);
        // Priorities that differ in the lowest bit of the group, and in the highest below it.
        let (outer, inner) = (0x80_u8, 0x80 - (1 << point) % 0x80);
        if point < 7 {
            nested(outer, inner, true)?;
        } else {
            // Two groups only: the highest bit.
            nested(0x80, 0x00, true)?;
        }
        if point > smallest.max(4) {
            nested(outer | 1 << (point - 1), outer, false)?;
        }
    }
    Ok(())
}

/// Does an interrupt of priority `inner` come while one of `outer` is active?
fn nested(outer: u8, inner: u8, comes: bool) -> Result<(), Failure> {
    let group = |priority: u8| priority & 0xff << icc::binary_point();
    let (first, second) = (edge(0, outer), edge(1, inner));
    first.pend();
    take(first.intid())?;
    check!(
        icc::running_priority() == group(outer),
        "ICC_RPR_EL1 is not the group's priority",
        "{:#x}, of {outer:#x} with ICC_BPR1_EL1 {}",
        icc::running_priority(),
        icc::binary_point()
    )?;
    second.pend();
    if comes {
        take(second.intid())?;
        icc::end(second.intid());
        icc::end(first.intid());
    } else {
        quiet()?;
        icc::end(first.intid());
        handle(second.intid())?;
    }
    quiet()
}

fn within_a_group(_: &Stage) -> Result<(), Failure> {
    icc::set_binary_point(7);
    icc::set_mask(0);
    let (late, early) = (edge(0, 0xb0), edge(1, 0x90));
    late.pend();
    early.pend();
    icc::open_mask();
    handle(early.intid())?;
    handle(late.intid())?;
    quiet()
}

/// What happened, a decimal digit each.
static STORY: AtomicU32 = AtomicU32::new(0);

fn tell(digit: u32) {
    let story = STORY.load(Ordering::Acquire);
    STORY.store(story * 10 + digit, Ordering::Release);
}

fn nest(intid: u32) {
    tell(intid - FREE + 1);
    if intid == FREE {
        line(FREE + 1).pend();
        line(FREE + 2).pend();
        icc::with_interrupts(|| in_time(|| vector::record(0).count(FREE + 1) != 0));
        // It may be on its way still.
        icc::with_interrupts(linger);
        tell(9);
    }
}

/// Gives what must not come time to come.
fn linger() {
    let before = vector::record(0).taken();
    let deadline = crate::el1::cpu::Deadline::after_ms(2);
    while !deadline.passed() && vector::record(0).taken() == before {
        core::hint::spin_loop();
    }
}

fn by_vector(_: &Stage) -> Result<(), Failure> {
    STORY.store(0, Ordering::Release);
    let outer = edge(0, 0x80);
    let _ = (edge(1, 0x40), edge(2, 0xc0));
    let record = vector::record(0);
    record.arm(nest);
    outer.pend();
    icc::with_interrupts(|| in_time(|| record.taken() >= 3));
    // 1 begins, 2 interrupts it, 1 ends (9), 3 comes.
    let story = STORY.load(Ordering::Acquire);
    check!(
        story == 1293,
        "handlers do not interrupt each other by priority",
        "1293 is right, {story} happened"
    )?;
    must(
        icc::running_priority() == icc::IDLE,
        "a priority runs after all have ended",
    )?;
    record.disarm();
    quiet()?;
    outer.pend();
    arrives()?;
    handle(outer.intid())
}
