//! Who gets which part of the machine's RAM at start: Oche, the guest, the pool of frames; and the state of each frame.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;

use arrayvec::ArrayVec;
use boot::machine::{Early, MAX_RESERVED_RANGES};
use boot::placement::{choose_region, largest_gap};
use boot::range::PaRange;
use hv_core::Frame;
use hv_core::addr::{FRAME_SHIFT, FRAME_SIZE};
use hv_core::ownership::{self, GuestId, Owner, Ownership, RamRange};

use super::allocator::{self, FRAMES, RANGES};
use super::image;
use super::sentence::{Sentence, sentence};

extern crate alloc;

/// RAM for Oche's own Rust values, beside the frame states.
const HEAP: u64 = 8 << 20;
/// A guest's RAM begins on one of these, so that stage 2 maps it by blocks at either granule.
const GUEST_ALIGN: u64 = 32 << 20;
/// What Oche takes beside the tree's reservations: image, tree, bundle, heap, guest.
const OWN: usize = 5;

/// The machine's RAM while it is shared out.
pub(super) struct Ram<'a> {
    all: &'a [PaRange],
    reserved: &'a [PaRange],
    taken: ArrayVec<PaRange, { MAX_RESERVED_RANGES + OWN }>,
}

impl<'a> Ram<'a> {
    /// All of it, but for what the tree reserves, Oche's image, the tree and the bundle.
    pub(super) fn new(early: &'a Early, tree: PaRange) -> Self {
        let own = [image::range(), tree].into_iter().chain(early.initrd);
        let taken = early.reserved.iter().copied().chain(own).collect();
        Self {
            all: &early.ram,
            reserved: &early.reserved,
            taken,
        }
    }

    /// How many bytes there are.
    pub(super) fn total(&self) -> u64 {
        self.all.iter().map(PaRange::size).sum()
    }

    fn take(&mut self, size: u64, align: u64) -> Option<PaRange> {
        let range = choose_region(self.all, &self.taken, size, align)?;
        self.taken.push(range);
        Some(range)
    }

    /// Gives Rust its heap.
    pub(super) fn take_heap(&mut self) -> Result<(), Sentence> {
        let states = (self.total() >> FRAME_SHIFT).saturating_mul(size_of::<AtomicU32>() as u64);
        let size = HEAP.saturating_add(states.next_multiple_of(FRAME_SIZE));
        let heap = self.take(size, FRAME_SIZE).ok_or_else(|| {
            sentence!("there is not enough RAM for Oche's heap: give the machine more memory")
        })?;
        // SAFETY: the region keeps clear of everything that is taken, and is taken itself from here on.
        unsafe { allocator::add_rust_heap(heap) };
        Ok(())
    }

    /// The RAM of guest `name`.
    pub(super) fn take_guest(&mut self, name: &str, size: u64) -> Result<PaRange, Sentence> {
        self.take(size, GUEST_ALIGN).ok_or_else(|| {
            sentence!(
                "guest {name} wants {} MiB in one piece, and no part of the machine's {} MiB is \
                 large enough: give the machine more memory",
                size >> 20,
                self.total() >> 20
            )
        })
    }

    /// Everything that is left becomes frames.
    pub(super) fn fill_pool(self, guest: PaRange) {
        let mut ranges = ArrayVec::<PaRange, RANGES>::new();
        let mut taken = self.taken;
        // The largest pieces first, until there is no room to note more of them.
        while ranges.len() + 1 < RANGES {
            let Some(piece) = largest_gap(self.all, &taken, FRAME_SIZE) else {
                break;
            };
            ranges.push(piece);
            if taken.try_push(piece).is_err() {
                break;
            }
        }
        // SAFETY: the pieces are RAM in the linear map, disjoint from each other and from everything that is taken.
        unsafe { FRAMES.fill(ranges, guest) };
    }

    /// The state of every frame: the guest's, the firmware's, or Oche's.
    pub(super) fn states(
        &self,
        id: GuestId,
        guest: PaRange,
    ) -> Result<Ownership<'static>, Sentence> {
        ownership::self_test()
            .map_err(|error| sentence!("the ownership self-test failed: {error:?}"))?;
        let mut ranges: Vec<RamRange> = self.all.iter().map(whole_frames).collect();
        ranges.retain(|range| range.frames > 0);
        ranges.sort_by_key(|range| range.first);
        let ranges: &'static [RamRange] = Box::leak(ranges.into_boxed_slice());
        let words = Ownership::states_needed(ranges).unwrap_or(usize::MAX);
        let mut states = Vec::new();
        states
            .try_reserve_exact(words)
            .map_err(|_| sentence!("no memory for the state of {words} frames"))?;
        states.resize_with(words, || AtomicU32::new(0));
        let ownership = Ownership::new(ranges, Box::leak(states.into_boxed_slice()))
            .map_err(|error| sentence!("{error}"))?;

        let RamRange { first, frames } = whole_frames(&guest);
        ownership
            .transfer_run(first, frames, Owner::Nobody, Owner::Guest(id))
            .map_err(|(frame, why)| sentence!("{frame:?}: {why}"))?;
        let is_reserved = |frame: Frame| {
            self.reserved
                .iter()
                .any(|range| range.contains(frame.base()))
        };
        for RamRange { first, frames } in ranges {
            for number in first.number()..first.number().saturating_add(*frames) {
                let frame = Frame::from_number(number);
                if ownership
                    .state(frame)
                    .is_some_and(|state| state.owner == Owner::Nobody)
                {
                    let owner = if is_reserved(frame) {
                        Owner::Firmware
                    } else {
                        Owner::Hypervisor
                    };
                    ownership
                        .transfer(frame, Owner::Nobody, owner)
                        .map_err(|why| sentence!("{frame:?}: {why}"))?;
                }
            }
        }
        Ok(ownership)
    }
}

/// An odd rest at either end of a range is not used.
fn whole_frames(range: &PaRange) -> RamRange {
    let first = range.start().get().div_ceil(FRAME_SIZE);
    let past = range.end().get() >> FRAME_SHIFT;
    RamRange {
        first: Frame::from_number(first),
        frames: past.saturating_sub(first),
    }
}
