//! An SMMU that reads commands and structures by the numbers of the specification, with none of the
//! driver's own encodings.

extern crate std;

use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::vec::Vec;

use hv_core::Frame;
use hv_core::addr::{FRAME_WORDS, Pa};
use hv_core::frames::Frames;
use hv_core::frames::test_arena::TestArena;

use crate::iommu::smmuv3::{Smmuv3, StartError};
use crate::seams::{Fence, Registers};

/// What the made-up SMMU saw, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A command's number, its stream or tag, and its second word.
    Command(u64, u64, u64),
    Cr0(u32),
    Gbpa,
    Fence,
}

#[derive(Default)]
pub(super) struct State {
    registers: BTreeMap<usize, u64>,
    seen: Vec<Seen>,
    /// Word 0 of the stream's entry at each CMD_CFGI_STE.
    pub(super) entries: Vec<u64>,
    pub(super) stuck: bool,
    pub(super) error: bool,
    fenced: bool,
}

pub(super) struct Smmu {
    pub(super) arena: TestArena,
    pub(super) state: Mutex<State>,
}

pub(super) const IDR0_QEMU: u32 =
    1 << 1 | 0b10 << 2 | 1 << 4 | 1 << 18 | 0b10 << 21 | 0b01 << 24 | 1 << 26 | 0b01 << 27;
pub(super) const IDR1_QEMU: u32 = 19 << 21 | 19 << 16 | 16;
pub(super) const IDR5_QEMU: u32 = 1 << 4 | 1 << 5 | 1 << 6 | 0b100;
/// What lies below is registers.
const DEVICES_BELOW: u64 = 0x4000_0000;
pub(super) const TOP: Pa = Pa::new(0x1_8000_0000);

