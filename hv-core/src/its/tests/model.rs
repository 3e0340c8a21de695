//! An ITS with redistributors that reads registers, commands and tables by the numbers of the specification (IHI
//! 0069), with none of the driver's own encodings. It panics at whatever would be a command error or UNPREDICTABLE, and
//! at a read of memory that was not written back where it does not look into caches.

extern crate std;

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::vec::Vec;

use crate::addr::{FRAME_WORDS, Frame, Pa};
use crate::device::{Clean, Fence, Registers};
use crate::frames::Frames;
use crate::frames::test_arena::TestArena;
use crate::its::{Core, Io, Its, LpiError, Lpis, StartError};

/// What differs between machines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Looks into the cores' caches.
    pub(super) coherent: bool,
    /// Device tables of two levels.
    pub(super) indirect: bool,
    /// `Page_Size` codes that it takes.
    pub(super) pages: &'static [u64],
    /// Commands name redistributors by address.
    pub(super) by_address: bool,
    /// Collections in memory, or in the ITS.
    pub(super) collection_table: bool,
    pub(super) device_bits: u64,
}

pub(super) const QEMU: Kind = Kind {
    coherent: true,
    indirect: true,
    pages: &[0, 1, 2],
    by_address: false,
    collection_table: true,
    device_bits: 16,
};

const RD: u64 = 0x80a_0000;
const VALID: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_0000;

