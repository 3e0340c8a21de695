//! Oche's own address space: every address is the machine's, and each part has just the rights it needs.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use boot::range::PaRange;
use hv_core::addr::{FRAME_SIZE, FRAME_WORDS};
use hv_core::arch::aarch64::{barrier, memory, mmu};
use hv_core::frames::Frames;
use hv_core::table::{MapError, Run, Table};
use hv_core::{Frame, Pa};

use super::image;

/// Frames for Oche's own tables: 16 KiB of them map 64 GiB of blocks or 32 MiB of pages.
const TABLES: usize = 16;

#[repr(C, align(16384))]
struct Tables(UnsafeCell<[[u64; FRAME_WORDS]; TABLES]>);

// SAFETY: words are touched only through `Frames for TablePool`, with single-copy atomic accesses.
unsafe impl Sync for Tables {}

static TABLE_FRAMES: Tables = Tables(UnsafeCell::new([[0; FRAME_WORDS]; TABLES]));

/// Gives tables out of the image itself: it works before there is an allocator, with the MMU off (no exclusives),
/// and on one core only.
struct TablePool {
    used: AtomicUsize,
}

static POOL: TablePool = TablePool {
    used: AtomicUsize::new(0),
};

impl TablePool {
    fn first() -> Frame {
        Frame::containing(Pa::new(TABLE_FRAMES.0.get() as u64))
    }

    fn word(frame: Frame, index: usize) -> Option<Pa> {
        let nth = frame.number().checked_sub(Self::first().number())?;
        (nth < TABLES as u64 && index < FRAME_WORDS)
            .then(|| frame.base().checked_add(index as u64 * 8))
            .flatten()
    }
}

impl Frames for TablePool {
    fn allocate_contiguous(&self, order: u32) -> Option<Frame> {
        let nth = self.used.load(Ordering::Relaxed);
        if order != 0 || nth >= TABLES {
            return None;
        }
        self.used.store(nth + 1, Ordering::Relaxed);
        Some(Frame::from_number(Self::first().number() + nth as u64))
    }

    /// Oche's own tables only grow.
    fn free_contiguous(&self, _: Frame, _: u32) {}

    fn load(&self, frame: Frame, index: usize) -> u64 {
        // SAFETY: `word` answers only inside TABLE_FRAMES, whose words are never borrowed.
        Self::word(frame, index).map_or(0, |at| unsafe { memory::load_word(at) })
    }

    fn store(&self, frame: Frame, index: usize, value: u64) {
        if let Some(at) = Self::word(frame, index) {
            // SAFETY: as above.
            unsafe { memory::store_word(at, value) };
        }
    }
}

/// Oche's address space.
pub(super) struct AddressSpace {
    table: Table<mmu::Own>,
}

impl AddressSpace {
    /// Maps RAM (but for what is reserved), Oche's image by section, and the console. Runs with the MMU off.
    pub(super) fn new(
        ram: &[PaRange],
        reserved: &[PaRange],
        console: PaRange,
    ) -> Result<Self, MapError> {
        let none = MapError::NoFrames { mapped: 0 };
        let geometry = mmu::geometry().ok_or(MapError::BadRun)?;
        let mut space = Self {
            table: Table::new(&POOL, geometry, mmu::Own).ok_or(none)?,
        };
        for range in ram {
            space.map_around(*range, reserved, image::range())?;
        }
        for (range, attributes) in image::sections() {
            space.map(range, attributes)?;
        }
        space.map_device(console)?;
        Ok(space)
    }

    /// The part of `range` that is neither reserved nor Oche's image, as data.
    fn map_around(
        &mut self,
        range: PaRange,
        reserved: &[PaRange],
        image: PaRange,
    ) -> Result<(), MapError> {
        let mut from = range.start().get().next_multiple_of(FRAME_SIZE);
        let end = range.end().frame_base().get();
        while from < end {
            let blocker = |other: &&PaRange| other.size() > 0 && other.end().get() > from;
            let next = reserved
                .iter()
                .chain([&image])
                .filter(blocker)
                .min_by_key(|other| other.start());
            let to = next.map_or(end, |other| {
                other.start().frame_base().get().clamp(from, end)
            });
            if let Some(part) =
                PaRange::between(Pa::new(from), Pa::new(to)).filter(|part| part.size() > 0)
            {
                self.map(part, mmu::Use::Data)?;
            }
            from = match next {
                Some(other) => other
                    .end()
                    .get()
                    .checked_next_multiple_of(FRAME_SIZE)
                    .unwrap_or(end)
                    .max(to),
                None => end,
            };
        }
        Ok(())
    }

    fn map(&mut self, range: PaRange, attributes: mmu::Use) -> Result<(), MapError> {
        let run = Run {
            input: range.start().get(),
            output: range.start(),
            bytes: range.size(),
        };
        self.table.map(&POOL, run, attributes)
    }

    /// Maps device registers, by whole frames; what is already mapped stays.
    pub(super) fn map_device(&mut self, range: PaRange) -> Result<(), MapError> {
        let mut at = range.start().frame_base();
        while at < range.end() {
            if self.table.walk(&POOL, at.get()).is_none() {
                let whole = PaRange::new(at, FRAME_SIZE).ok_or(MapError::BadRun)?;
                self.map(whole, mmu::Use::Device)?;
            }
            at = at.checked_add(FRAME_SIZE).ok_or(MapError::BadRun)?;
        }
        barrier::dsb_ish();
        barrier::isb();
        Ok(())
    }

    /// What the MMU's registers have to hold.
    pub(super) fn registers(&self) -> mmu::MmuRegisters {
        mmu::MmuRegisters::new(self.table.root())
    }
}
