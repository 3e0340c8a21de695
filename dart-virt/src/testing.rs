//! A made-up machine for tests: guest memory with holes, and a host IOMMU that keeps a TLB.

extern crate std;

use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::vec::Vec;

use hv_core::addr::{FRAME_SIZE, FRAME_WORDS};
use hv_core::frames::test_arena::{DEFAULT_BASE, TestArena};
use hv_core::layout::V2M_BASE;
use hv_core::ownership::{GuestId, Owner, Ownership, RamRange};
use hv_core::{Frame, Ipa, Pa};

use crate::dma::{GuestDma, Settings};
use crate::guards::Guards;
use crate::iommu::HostStream;
use crate::registers::StreamId;
use crate::seams::{GuestMemory, Host, NotRam};
use crate::space::Widening;
use crate::variant::T8103;

mod iommu;

pub(crate) use iommu::{Asked, MockIommu};

pub(crate) const PAGE: u64 = FRAME_SIZE;
pub(crate) const GUEST: GuestId = match GuestId::new(3) {
    Some(guest) => guest,
    None => panic!("a guest number"),
};
/// Where the guest's RAM begins, by its own addresses.
pub(crate) const RAM: u64 = 0x8_0000_0000;
/// The first host frame behind it.
pub(crate) const RAM_FRAME: u64 = 0x2_0000;
/// Frames of guest RAM.
pub(crate) const RAM_FRAMES: u64 = 96;
/// A frame of RAM that nobody gave to the guest: right behind the guest's own.
pub(crate) const FOREIGN_FRAME: u64 = RAM_FRAME + RAM_FRAMES;

/// The host's doorbell: no RAM.
pub(crate) const DOORBELL: Frame = Frame::from_number(0x809_0000 / PAGE);

pub(crate) const STREAM: StreamId = stream(1);
pub(crate) const DEVICE: HostStream = HostStream(0x8);

pub(crate) const fn stream(number: u8) -> StreamId {
    match StreamId::new(number) {
        Some(stream) => stream,
        None => panic!("a stream number"),
    }
}

/// The guest's address of one of its pages.
pub(crate) fn ram(page: u64) -> Ipa {
    Ipa::new(RAM + page * PAGE)
}

pub(crate) struct Memory {
    words: Mutex<Vec<u64>>,
    doorbell: Option<Frame>,
}

impl Memory {
    fn new() -> Self {
        Self {
            words: Mutex::new(std::vec![0; RAM_FRAMES as usize * FRAME_WORDS]),
            doorbell: None,
        }
    }

    fn index(at: Ipa) -> Option<usize> {
        let offset = at.offset_from(Ipa::new(RAM))?;
        let inside = offset < RAM_FRAMES * PAGE && offset % 8 == 0;
        inside.then_some(offset as usize / 8)
    }

    /// The guest writes a word.
    pub(crate) fn store(&self, at: Ipa, value: u64) {
        self.words.lock().unwrap()[Self::index(at).unwrap()] = value;
    }
}

impl GuestMemory for Memory {
    fn frame_of(&self, at: Ipa) -> Option<Frame> {
        let offset = at.frame_base().offset_from(Ipa::new(RAM))?;
        (offset < RAM_FRAMES * PAGE).then(|| Frame::from_number(RAM_FRAME + offset / PAGE))
    }

    fn doorbell_at(&self, at: Ipa) -> Option<Frame> {
        self.doorbell.filter(|_| at.frame_base() == V2M_BASE)
    }

    fn load_u64(&self, at: Ipa) -> Result<u64, NotRam> {
        Ok(self.words.lock().unwrap()[Self::index(at).ok_or(NotRam)?])
    }

    fn read_frame(&self, at: Ipa, into: &mut [u64; FRAME_WORDS]) -> Result<(), NotRam> {
        let index = Self::index(at)
            .filter(|_| at.is_frame_aligned())
            .ok_or(NotRam)?;
        into.copy_from_slice(&self.words.lock().unwrap()[index..index + FRAME_WORDS]);
        Ok(())
    }

