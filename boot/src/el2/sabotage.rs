//! Test images only: Oche breaks itself, to show that its report of a failure of its own comes out, and takes memory
//! from itself, to show that nothing fails for want of it.

use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicU8, Ordering};

use arrayvec::ArrayVec;
use hv_core::Frame;
use hv_core::frames::Frames;
use log::info;

use super::allocator::FRAMES;
use super::cores;

extern crate alloc;

/// One way to break.
struct Way {
    /// What `guards-out` calls it.
    name: &'static str,
    /// Whose call it is that breaks.
    vcpu: Option<usize>,
    strike: fn(),
}

const fn way(name: &'static str, vcpu: Option<usize>, strike: fn()) -> Way {
    Way { name, vcpu, strike }
}

/// At a guest's call.
const WAYS: [Way; 8] = [
    way("own-fault", None, fault),
    way("own-panic", None, panic),
    way("own-overflow", None, run_over),
    way("own-fault-second", Some(1), fault),
    way("own-panic-second", Some(1), panic),
    way("own-overflow-second", Some(1), run_over),
    way("own-report", None, fail_in_report),
    way("no-heap", None, use_heap_up),
];

static WAY: AtomicU8 = AtomicU8::new(0);

/// Breaks this way at the guest's first call, or at once; `false` if there is no such way.
pub(super) fn plan(name: &str) -> bool {
    match name {
        "no-frames-at-start" => {
            drain(0);
            return true;
        }
        "no-heap-at-start" => use_heap_up(),
        _ => {}
    }
    if let Some((_, left)) = DRAINS.iter().find(|(known, _)| *known == name) {
        DRAIN.store(*left, Ordering::Relaxed);
        return true;
    }
    let Some(way) = (1..).zip(WAYS).find(|(_, known)| known.name == name) else {
        return false;
    };
    WAY.store(way.0, Ordering::Relaxed);
    true
}

/// Breaks, if that was planned.
pub(super) fn strike() {
    match DRAIN.swap(DRAINED, Ordering::Relaxed) {
        DRAINED => {}
        left => drain(left),
    }
    let way = usize::from(WAY.load(Ordering::Relaxed));
    let Some(way) = way.checked_sub(1).and_then(|way| WAYS.get(way)) else {
        return;
    };
    let vcpu = cores::this().running().map(|(_, vcpu)| vcpu);
    if way.vcpu.is_none() || way.vcpu == vcpu {
        (way.strike)();
    }
}

fn fault() {
    // SAFETY: none to give: nothing is mapped there, which is the point.
    let _ = unsafe { core::ptr::read_volatile(0x1008 as *const u64) };
}

fn panic() {
    assert!(black_box(false), "broken on purpose");
}

fn run_over() {
    let _ = black_box(overflow(0));
}

#[expect(unconditional_recursion, reason = "the stack's guard frame ends it")]
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    overflow(depth.wrapping_add(1)).wrapping_add(room[black_box(0)])
}

/// A panic whose message panics.
fn fail_in_report() {
    struct Broken;
    impl core::fmt::Display for Broken {
        fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            panic();
            Ok(())
        }
    }
    assert!(black_box(false), "{}", Broken);
}

/// Asks the heap for more than it can have.
fn use_heap_up() {
    let block = || black_box(Vec::<u8>::with_capacity(1 << 20));
    loop {
        core::mem::forget(block());
    }
}

/// How many frames are left in the pool, by the name that `guards-out` gives it: none for the root of a space, or one
/// for the root and none for a table below it.
const DRAINS: [(&str, u8); 2] = [("no-frames", 0), ("two-frames", 2)];

/// Nothing is to be taken out of the pool, or not any more.
const DRAINED: u8 = u8::MAX;

static DRAIN: AtomicU8 = AtomicU8::new(DRAINED);

/// Takes the frames but for `left` out of the pool and never gives them back.
fn drain(left: u8) {
    let spared: ArrayVec<Frame, 2> = (0..left.min(2)).filter_map(|_| FRAMES.allocate()).collect();
    for order in (0..16).rev() {
        while FRAMES.allocate_contiguous(order).is_some() {}
    }
    for frame in spared {
        FRAMES.free(frame);
    }
    info!("{} frames are left", FRAMES.free_frames());
}
