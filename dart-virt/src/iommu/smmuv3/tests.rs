//! The driver against a made-up SMMU that reads commands and structures by the numbers of the
//! specification, with none of the driver's own encodings.

extern crate std;

use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::vec::Vec;

use hv_core::addr::{FRAME_WORDS, Pa};
use hv_core::frames::test_arena::TestArena;
use hv_core::table::{Run, Table};
use hv_core::{Frame, Iova};

use super::*;
use crate::format::{Access, SubPage};
use crate::iommu::{Expressed, HostFaultKind};
use crate::variant::T8103;

/// What the made-up SMMU saw, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// A command's number, its stream or tag, and its second word.
    Command(u64, u64, u64),
    Cr0(u32),
    Gbpa,
    Fence,
}

#[derive(Default)]
struct State {
    registers: BTreeMap<usize, u64>,
    seen: Vec<Seen>,
    /// Word 0 of the stream's entry at each CMD_CFGI_STE.
    entries: Vec<u64>,
    stuck: bool,
    error: bool,
    fenced: bool,
}

struct Smmu {
    arena: TestArena,
    state: Mutex<State>,
}

const IDR0_QEMU: u32 =
    1 << 1 | 0b10 << 2 | 1 << 4 | 1 << 18 | 0b10 << 21 | 0b01 << 24 | 1 << 26 | 0b01 << 27;
const IDR1_QEMU: u32 = 19 << 21 | 19 << 16 | 16;
const IDR5_QEMU: u32 = 1 << 4 | 1 << 5 | 1 << 6 | 0b100;
const TOP: Pa = Pa::new(0x1_8000_0000);

