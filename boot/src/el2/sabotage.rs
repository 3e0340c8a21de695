//! Test images only: Oche breaks itself, to show that its report of a mistake of its own comes out.

use core::hint::black_box;
use core::sync::atomic::{AtomicU8, Ordering};

/// Ways to break, by the name that `guards-out` gives them.
const WAYS: [(&str, fn()); 3] = [
    ("own-fault", fault),
    ("own-panic", panic),
    ("own-overflow", run_over),
];

static WAY: AtomicU8 = AtomicU8::new(0);

/// Breaks this way at the guest's first call; `false` if there is no such way.
pub(super) fn plan(name: &str) -> bool {
    let Some(way) = (1..).zip(WAYS).find(|(_, (known, _))| *known == name) else {
        return false;
    };
    WAY.store(way.0, Ordering::Relaxed);
    true
}

/// Breaks, if that was planned.
pub(super) fn strike() {
    let way = usize::from(WAY.load(Ordering::Relaxed));
    if let Some((_, strike)) = way.checked_sub(1).and_then(|way| WAYS.get(way)) {
        strike();
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
