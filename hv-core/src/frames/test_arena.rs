//! Frames for tests on a PC: counts what is out, runs dry on request, and panics on misuse.

extern crate std;

use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use super::Frames;
use crate::addr::{FRAME_WORDS, Frame};

/// The number of the arena's first frame, unless told otherwise: far from any guest's addresses.
pub const DEFAULT_BASE: u64 = 0x10_0000;

/// The order that was asked for, and the words of each frame.
type Block = (u32, Vec<Box<[u64; FRAME_WORDS]>>);

struct State {
    blocks: BTreeMap<u64, Block>,
    capacity: usize,
    fail_after: Option<usize>,
    out: usize,
    peak: usize,
}

/// An arena of `capacity` frames that hands out numbers from a base upwards.
pub struct TestArena {
    base: u64,
    state: Mutex<State>,
}

impl TestArena {
    /// An arena of `capacity` frames at [`DEFAULT_BASE`].
    pub fn new(capacity: usize) -> Self {
        Self::at(DEFAULT_BASE, capacity)
    }

    /// An arena of `capacity` frames whose first has the number `base`.
    pub fn at(base: u64, capacity: usize) -> Self {
        let state = State {
            blocks: BTreeMap::new(),
            capacity,
            fail_after: None,
            out: 0,
            peak: 0,
        };
        Self {
            base,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while holding the lock must not hide its own message.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames that are out now.
    pub fn out(&self) -> usize {
        self.state().out
    }

    /// The most frames that were ever out at once.
    pub fn peak(&self) -> usize {
        self.state().peak
    }

    /// Lets `successes` more allocations succeed and every later one fail. `None` lifts that.
    pub fn fail_after(&self, successes: Option<usize>) {
        self.state().fail_after = successes;
    }

    fn find(state: &mut State, frame: Frame) -> Option<&mut [u64; FRAME_WORDS]> {
        let (first, (_, words)) = state.blocks.range_mut(..=frame.number()).next_back()?;
        let offset = usize::try_from(frame.number() - first).ok()?;
        words.get_mut(offset).map(|words| &mut **words)
    }
}

impl Frames for TestArena {
    fn allocate_contiguous(&self, order: u32) -> Option<Frame> {
        let mut state = self.state();
        if let Some(left) = state.fail_after.as_mut() {
            *left = left.checked_sub(1)?;
        }
        let count = 1_usize << order;
        if state.out + count > state.capacity {
            return None;
        }
        let step = 1_u64 << order;
        let mut first = self.base.next_multiple_of(step);
        for (&start, (_, words)) in &state.blocks {
            if start >= first + step {
                break;
            }
            first = first.max((start + words.len() as u64).next_multiple_of(step));
        }
        let words = (0..count).map(|_| Box::new([0; FRAME_WORDS])).collect();
        state.blocks.insert(first, (order, words));
        state.out += count;
        state.peak = state.peak.max(state.out);
        Some(Frame::from_number(first))
    }

    fn free_contiguous(&self, first: Frame, order: u32) {
        let mut state = self.state();
        match state.blocks.remove(&first.number()) {
            Some((given, words)) if given == order => state.out -= words.len(),
            other => panic!(
                "{first:?} freed with order {order}, was {:?}",
                other.map(|b| b.0)
            ),
        }
    }

    fn load(&self, frame: Frame, index: usize) -> u64 {
        match Self::find(&mut self.state(), frame) {
            Some(words) => words[index],
            None => panic!("load from {frame:?}, which is not allocated"),
        }
    }

    fn store(&self, frame: Frame, index: usize, value: u64) {
        match Self::find(&mut self.state(), frame) {
            Some(words) => words[index] = value,
            None => panic!("store to {frame:?}, which is not allocated"),
        }
    }

    fn read_all(&self, frame: Frame, into: &mut [u64; FRAME_WORDS]) {
        match Self::find(&mut self.state(), frame) {
            Some(words) => into.copy_from_slice(words),
            None => panic!("read of {frame:?}, which is not allocated"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arena_gives_aligned_zeroed_frames_and_counts_them() {
        let arena = TestArena::at(3, 8);
        let one = arena.allocate().unwrap();
        let four = arena.allocate_contiguous(2).unwrap();
        assert_eq!(four.number() % 4, 0);
        arena.store(four, 7, 9);
        assert_eq!(arena.load(four, 7), 9);
        assert_eq!(arena.out(), 5);
        assert!(arena.allocate_contiguous(2).is_none());
        arena.free(one);
        arena.free_contiguous(four, 2);
        assert_eq!((arena.out(), arena.peak()), (0, 5));
        let again = arena.allocate_contiguous(2).unwrap();
        assert_eq!(arena.load(again, 7), 0);
    }

    #[test]
    fn the_arena_runs_dry_when_it_is_told_to() {
        let arena = TestArena::new(100);
        arena.fail_after(Some(1));
        assert!(arena.allocate().is_some());
        assert!(arena.allocate().is_none());
        arena.fail_after(None);
        assert!(arena.allocate().is_some());
    }
}