impl Smmu {
    pub(super) fn leaked() -> &'static Self {
        Self::with(IDR0_QEMU, IDR1_QEMU, IDR5_QEMU)
    }

    pub(super) fn with(idr0: u32, idr1: u32, idr5: u32) -> &'static Self {
        let mut state = State::default();
        for (at, value) in [(0x00, idr0), (0x04, idr1), (0x14, idr5)] {
            state.registers.insert(at, u64::from(value));
        }
        Box::leak(Box::new(Self {
            arena: TestArena::new(512),
            state: Mutex::new(state),
        }))
    }

    pub(super) fn start(&'static self) -> Result<Smmuv3<'static>, StartError> {
        Smmuv3::start(self, &self.arena, self, TOP)
    }

    fn word(&self, at: u64) -> u64 {
        let frame = Frame::containing(Pa::new(at));
        self.arena.load(frame, (at as usize / 8) % FRAME_WORDS)
    }

    pub(super) fn get(&self, at: usize) -> u64 {
        self.state
            .lock()
            .unwrap()
            .registers
            .get(&at)
            .copied()
            .unwrap_or(0)
    }

    pub(super) fn set(&self, at: usize, value: u64) {
        self.state.lock().unwrap().registers.insert(at, value);
    }

    pub(super) fn take(&self) -> Vec<Seen> {
        core::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// The commands among what was seen, without CMD_SYNC's neighbours fences.
    pub(super) fn commands(&self) -> Vec<(u64, u64, u64)> {
        let commands = |seen| match seen {
            Seen::Command(number, operand, word) => Some((number, operand, word)),
            _ => None,
        };
        self.take().into_iter().filter_map(commands).collect()
    }

    fn consume(&self, producer: u32) {
        if self.get(0x20) & 8 == 0 {
            return;
        }
        let base = self.get(0x90);
        let bits = base & 0x1f;
        let mut consumer = self.get(0x9c) as u32;
        let (stuck, error) = {
            let state = self.state.lock().unwrap();
            assert!(
                state.fenced,
                "the queue's register was written before a fence"
            );
            (state.stuck, state.error)
        };
        if stuck {
            return;
        }
        if error {
            self.set(0x60, 1);
            self.set(0x9c, u64::from(consumer) | 1 << 24);
            return;
        }
        while consumer != producer {
            let index = u64::from(consumer) & ((1 << bits) - 1);
            let at = (base & 0x000f_ffff_ffff_ffe0) + index * 16;
            let (low, high) = (self.word(at), self.word(at + 8));
            let operand = match low & 0xff {
                0x03 => low >> 32,
                0x11 | 0x12 => low >> 48,
                _ => 0,
            };
            if low & 0xff == 0x03 {
                let entry = self.entry(operand).map_or(0, |at| self.word(at));
                self.state.lock().unwrap().entries.push(entry);
            }
            self.state
                .lock()
                .unwrap()
                .seen
                .push(Seen::Command(low & 0xff, operand, high));
            consumer = (consumer + 1) & ((2 << bits) - 1);
        }
        self.set(0x9c, u64::from(consumer));
    }

    /// Where the entry of a stream is.
    fn entry(&self, stream: u64) -> Option<u64> {
        let base = self.get(0x80) & 0x000f_ffff_ffff_ffc0;
        let config = self.get(0x88);
        if stream >> (config & 0x3f) != 0 {
            return None;
        }
        if config >> 16 & 3 == 0 {
            return Some(base + stream * 64);
        }
        let split = config >> 6 & 0x1f;
        let level1 = self.word(base + (stream >> split) * 8);
        let span = level1 & 0x1f;
        let index = stream & ((1 << split) - 1);
        if span == 0 || index >> (span - 1) != 0 {
            return None;
        }
        Some((level1 & 0x000f_ffff_ffff_ffc0) + index * 64)
    }

    /// Where an access of `stream` arrives, by the specification's numbers.
    pub(super) fn translate(&self, stream: u64, iova: u64, write: bool) -> Result<u64, u8> {
        assert_ne!(self.get(0x20) & 1, 0, "the SMMU is off");
        let entry = self.entry(stream).ok_or(0x02)?;
        let (word0, word1) = (self.word(entry), self.word(entry + 8));
        match (word0 & 1, word0 >> 1 & 7) {
            (0, _) => return Err(0x04),
            (_, 0b100) => return Ok(iova),
            (_, 0b101) => {}
            other => panic!("stream configuration {other:?}"),
        }
        assert_eq!(word1 >> 28 & 3, 0, "no ATS");
        let descriptor = word0 & 0x000f_ffff_ffff_ffc0;
        let context: Vec<u64> = (0..4)
            .map(|word| self.word(descriptor + word * 8))
            .collect();
        assert_eq!(context[0] >> 31 & 1, 1, "a valid context descriptor");
        assert_eq!(context[0] >> 6 & 3, 0b10, "16 KiB");
        assert_eq!(context[0] >> 30 & 1, 1, "no TTB1");
        assert_eq!(context[0] >> 41 & 1, 1, "VMSAv8-64");
        assert_eq!(
            context[0] >> 44 & 0b111,
            0b110,
            "faults abort, are recorded, do not stall"
        );
        let t0sz = context[0] & 0x3f;
        if iova >> (64 - t0sz) != 0 {
            return Err(0x10);
        }
        let mut at = context[1] & 0x000f_ffff_ffff_fff0;
        for (shift, last) in [(36, false), (25, false), (14, true)] {
            let entry = self.word(at + (iova >> shift & 0x7ff) * 8);
            if entry & 3 != 3 {
                return Err(0x10);
            }
            if last {
                assert_ne!(entry >> 10 & 1, 0, "the access flag");
                assert_eq!(entry >> 11 & 1, 1, "tagged");
                let attribute = context[3] >> (8 * (entry >> 2 & 7)) & 0xff;
                let registers = (entry & 0xffff_ffff_c000) < DEVICES_BELOW;
                assert_eq!(attribute, if registers { 0x04 } else { 0xff });
                if entry >> 6 & 1 == 0 || write && entry >> 7 & 1 == 1 {
                    return Err(0x13);
                }
                return Ok((entry & 0xffff_ffff_c000) + (iova & 0x3fff));
            }
            at = entry & 0xffff_ffff_c000;
        }
        Err(0x10)
    }

    /// Records an event as the specification lays it out.
    pub(super) fn record(&self, number: u64, stream: u64, iova: u64, read: bool) {
        let base = self.get(0xa0);
        let bits = base & 0x1f;
        let producer = self.get(0x1_00a8);
        let at = (base & 0x000f_ffff_ffff_ffe0) + (producer & ((1 << bits) - 1)) * 32;
        let words = [number | stream << 32, u64::from(read) << 35, iova, 0];
        for (offset, word) in (0..).zip(words) {
            let at = at + offset * 8;
            let frame = Frame::containing(Pa::new(at));
            self.arena
                .store(frame, (at as usize / 8) % FRAME_WORDS, word);
        }
        self.set(0x1_00a8, (producer + 1) & ((2 << bits) - 1));
    }
}

impl Registers for Smmu {
    fn read32(&self, offset: usize) -> u32 {
        self.get(offset) as u32
    }

    fn write32(&self, offset: usize, value: u32) {
        self.set(offset, u64::from(value));
        match offset {
            0x20 => {
                self.state.lock().unwrap().seen.push(Seen::Cr0(value));
                self.set(0x24, u64::from(value));
            }
            0x44 => {
                self.state.lock().unwrap().seen.push(Seen::Gbpa);
                self.set(0x44, u64::from(value & !(1 << 31)));
            }
            0x50 => self.set(0x54, u64::from(value)),
            0x98 => {
                self.consume(value);
                self.state.lock().unwrap().fenced = false;
            }
            _ => {}
        }
    }

    fn read64(&self, offset: usize) -> u64 {
        self.get(offset)
    }

    fn write64(&self, offset: usize, value: u64) {
        self.set(offset, value);
    }
}

impl Fence for Smmu {
    fn stores(&self) {
        let mut state = self.state.lock().unwrap();
        state.fenced = true;
        state.seen.push(Seen::Fence);
    }

    fn loads(&self) {}
}