impl Smmu {
    fn leaked() -> &'static Self {
        Self::with(IDR0_QEMU, IDR1_QEMU, IDR5_QEMU)
    }

    fn with(idr0: u32, idr1: u32, idr5: u32) -> &'static Self {
        let mut state = State::default();
        for (at, value) in [(0x00, idr0), (0x04, idr1), (0x14, idr5)] {
            state.registers.insert(at, u64::from(value));
        }
        Box::leak(Box::new(Self {
            arena: TestArena::new(512),
            state: Mutex::new(state),
        }))
    }

    fn start(&'static self) -> Result<Smmuv3<'static>, StartError> {
        Smmuv3::start(self, &self.arena, self, TOP)
    }

    fn word(&self, at: u64) -> u64 {
        let frame = Frame::containing(Pa::new(at));
        self.arena.load(frame, (at as usize / 8) % FRAME_WORDS)
    }

    fn get(&self, at: usize) -> u64 {
        self.state
            .lock()
            .unwrap()
            .registers
            .get(&at)
            .copied()
            .unwrap_or(0)
    }

    fn set(&self, at: usize, value: u64) {
        self.state.lock().unwrap().registers.insert(at, value);
    }

    fn take(&self) -> Vec<Seen> {
        core::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// The commands among what was seen, without CMD_SYNC's neighbours fences.
    fn commands(&self) -> Vec<(u64, u64, u64)> {
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
    fn translate(&self, stream: u64, iova: u64, write: bool) -> Result<u64, u8> {
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
        assert_eq!(context[3] & 0xff, 0xff);
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
    fn record(&self, number: u64, stream: u64, iova: u64, read: bool) {
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

fn access(write: bool) -> crate::iommu::HostAttributes {
    match HostFormat::VmsaStage1.express(Access { read: true, write }, SubPage::WHOLE) {
        Expressed::Exactly(attributes) => attributes,
        other => panic!("{other:?}"),
    }
}

/// A table that leads `iova` to `output`.
fn table(smmu: &Smmu, iova: u64, output: u64, write: bool) -> Table<HostFormat> {
    let table = Table::new(&smmu.arena, T8103.geometry, HostFormat::VmsaStage1).unwrap();
    let run = Run {
        input: iova,
        output: Pa::new(output),
        bytes: 0x4000,
    };
    table.map(&smmu.arena, run, access(write)).unwrap();
    table
}

#[test]
fn it_denies_first_then_takes_commands_then_forgets_then_turns_on() {
    let smmu = Smmu::leaked();
    smmu.start().unwrap();
    let seen: Vec<_> = smmu
        .take()
        .into_iter()
        .filter(|seen| *seen != Seen::Fence)
        .collect();
    assert_eq!(
        seen,
        [
            Seen::Gbpa,
            Seen::Cr0(0),
            Seen::Cr0(0b1000),
            Seen::Command(0x04, 0, 31),
            Seen::Command(0x30, 0, 0),
            Seen::Command(0x46, 0, 0),
            Seen::Cr0(0b1100),
            Seen::Cr0(0b1101),
        ]
    );
    assert_eq!(smmu.get(0x44), 1 << 20, "everything aborts while it is off");
    assert_eq!(smmu.get(0x50), 0b100, "the event interrupt");
    assert_eq!(smmu.get(0xb0), 0, "as a wire");
    assert_eq!(
        smmu.translate(8, 0, false),
        Err(0x02),
        "no stream was given"
    );
    assert_eq!(smmu.arena.out(), 4);
}

#[test]
fn an_smmu_that_is_not_good_enough_is_refused_with_a_sentence() {
    let refusal = |idr0, idr1, idr5| {
        let smmu = Smmu::with(idr0, idr1, idr5);
        let error = smmu.start().err();
        assert_eq!(smmu.arena.out(), 0);
        assert!(!std::format!("{}", error.unwrap()).is_empty());
        error
    };
    let (idr0, idr1, idr5) = (IDR0_QEMU, IDR1_QEMU, IDR5_QEMU);
    assert_eq!(refusal(idr0 & !2, idr1, idr5), Some(StartError::NoStage1));
    assert_eq!(refusal(idr0 & !8, idr1, idr5), Some(StartError::NoStage1));
    assert_eq!(
        refusal(idr0, idr1, idr5 & !(1 << 5)),
        Some(StartError::NoGranule)
    );
    assert_eq!(
        refusal(idr0 & !(1 << 4), idr1, idr5),
        Some(StartError::NotCoherent)
    );
    assert_eq!(
        refusal(idr0 ^ 0b11 << 24, idr1, idr5),
        Some(StartError::Stalls)
    );
    assert_eq!(
        refusal(idr0, idr1 | 1 << 30, idr5),
        Some(StartError::Preset)
    );
    let too_small = StartError::OutputTooSmall { has: 32, needs: 33 };
    assert_eq!(refusal(idr0, idr1, idr5 & !0b111), Some(too_small));
}

#[test]
fn an_smmu_that_never_acknowledges_is_given_up() {
    let smmu = Smmu::leaked();
    smmu.state.lock().unwrap().stuck = true;
    assert!(matches!(smmu.start().err(), Some(StartError::Hung { .. })));
    assert_eq!(smmu.get(0x20), 0, "off again");
}

#[test]
fn a_stream_goes_where_its_context_leads() {
    for idr0 in [IDR0_QEMU, IDR0_QEMU & !(0b11 << 27)] {
        // Two levels; or one, of 10 bits.
        let idr1 = if idr0 == IDR0_QEMU {
            IDR1_QEMU
        } else {
            (IDR1_QEMU & !0x3f) | 10
        };
        let smmu = Smmu::with(idr0, idr1, IDR5_QEMU);
        let mut driver = smmu.start().unwrap();
        let (one, two) = (
            table(smmu, 0xffff_c000, 0x8000_4000, true),
            table(smmu, 0x20_0000_0000, 0x9000_0000, false),
        );
        let first = driver.open(one.root(), &T8103.geometry).unwrap();
        let second = driver.open(two.root(), &T8103.geometry).unwrap();
        driver.attach(HostStream(8), first).unwrap();
        driver.attach(HostStream(0x300), second).unwrap();
        assert_eq!(smmu.translate(8, 0xffff_c123, true), Ok(0x8000_4123));
        assert_eq!(smmu.translate(8, 0x20_0000_0000, false), Err(0x10));
        assert_eq!(
            smmu.translate(8, 0x40_0000_0000, false),
            Err(0x10),
            "past 38 bits"
        );
        assert_eq!(
            smmu.translate(0x300, 0x20_0000_0008, false),
            Ok(0x9000_0008)
        );
        assert_eq!(smmu.translate(0x300, 0x20_0000_0008, true), Err(0x13));
        driver.attach(HostStream(8), second).unwrap();
        assert_eq!(smmu.translate(8, 0x20_0000_0000, false), Ok(0x9000_0000));
        driver.deny(HostStream(8)).unwrap();
        assert_eq!(smmu.translate(8, 0x20_0000_0000, false), Err(0x04));
        assert_eq!(
            driver.attach(HostStream(1 << 16), first),
            Err(AttachError::NoSuchStream)
        );
    }
}

#[test]
fn a_live_stream_is_taken_down_before_it_is_rewritten() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let context = driver.open(root.root(), &T8103.geometry).unwrap();
    driver.attach(HostStream(8), context).unwrap();
    smmu.take();
    smmu.state.lock().unwrap().entries.clear();
    driver.attach(HostStream(8), context).unwrap();
    assert_eq!(
        smmu.commands(),
        [(3, 8, 0), (0x46, 0, 0), (3, 8, 0), (0x46, 0, 0)]
    );
    let entries = smmu.state.lock().unwrap().entries.clone();
    assert_eq!(entries[0], 0, "invalid when it is forgotten the first time");
    assert_eq!(entries[1] & 1, 1);
}

#[test]
fn few_pages_are_forgotten_by_name_and_many_by_tag() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let context = driver.open(root.root(), &T8103.geometry).unwrap();
    let asid = u64::from(context.0);
    smmu.take();
    let _ = driver
        .invalidate(context, Stale::new(Iova::new(0x8000), 0x8000, false))
        .unwrap();
    assert_eq!(
        smmu.commands(),
        [(0x12, asid, 0x8001), (0x12, asid, 0xc001), (0x46, 0, 0)],
        "last level only"
    );
    let _ = driver
        .invalidate(context, Stale::new(Iova::new(0), 0x4000, true))
        .unwrap();
    assert_eq!(
        smmu.commands(),
        [(0x11, asid, 0), (0x46, 0, 0)],
        "table pointers too"
    );
    let _ = driver
        .invalidate(context, Stale::new(Iova::new(0), 1 << 20, false))
        .unwrap();
    assert_eq!(smmu.commands(), [(0x11, asid, 0), (0x46, 0, 0)]);
    let _ = driver.close(context).unwrap();
    assert_eq!(
        smmu.commands(),
        [(0x04, 0, 31), (0x11, asid, 0), (0x46, 0, 0)]
    );
}

#[test]
fn contexts_run_out_and_come_back() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let all: Vec<_> = (0..255)
        .map(|_| driver.open(root.root(), &T8103.geometry).unwrap())
        .collect();
    assert_eq!(
        driver.open(root.root(), &T8103.geometry),
        Err(AttachError::NoContext)
    );
    let _ = driver.close(all[7]).unwrap();
    assert_eq!(driver.open(root.root(), &T8103.geometry), Ok(all[7]));
}

#[test]
fn the_queue_wraps_round_many_times() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let context = driver.open(root.root(), &T8103.geometry).unwrap();
    for _ in 0..5000 {
        let stale = Stale::new(Iova::new(0), 0x4000, false);
        assert!(driver.invalidate(context, stale).is_ok());
    }
    assert_eq!(
        smmu.commands()
            .iter()
            .filter(|command| command.0 == 0x12)
            .count(),
        5000
    );
}

#[test]
fn a_queue_that_stops_leaves_stale_what_was_stale_and_is_not_waited_for_again() {
    for error in [false, true] {
        let smmu = Smmu::leaked();
        let mut driver = smmu.start().unwrap();
        let root = table(smmu, 0, 0x4000, true);
        let context = driver.open(root.root(), &T8103.geometry).unwrap();
        driver.attach(HostStream(8), context).unwrap();
        {
            let mut state = smmu.state.lock().unwrap();
            (state.stuck, state.error) = (!error, error);
        }
        let stale = || Stale::new(Iova::new(0), 0x4000, false);
        assert_eq!(driver.invalidate(context, stale()).err(), Some(stale()));
        let producer = smmu.get(0x98);
        assert_eq!(driver.close(context).err(), Some(Hung));
        assert_eq!(driver.deny(HostStream(8)), Err(Hung));
        assert_eq!(smmu.get(0x98), producer, "the queue is left alone");
        assert_eq!(
            smmu.translate(8, 0, false),
            Err(0x04),
            "denied as far as memory goes"
        );
    }
}

#[test]
fn events_are_reported_in_order_with_stream_address_and_direction() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    assert_eq!(driver.next_fault(), None);
    smmu.record(0x10, 8, 0xffff_c010, false);
    smmu.record(0x13, 9, 0x4000, true);
    smmu.record(0x02, 10, 0, true);
    smmu.record(0x0a, 11, 0, true);
    let kinds = [
        (8, 0xffff_c010, true, HostFaultKind::Translation),
        (9, 0x4000, false, HostFaultKind::Permission),
        (10, 0, false, HostFaultKind::NoStream),
        (11, 0, false, HostFaultKind::Other(0x0a)),
    ];
    for (stream, iova, write, kind) in kinds {
        let fault = HostFault {
            stream: HostStream(stream),
            iova: Iova::new(iova),
            write,
            kind,
        };
        assert_eq!(driver.next_fault(), Some(fault));
    }
    assert_eq!(driver.next_fault(), None);
    assert_eq!(
        smmu.get(0x1_00a8),
        smmu.get(0x1_00ac),
        "all are acknowledged"
    );
}

#[test]
fn an_overflow_of_the_event_queue_is_acknowledged() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    smmu.record(0x10, 8, 0, false);
    smmu.set(0x1_00a8, smmu.get(0x1_00a8) | 1 << 31);
    assert!(driver.next_fault().is_some());
    assert_eq!(smmu.get(0x1_00ac) >> 31, 1);
    assert_eq!(driver.next_fault(), None);
}

#[test]
fn memory_that_runs_dry_denies() {
    for successes in 0..4 {
        let smmu = Smmu::leaked();
        smmu.arena.fail_after(Some(successes));
        assert_eq!(smmu.start().err(), Some(StartError::OutOfMemory));
        assert_eq!(smmu.arena.out(), 0);
    }
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let context = driver.open(root.root(), &T8103.geometry).unwrap();
    smmu.arena.fail_after(Some(0));
    assert_eq!(
        driver.attach(HostStream(8), context),
        Err(AttachError::OutOfMemory)
    );
    assert_eq!(smmu.translate(8, 0, false), Err(0x02));
}
