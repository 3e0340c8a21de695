//! Following frame pointers through a stack that may be damaged.
//!
//! Every function that is no leaf keeps a *frame record*: two words, the caller's `x29` and its own return address,
//! with `x29` pointing at them (AAPCS64, 6.4.6). Records are chained towards the stack's top; a zero `x29` ends the
//! chain. Whoever walks it after a failure may trust nothing of that: each pointer is checked before it is followed,
//! and a walk ends after [`MOST_RECORDS`] whatever they say.

#[cfg(test)]
mod tests;

/// How many records a walk reads at most: as many as fit the largest stack there is. What called them is left out, and
/// [`End::TooMany`] says so.
pub const MOST_RECORDS: usize = (256 << 10) / 16;

/// Bytes of a frame record.
const RECORD: u64 = 16;

/// Addresses that a chain may lie in: `bottom` is the lowest one, `top` the first above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The lowest address.
    pub bottom: u64,
    /// The first address above it.
    pub top: u64,
}

impl Stack {
    /// Does a whole record at `at` lie in this stack?
    fn holds_record(&self, at: u64) -> bool {
        at >= self.bottom && at.checked_add(RECORD).is_some_and(|end| end <= self.top)
    }
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the chain's own end: nothing is missing.
    Complete,
    /// The next frame pointer is no multiple of 8.
    Unaligned,
    /// It lies in none of the stacks, or in another one than the first record.
    Outside,
    /// It does not lie above the record that it came from: the chain would go round.
    Downwards,
    /// A word could not be read.
    Unreadable,
    /// After [`MOST_RECORDS`] records.
    TooMany,
}

/// A walk: yields the return addresses, the innermost first.
#[derive(Debug)]
pub struct Backtrace<R> {
    read: R,
    stack: Option<Stack>,
    /// The frame pointer that is followed next.
    next: u64,
    /// The record that it came from; 0 before the first.
    last: u64,
    left: usize,
    end: Option<End>,
}

impl<R: FnMut(u64) -> Option<u64>> Backtrace<R> {
    /// A walk from the record at `frame_pointer`, in the one of `stacks` that holds it. `read` loads the aligned word
    /// at an address; it is asked only for words inside that stack.
    pub fn new(frame_pointer: u64, stacks: impl IntoIterator<Item = Stack>, read: R) -> Self {
        let stack = stacks
            .into_iter()
            .find(|stack| stack.holds_record(frame_pointer));
        Self {
            read,
            stack,
            next: frame_pointer,
            last: 0,
            left: MOST_RECORDS,
            end: None,
        }
    }

    /// The frame pointer that the walk would follow next.
    pub const fn frame_pointer(&self) -> u64 {
        self.next
    }

    /// Why the walk ended, once it has.
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    fn record(&mut self) -> Result<u64, End> {
        let at = self.next;
        if at == 0 {
            return Err(End::Complete);
        }
        if self.left == 0 {
            return Err(End::TooMany);
        }
        if !at.is_multiple_of(8) {
            return Err(End::Unaligned);
        }
        if !self.stack.is_some_and(|stack| stack.holds_record(at)) {
            return Err(End::Outside);
        }
        // Records do not overlap, so each lies a whole one above the last.
        if self.last != 0 && at < self.last.saturating_add(RECORD) {
            return Err(End::Downwards);
        }
        let caller = (self.read)(at).ok_or(End::Unreadable)?;
        let address = (self.read)(at.saturating_add(8)).ok_or(End::Unreadable)?;
        self.left = self.left.saturating_sub(1);
        self.last = at;
        self.next = caller;
        Ok(address)
    }
}

impl<R: FnMut(u64) -> Option<u64>> Iterator for Backtrace<R> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.end.is_some() {
            return None;
        }
        match self.record() {
            Ok(address) => Some(address),
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }
}
