//! A driver for a T8103 DART (dart reference 1.2, 1.3, 2.2, 3.1), with honest and dishonest ways to
//! fill its tables.

use core::fmt;

use super::cpu::{Deadline, barrier};
use super::memory::{PAGE_SIZE, Page};
use super::mmio::Registers;

const STREAM_COMMAND: u64 = 0x20;
const STREAM_SELECT: u64 = 0x34;
const ERROR: u64 = 0x40;
const ERROR_ADDRESS: u64 = 0x50;
const ENABLED_STREAMS: u64 = 0xfc;
const TCR: u64 = 0x100;
const TTBR: u64 = 0x200;

const INVALIDATE: u32 = 1 << 20;
const BUSY: u32 = 1 << 2;
const TRANSLATE: u32 = 1 << 7;
const TTBR_VALID: u32 = 1 << 31;
const ERROR_FLAG: u32 = 1 << 31;

/// `ERROR` code bits.
pub(super) const NO_TTBR: u32 = 1 << 0;
pub(super) const NO_TABLE: u32 = 1 << 1;
pub(super) const NO_PAGE: u32 = 1 << 2;
pub(super) const NO_WRITE: u32 = 1 << 3;

/// A leaf or table entry that is valid.
pub(super) const VALID: u64 = 1 << 0;
/// A leaf whose sub-page window is off: the whole page.
pub(super) const WHOLE_PAGE: u64 = 1 << 1;
/// A leaf that a device may not write through.
pub(super) const READ_ONLY: u64 = 1 << 7;

/// What `ERROR` and `ERROR_ADDRESS` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) stream: u32,
    pub(super) code: u32,
    pub(super) address: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            code,
            address,
        } = self;
        write!(
            f,
            "fault of stream {stream}, code {code:#x}, at {address:#x}"
        )
    }
}

/// Out of pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfPages;

/// The DART, with one stream in use.
pub(super) struct Dart {
    registers: Registers,
    stream: u8,
    roots: [Option<Page>; 4],
}

impl Dart {
    /// The DART at `base`. Nothing is touched.
    pub(super) fn new(base: u64, stream: u8) -> Self {
        // SAFETY: the device tree says that it is there.
        let registers = unsafe { Registers::new(base) };
        Self {
            registers,
            stream,
            roots: [None; 4],
        }
    }

    /// The stream.
    pub(super) fn stream(&self) -> u32 {
        u32::from(self.stream)
    }

    /// Everything off, as Linux starts.
    pub(super) fn reset(&self) {
        for stream in 0..16 {
            self.registers.write32(TCR + 4 * stream, 0);
        }
        for word in 0..64 {
            self.registers.write32(TTBR + 4 * word, 0);
        }
        self.registers.write32(ENABLED_STREAMS, u32::MAX);
        let error = self.registers.read32(ERROR);
        self.registers.write32(ERROR, error);
        self.registers.write32(STREAM_SELECT, 0xffff);
        self.command();
    }

    /// Gives the stream a table (the others on demand) and lets it translate.
    pub(super) fn attach(&mut self) -> Result<(), OutOfPages> {
        self.root(0)?;
        self.registers
            .write32(TCR + 4 * u64::from(self.stream), TRANSLATE);
        self.invalidate();
        Ok(())
    }

    /// The table of one of the four TTBRs, made if need be.
    pub(super) fn root(&mut self, index: usize) -> Result<Page, OutOfPages> {
        if let Some(page) = self.roots[index] {
            return Ok(page);
        }
        let page = Page::take().ok_or(OutOfPages)?;
        self.roots[index] = Some(page);
        self.set_ttbr(index, page.address());
        Ok(page)
    }

    /// Points a TTBR at any address.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the register has 31 bits for it, and guests 28"
    )]
    pub(super) fn set_ttbr(&self, index: usize, table: u64) {
        let value = TTBR_VALID | (table >> 12) as u32;
        self.registers
            .write32(TTBR + 16 * u64::from(self.stream) + 4 * index as u64, value);
    }

    /// Takes a TTBR away that [`Dart::root`] did not make.
    pub(super) fn clear_ttbr(&self, index: usize) {
        let register = TTBR + 16 * u64::from(self.stream) + 4 * index as u64;
        self.registers.write32(register, 0);
    }

    /// Maps a page for reading and writing. In force after [`Dart::invalidate`].
    pub(super) fn map(&mut self, iova: u64, page: Page) -> Result<(), OutOfPages> {
        self.set_leaf(iova, page.address() | VALID | WHOLE_PAGE)
    }

    /// Takes a page away. In force after [`Dart::invalidate`].
    pub(super) fn unmap(&mut self, iova: u64) -> Result<(), OutOfPages> {
        self.set_leaf(iova, 0)
    }

    /// Writes a leaf, whatever it says.
    pub(super) fn set_leaf(&mut self, iova: u64, leaf: u64) -> Result<(), OutOfPages> {
        let (root, slot) = self.table_slot(iova)?;
        let entry = root.read(slot);
        let table = match entry & VALID {
            0 => {
                let table = Page::take().ok_or(OutOfPages)?;
                root.write(slot, table.address() | VALID);
                table
            }
            _ => Page::at(entry & !(PAGE_SIZE - 1)),
        };
        table.write((iova >> 14 & 0x7ff) as usize, leaf);
        Ok(())
    }

    /// Writes a table entry, whatever it says.
    pub(super) fn set_table(&mut self, iova: u64, entry: u64) -> Result<(), OutOfPages> {
        let (root, slot) = self.table_slot(iova)?;
        root.write(slot, entry);
        Ok(())
    }

    fn table_slot(&mut self, iova: u64) -> Result<(Page, usize), OutOfPages> {
        let root = self.root((iova >> 36 & 3) as usize)?;
        Ok((root, (iova >> 25 & 0x7ff) as usize))
    }

    /// Makes what was written to the tables count.
    pub(super) fn invalidate(&self) {
        barrier();
        self.registers.write32(STREAM_SELECT, 1 << self.stream);
        self.command();
    }

    fn command(&self) {
        self.registers.write32(STREAM_COMMAND, INVALIDATE);
        let deadline = Deadline::after_ms(1000);
        while self.registers.read32(STREAM_COMMAND) & BUSY != 0 && !deadline.passed() {}
    }

    /// The fault that is latched, which is then cleared.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        let error = self.registers.read32(ERROR);
        let low = u64::from(self.registers.read32(ERROR_ADDRESS));
        let high = u64::from(self.registers.read32(ERROR_ADDRESS + 4));
        if error & ERROR_FLAG == 0 {
            return None;
        }
        self.registers.write32(ERROR, error);
        Some(Fault {
            stream: error >> 24 & 0xf,
            code: error & 0xfff,
            address: high << 32 | low,
        })
    }
}
