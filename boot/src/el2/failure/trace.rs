//! The backtrace, in lines that the host program adds names to: `oche: trace N image+0x...`.

use core::fmt::{self, Display};

use hv_core::Pa;
use hv_core::arch::aarch64::failure::{CORE_SLOTS, GUEST_RECORD, guest_exit_returns};
use hv_core::arch::aarch64::guest::GuestFrame;
use hv_core::arch::aarch64::memory;
use hv_core::backtrace::{self, Backtrace, End};
use log::{error, info};

use super::super::image;
use super::super::stack::Stack;

/// Bytes of an instruction: a call is one before its return address.
const CALL: u64 = 4;

/// A code address, in the image as its ELF has it, or as it is.
pub(super) struct Place(pub(super) u64);

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Pa::new(self.0).offset_from(image::code().start()) {
            Some(offset) if image::code().contains(Pa::new(self.0)) => {
                write!(f, "image+{offset:#x}")
            }
            _ => write!(f, "{:#x}", self.0),
        }
    }
}

/// How many lines of a trace are printed from its inner end, and how many from its outer end: a recursion without end
/// fills the stack, and what began it is as telling as where it ended.
const INNER: usize = 24;
const OUTER: usize = 8;

/// Prints the trace: `interrupted`, if an exception came there, then who called whom from the record at
/// `frame_pointer` on. Answers with the guest's frame, if that is where the chain ends.
pub(super) fn print(interrupted: Option<u64>, frame_pointer: u64) -> Option<&'static GuestFrame> {
    let mut walk = Backtrace::new(frame_pointer, stacks(), |at| {
        // SAFETY: the walk reads aligned words of this core's stack, as `stacks` has them: mapped, and only Rust values
        // of functions that will not go on.
        Some(unsafe { memory::load_word(Pa::new(at)) })
    });
    let mut guest = None;
    let mut calls = 0;
    let mut last = [0; OUTER];
    let returns = core::iter::from_fn(|| match guest {
        None => walk.next().map(|address| {
            if address == guest_exit_returns() {
                guest = Some(walk.frame_pointer());
            }
            address.wrapping_sub(CALL)
        }),
        Some(_) => None,
    });
    for at in interrupted.into_iter().chain(returns) {
        if calls < INNER {
            info!("trace {calls} {}", Place(at));
        }
        last[calls % OUTER] = at;
        calls = calls.saturating_add(1);
    }
    if calls > INNER + OUTER {
        error!("{} calls are left out", calls - INNER - OUTER);
    }
    for nth in INNER.max(calls.saturating_sub(OUTER))..calls {
        info!("trace {nth} {}", Place(last[nth % OUTER]));
    }
    match walk.end() {
        Some(End::Complete) | None => {}
        Some(why) => error!("the trace ends early: {why:?}"),
    }
    guest_frame(guest?)
}

fn stacks() -> impl Iterator<Item = backtrace::Stack> {
    (0..CORE_SLOTS)
        .filter_map(Stack::of_core)
        .map(|stack| stack.addresses())
}

/// The frame whose `x29` lies at `record`, if all of it is on a stack.
fn guest_frame(record: u64) -> Option<&'static GuestFrame> {
    let start = record.checked_sub(GUEST_RECORD)?;
    let end = start.checked_add(size_of::<GuestFrame>() as u64)?;
    let held = stacks().any(|stack| stack.bottom <= start && end <= stack.top);
    if !held || !start.is_multiple_of(align_of::<GuestFrame>() as u64) {
        return None;
    }
    // SAFETY: aligned, on a stack, any bits are a frame, and the function that had it mutably does not go on.
    Some(unsafe { &*(start as *const GuestFrame) })
}