pub(super) struct State {
    pub(super) typer: u64,
    pub(super) enabled: bool,
    pub(super) never_quiet: bool,
    /// Stops at this many more commands: with `Stalled`, or just so.
    pub(super) stall_after: Option<u32>,
    pub(super) freeze: bool,
    cbaser: u64,
    writer: u64,
    reader: u64,
    basers: [u64; 8],
    collections: BTreeMap<u64, u64>,
    redistributors: BTreeMap<u64, Redistributor>,
    pending: BTreeSet<(u64, u64)>,
    unsynced: BTreeSet<u64>,
    dirty: BTreeSet<(u64, usize)>,
    fenced: bool,
    pub(super) commands: u64,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Redistributor {
    pub(super) control: u32,
    /// EnableLPIs stays.
    pub(super) sticky: bool,
    /// RWP never falls.
    pub(super) busy: bool,
    pub(super) without_lpis: bool,
    properties: u64,
    pending: u64,
}

pub(super) struct Machine {
    pub(super) kind: Kind,
    pub(super) arena: TestArena,
    state: Mutex<State>,
}

impl Machine {
    pub(super) fn leaked(kind: Kind) -> &'static Self {
        let entry = |kind: u64| kind << 56 | 7 << 48;
        let mut basers = [0; 8];
        basers[0] = entry(1);
        basers[1] = entry(2);
        if kind.collection_table {
            basers[3] = entry(4);
        }
        let held = if kind.collection_table { 0 } else { 8 };
        let typer = 1
            | 15 << 4
            | 15 << 8
            | (kind.device_bits - 1) << 13
            | u64::from(kind.by_address) << 19
            | held << 24;
        Box::leak(Box::new(Self {
            kind,
            arena: TestArena::new(2000),
            state: Mutex::new(State {
                typer,
                enabled: true,
                never_quiet: false,
                stall_after: None,
                freeze: false,
                cbaser: 0,
                writer: 0,
                reader: 0,
                basers,
                collections: BTreeMap::new(),
                redistributors: (0..3).map(|n| (n, Redistributor::default())).collect(),
                pending: BTreeSet::new(),
                unsynced: BTreeSet::new(),
                dirty: BTreeSet::new(),
                fenced: false,
                commands: 0,
            }),
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn io(&'static self) -> Io<'static> {
        Io {
            registers: self,
            frames: self,
            clean: self,
        }
    }

    pub(super) fn redistributor(&'static self, core: u64) -> Window {
        Window(self, core)
    }

    pub(super) fn edit(&self, core: u64, edit: impl FnOnce(&mut Redistributor)) {
        edit(self.state().redistributors.get_mut(&core).unwrap());
    }

    pub(super) fn lpis(&'static self) -> Result<Lpis, LpiError> {
        Lpis::new(self, self, 1 << 17 | 15 << 19)
    }

    /// An ITS that is on, and three cores.
    pub(super) fn start(&'static self) -> Result<Its<'static>, StartError> {
        let lpis = self.lpis().unwrap();
        let mut its = Its::start(self.io())?;
        for index in 0..3 {
            let window = self.redistributor(index);
            lpis.enable(&window, self, self).unwrap();
            its.add_core(Core {
                index: index as usize,
                redistributor: Pa::new(RD + index * 0x2_0000),
                typer: window.read64(8),
            })?;
        }
        Ok(its)
    }

    /// A device writes to the doorbell.
    pub(super) fn message(&self, device: u64, event: u64) {
        let mut state = self.state();
        if state.enabled
            && let Some(at) = self.event_entry(&state, device, event)
            && self.word(&state, at) & VALID != 0
        {
            let lpi = self.word(&state, at) & 0xffff_ffff;
            let target = state.collections[&self.word(&state, at + 8)];
            self.pend(&mut state, target, lpi, true);
        }
    }

    /// What a core finds pending, acknowledged.
    pub(super) fn acknowledge(&self, core: u64) -> Vec<u32> {
        let mut state = self.state();
        assert!(state.unsynced.is_empty(), "a SYNC is owed");
        let found: Vec<(u64, u64)> = state
            .pending
            .iter()
            .copied()
            .filter(|(target, lpi)| *target == core && self.is_enabled(&state, core, *lpi))
            .collect();
        for &(_, lpi) in &found {
            self.pend(&mut state, core, lpi, false);
        }
        found.into_iter().map(|(_, lpi)| lpi as u32).collect()
    }

    fn is_enabled(&self, state: &State, core: u64, lpi: u64) -> bool {
        let redistributor = &state.redistributors[&core];
        let table = redistributor.properties & 0x000f_ffff_ffff_f000;
        let offset = lpi - 8192;
        let word = self.word(state, table + (offset & !7));
        let byte = word.to_ne_bytes()[offset as usize % 8];
        assert_ne!(byte & 2, 0, "bit 1 of a configuration is RES1");
        redistributor.control & 1 == 1 && byte & 1 == 1
    }

    /// Sets or clears a bit of a pending table, which must have been given.
    fn pend(&self, state: &mut State, core: u64, lpi: u64, high: bool) {
        let redistributor = &state.redistributors[&core];
        assert!(lpi < 2 << (redistributor.properties & 0x1f));
        let at = (redistributor.pending & ADDRESS) + lpi / 64 * 8;
        let bit = 1 << (lpi % 64);
        let word = self.raw(at);
        self.put(at, if high { word | bit } else { word & !bit });
        if high {
            state.pending.insert((core, lpi));
        } else {
            state.pending.remove(&(core, lpi));
        }
    }

    fn raw(&self, at: u64) -> u64 {
        let frame = Frame::containing(Pa::new(at));
        self.arena.load(frame, at as usize / 8 % FRAME_WORDS)
    }

    fn put(&self, at: u64, value: u64) {
        let frame = Frame::containing(Pa::new(at));
        self.arena
            .store(frame, at as usize / 8 % FRAME_WORDS, value);
    }

    /// A word as the hardware sees it.
    fn word(&self, state: &State, at: u64) -> u64 {
        let key = (at >> 14, at as usize / 8 % FRAME_WORDS);
        let stale = !self.kind.coherent && state.dirty.contains(&key);
        assert!(!stale, "{at:#x} was read past a cache that holds it");
        self.raw(at)
    }

    /// Where the entry of a device is, by `GITS_BASER0`.
    fn device_entry(&self, state: &State, device: u64) -> Option<u64> {
        let baser = state.basers[0];
        let page = 0x1000 << (2 * (baser >> 8 & 3));
        let bytes = ((baser & 0xff) + 1) * page;
        let base = baser & 0x0000_ffff_ffff_f000;
        assert_eq!(base % page, 0, "aligned to its page size");
        assert!(baser & VALID != 0 && device >> self.kind.device_bits == 0);
        if baser >> 62 & 1 == 0 {
            return (device * 8 < bytes).then_some(base + device * 8);
        }
        let per_page = page / 8;
        let first = device / per_page * 8;
        if first >= bytes {
            return None;
        }
        let pointer = self.word(state, base + first);
        assert_eq!(pointer & 0x0000_ffff_ffff_f000 & (page - 1), 0);
        (pointer & VALID != 0).then_some((pointer & !VALID) + device % per_page * 8)
    }

    /// Where the entry of an event is: 16 bytes, the LPI and the collection.
    fn event_entry(&self, state: &State, device: u64, event: u64) -> Option<u64> {
        let entry = self.word(state, self.device_entry(state, device)?);
        let bits = (entry & 0x1f) + 1;
        (entry & VALID != 0 && event >> bits == 0)
            .then_some((entry & 0x000f_ffff_ffff_ff00) + event * 16)
    }

    fn execute(&self, state: &mut State, words: [u64; 4]) {
        let [first, second, third, _] = words;
        let device = first >> 32;
        let (event, collection) = (second & 0xffff_ffff, third & 0xffff);
        state.commands += 1;
        let entry = |state: &State| {
            let at = self.event_entry(state, device, event);
            at.expect("the device is mapped and the event in range")
        };
        match first & 0xff {
            0x08 => {
                let at = self
                    .device_entry(state, device)
                    .expect("a place in the table");
                self.word(state, at);
                let mapping = third & 0x000f_ffff_ffff_ff00 | second & 0x1f | VALID;
                self.put(at, if third & VALID == 0 { 0 } else { mapping });
            }
            0x09 => {
                assert_ne!(third & VALID, 0);
                let target = match self.kind.by_address {
                    true => ((third & ADDRESS) - RD) / 0x2_0000,
                    false => third >> 16 & 0xffff,
                };
                assert!(state.redistributors[&target].control & 1 == 1);
                state.collections.insert(collection, target);
                state.unsynced.insert(target);
            }
            0x0a => {
                let lpi = second >> 32;
                assert!((8192..16384).contains(&lpi));
                let at = entry(state);
                assert_eq!(self.word(state, at) & VALID, 0, "mapped twice");
                self.put(at, lpi | VALID);
                self.put(at + 8, collection);
                state.unsynced.insert(state.collections[&collection]);
            }
            0x01 => {
                let at = entry(state);
                let lpi = self.word(state, at) & 0xffff_ffff;
                let from = state.collections[&self.word(state, at + 8)];
                let to = state.collections[&collection];
                self.put(at + 8, collection);
                if state.pending.contains(&(from, lpi)) {
                    self.pend(state, from, lpi, false);
                    self.pend(state, to, lpi, true);
                }
                state.unsynced.extend([from, to]);
            }
            0x0f => {
                let at = entry(state);
                let lpi = self.word(state, at) & 0xffff_ffff;
                let from = state.collections[&self.word(state, at + 8)];
                if state.pending.contains(&(from, lpi)) {
                    self.pend(state, from, lpi, false);
                }
                self.put(at, 0);
                state.unsynced.insert(from);
            }
            0x0d => assert!(state.collections.contains_key(&collection)),
            0x05 => {
                let target = match self.kind.by_address {
                    true => ((third & ADDRESS) - RD) / 0x2_0000,
                    false => third >> 16 & 0xffff,
                };
                state.unsynced.remove(&target);
            }
            other => panic!("command {other:#x}"),
        }
    }

    fn consume(&self, state: &mut State) {
        assert!(state.fenced, "the register was written before a fence");
        assert!(state.cbaser & VALID != 0);
        let bytes = ((state.cbaser & 0xff) + 1) * 0x1000;
        while state.enabled && state.reader & !1 != state.writer {
            match state.stall_after.as_mut() {
                Some(0) if state.freeze => return,
                Some(0) => {
                    state.reader |= 1;
                    return;
                }
                Some(left) => *left -= 1,
                None => {}
            }
            let at = (state.cbaser & ADDRESS) + state.reader;
            let words = [0, 8, 16, 24].map(|offset| self.word(state, at + offset));
            self.execute(state, words);
            state.reader = (state.reader + 32) % bytes;
        }
    }

    /// What a base register says after a write: shareability and page size are what the machine has.
    fn shareable(&self, value: u64) -> u64 {
        if self.kind.coherent {
            value
        } else {
            value & !(3 << 10)
        }
    }

    fn write_baser(&self, state: &mut State, n: usize, value: u64) {
        assert!(!state.enabled, "tables change only while the ITS is off");
        const FIXED: u64 = 7 << 56 | 0x1f << 48;
        let mut value = self.shareable(value) & !FIXED | state.basers[n] & FIXED;
        if !self.kind.pages.contains(&(value >> 8 & 3)) {
            value = value & !(3 << 8) | self.kind.pages[0] << 8;
        }
        if !self.kind.indirect || n != 0 {
            value &= !(1 << 62);
        }
        if state.basers[n] & 7 << 56 != 0 {
            state.basers[n] = value;
        }
    }
}

impl Registers for Machine {
    fn read32(&self, offset: usize) -> u32 {
        let state = self.state();
        assert_eq!(offset, 0);
        let quiet = !state.enabled && !state.never_quiet;
        u32::from(state.enabled) | u32::from(quiet) << 31
    }

    fn write32(&self, offset: usize, value: u32) {
        assert_eq!(offset, 0);
        self.state().enabled = value & 1 == 1;
    }

    fn read64(&self, offset: usize) -> u64 {
        let state = self.state();
        match offset {
            0x08 => state.typer,
            0x80 => state.cbaser,
            0x88 => state.writer,
            0x90 => state.reader,
            0x100..0x140 => state.basers[(offset - 0x100) / 8],
            _ => panic!("{offset:#x}"),
        }
    }

    fn write64(&self, offset: usize, value: u64) {
        let mut state = self.state();
        match offset {
            0x80 => {
                assert!(!state.enabled);
                assert_eq!(value >> 12 & 0xf, 0, "64 KiB alignment");
                state.cbaser = self.shareable(value);
                state.reader = 0;
            }
            0x88 => {
                state.writer = value;
                if state.enabled {
                    self.consume(&mut state);
                }
            }
            0x100..0x140 => self.write_baser(&mut state, (offset - 0x100) / 8, value),
            _ => panic!("{offset:#x}"),
        }
    }
}

/// The RD_base frame of a core.
pub(super) struct Window(&'static Machine, u64);

impl Window {
    fn with<R>(&self, access: impl FnOnce(&mut Redistributor) -> R) -> R {
        access(self.0.state().redistributors.get_mut(&self.1).unwrap())
    }
}

impl Registers for Window {
    fn read32(&self, offset: usize) -> u32 {
        assert_eq!(offset, 0);
        self.with(|redistributor| redistributor.control | u32::from(redistributor.busy) << 3)
    }

    fn write32(&self, offset: usize, value: u32) {
        assert_eq!(offset, 0);
        let before = self.with(|redistributor| {
            let before = *redistributor;
            redistributor.control = value | u32::from(before.sticky) & before.control;
            before
        });
        if value & 1 == 1 && before.control & 1 == 0 {
            assert!(before.properties & 0x1f >= 13, "no LPIs below 14 bits");
            assert_eq!(before.pending & 0xf000, 0, "64 KiB alignment");
            assert_ne!(before.pending >> 62 & 1, 0);
            let state = self.0.state();
            for word in 0..256 {
                let at = (before.pending & ADDRESS) + word * 8;
                assert_eq!(self.0.word(&state, at), 0);
            }
        }
    }

    fn read64(&self, offset: usize) -> u64 {
        self.with(|redistributor| match offset {
            0x08 => u64::from(!redistributor.without_lpis) | self.1 << 8,
            0x70 => redistributor.properties,
            0x78 => redistributor.pending,
            _ => panic!("{offset:#x}"),
        })
    }

    fn write64(&self, offset: usize, value: u64) {
        let value = self.0.shareable(value);
        self.with(|redistributor| {
            assert_eq!(redistributor.control & 1, 0, "only while LPIs are off");
            match offset {
                0x70 => redistributor.properties = value,
                0x78 => redistributor.pending = value,
                _ => panic!("{offset:#x}"),
            }
        });
    }
}

impl Frames for Machine {
    fn allocate_contiguous(&self, order: u32) -> Option<Frame> {
        let first = self.arena.allocate_contiguous(order)?;
        let mut state = self.state();
        let frames = if self.kind.coherent { 0 } else { 1 << order };
        for frame in first.number()..first.number() + frames {
            state
                .dirty
                .extend((0..FRAME_WORDS).map(|word| (frame, word)));
        }
        Some(first)
    }

    fn free_contiguous(&self, first: Frame, order: u32) {
        self.arena.free_contiguous(first, order);
    }

    fn load(&self, frame: Frame, index: usize) -> u64 {
        self.arena.load(frame, index)
    }

    fn store(&self, frame: Frame, index: usize, value: u64) {
        self.arena.store(frame, index, value);
        let mut state = self.state();
        if !self.kind.coherent {
            state.dirty.insert((frame.number(), index));
        }
        state.fenced = false;
    }
}

impl Fence for Machine {
    fn stores(&self) {
        self.state().fenced = true;
    }

    fn loads(&self) {}
}

impl Clean for Machine {
    fn clean(&self, from: Pa, bytes: u64) {
        let mut state = self.state();
        let (first, past) = (from.get() / 8, (from.get() + bytes).div_ceil(8));
        for word in (first..past).filter(|_| !self.kind.coherent) {
            let frame = word / FRAME_WORDS as u64;
            state.dirty.remove(&(frame, word as usize % FRAME_WORDS));
        }
        state.fenced = true;
    }
}