    /// The only "other" frame there is: full of valid leaves to the guest's page 5.
    #[cfg(feature = "guards-out")]
    fn read_any_frame(&self, at: Pa, into: &mut [u64; FRAME_WORDS]) -> Result<(), NotRam> {
        if at != Frame::from_number(FOREIGN_FRAME).base() {
            return Err(NotRam);
        }
        into.fill(ram(5).get() | 0b11);
        Ok(())
    }
}

/// One guest with one device, and the driver that Linux would be.
pub(crate) struct Bench {
    pub(crate) memory: Memory,
    pub(crate) arena: &'static TestArena,
    pub(crate) ownership: Ownership<'static>,
    pub(crate) iommu: MockIommu,
    pub(crate) dma: GuestDma,
}

pub(crate) fn settings() -> Settings {
    Settings {
        guest: GUEST,
        variant: &T8103,
        widening: Widening::Widen,
        shadow: true,
        guards: Guards::default(),
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(settings(), 4096)
    }

    pub(crate) fn with(settings: Settings, host_frames: usize) -> Self {
        let mut bench = Self::without_device(settings, host_frames);
        bench
            .call(|dma, host| dma.assign(host, STREAM, DEVICE))
            .unwrap();
        bench
    }

    pub(crate) fn without_device(settings: Settings, host_frames: usize) -> Self {
        let arena: &'static TestArena = Box::leak(Box::new(TestArena::new(host_frames)));
        let range = |first, frames| RamRange {
            first: Frame::from_number(first),
            frames,
        };
        let ranges = [
            range(RAM_FRAME, RAM_FRAMES + 1),
            range(DEFAULT_BASE, host_frames as u64),
        ];
        let ranges: &'static [RamRange] = Box::leak(Box::new(ranges));
        let states: Vec<AtomicU32> = (0..Ownership::states_needed(ranges).unwrap())
            .map(|_| AtomicU32::new(0))
            .collect();
        let assignments = (0..4).map(|_| AtomicU64::new(0)).collect();
        let ownership = Ownership::new(ranges, Vec::leak(states))
            .unwrap()
            .with_assignments(Vec::leak(assignments));
        let give = |first, count, owner| {
            let first = Frame::from_number(first);
            ownership
                .transfer_run(first, count, Owner::Nobody, owner)
                .unwrap();
        };
        give(RAM_FRAME, RAM_FRAMES, Owner::Guest(GUEST));
        give(DEFAULT_BASE, host_frames as u64, Owner::Hypervisor);
        let memory = Memory::new();
        let mut iommu = MockIommu {
            arena,
            ownership,
            contexts: BTreeMap::new(),
            streams: BTreeMap::new(),
            tlb: BTreeMap::new(),
            asked: Vec::new(),
            faults: VecDeque::new(),
            lost: 0,
            hang_after: None,
            next: 1,
            unguarded: false,
        };
        let mut host = Host {
            memory: &memory,
            frames: arena,
            ownership: &ownership,
            iommu: &mut iommu,
        };
        let dma = GuestDma::new(&mut host, settings).unwrap();
        Self {
            memory,
            arena,
            ownership,
            iommu,
            dma,
        }
    }

    /// Shows `guest` a doorbell, which is this guest's address for the machine's [`DOORBELL`]; the one whose devices
    /// are here sees it either way.
    pub(crate) fn give_doorbell(&mut self, guest: GuestId) {
        self.memory.doorbell = Some(DOORBELL);
        self.ownership.assign_registers(DOORBELL, guest).unwrap();
    }

    pub(crate) fn call<R>(&mut self, run: impl FnOnce(&mut GuestDma, &mut Host<'_>) -> R) -> R {
        let mut host = Host {
            memory: &self.memory,
            frames: self.arena,
            ownership: &self.ownership,
            iommu: &mut self.iommu,
        };
        run(&mut self.dma, &mut host)
    }

    /// The guest stores to a register.
    pub(crate) fn write(&mut self, offset: u64, value: u32) {
        self.call(|dma, host| dma.store(host, offset, 4, u64::from(value)))
            .unwrap();
        self.iommu.check_pins();
    }

    /// The guest loads a register.
    pub(crate) fn read(&mut self, offset: u64) -> u32 {
        self.call(|dma, host| dma.load(host, offset, 4)).unwrap() as u32
    }

    /// Linux's invalidation: two writes and one read.
    pub(crate) fn invalidate(&mut self, streams: u32) {
        self.iommu.warm();
        self.write(0x34, streams);
        self.write(0x20, 0x10_0000);
        assert_eq!(self.read(0x20) & 4, 0, "never busy");
        self.iommu.warm();
    }

    /// Linux's attach of one stream to a table in page `root`: five writes and an invalidation.
    pub(crate) fn attach(&mut self, stream: StreamId, root: u64) {
        let number = u64::from(stream.number());
        self.write(
            0x200 + 16 * number,
            0x8000_0000 | (ram(root).get() >> 12) as u32,
        );
        for index in 1..4 {
            self.write(0x200 + 16 * number + 4 * index, 0);
        }
        self.write(0x100 + 4 * number, 0x80);
        self.invalidate(1 << number);
    }

    /// Writes entry `index` of the table in the guest's page `table`.
    pub(crate) fn entry(&self, table: u64, index: u64, value: u64) {
        self.memory
            .store(ram(table).checked_add(index * 8).unwrap(), value);
    }

    /// The spaces' leaves and the pins agree, and the counter with both.
    pub(crate) fn check(&mut self) {
        let mut leaves: BTreeMap<Frame, u16> = BTreeMap::new();
        self.dma.for_each_leaf(self.arena, |leaf| {
            *leaves.entry(Frame::containing(leaf.output)).or_default() += 1;
        });
        let total: u16 = leaves.values().sum();
        for (&frame, &entries) in &leaves {
            if self.ownership.state(frame).is_none() {
                let pins = self.ownership.register_pins(frame, GUEST);
                assert_eq!(pins, Some(entries), "{frame:?}");
            }
        }
        self.ownership.for_each(|frame, state| {
            let entries = leaves.get(&frame).copied().unwrap_or(0);
            assert_eq!(state.pins, entries, "{frame:?}");
            if entries > 0 {
                assert_eq!(state.owner, Owner::Guest(GUEST), "{frame:?}");
            }
        });
        assert_eq!(self.dma.counters().pages_pinned, u64::from(total));
        self.iommu.check_pins();
    }

    /// Ends the guest: everything must be back.
    pub(crate) fn finish(mut self) {
        self.call(|dma, host| dma.shutdown(host)).unwrap();
        assert_eq!(self.dma.counters().pages_pinned, 0);
        self.ownership
            .for_each(|frame, state| assert_eq!(state.pins, 0, "{frame:?}"));
        let doorbell = self.ownership.register_pins(DOORBELL, GUEST);
        assert_eq!(doorbell.unwrap_or(0), 0);
        assert_eq!(self.arena.out(), 0, "frames are missing");
        assert!(self.iommu.tlb.is_empty());
        assert!(self.iommu.streams.values().all(Option::is_none));
    }
}

/// A leaf as Linux writes it: whole page, window off, readable and writable.
pub(crate) fn leaf(page: u64) -> u64 {
    leaf_at(ram(page).get())
}

pub(crate) fn leaf_at(address: u64) -> u64 {
    0x000f_ff00_0000_0003 | address
}

/// A table entry as Linux writes it.
pub(crate) fn table(page: u64) -> u64 {
    ram(page).get() | 1
}

pub(crate) fn host_page(page: u64) -> Pa {
    Frame::from_number(RAM_FRAME + page).base()
}
