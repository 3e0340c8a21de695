//! The ITS's own tables, behind `GITS_BASER<n>`: device table and collection table. Their entries are the ITS's own
//! business; only the first level of an indirect table is written by software (IHI 0069, 5.2.1).

use super::spec::{Attributes, BASERS, Baser, Page, TableKind, VALID, offset};
use super::start::StartError;
use super::{AssignError, Io};
use crate::addr::{FRAME_SIZE, Frame, Pa};
use crate::psci::MAX_VCPUS;

/// log2 of the most frames of a device table in one piece: 4 MiB. A device whose DeviceID lies past what they hold
/// cannot be assigned, and keeps its pin interrupt.
const MOST_ORDER: u32 = 8;
/// Bytes of an entry of a first-level table.
const POINTER: u64 = 8;

/// A run of frames that the hardware reads: zeroed, written back past the cores' caches, and naturally aligned, which
/// is all the alignment that any of its tables wants.
pub(super) fn fresh(io: &Io<'_>, order: u32) -> Option<Frame> {
    let first = io.frames.allocate_contiguous(order)?;
    io.clean.clean(first.base(), FRAME_SIZE << order);
    Some(first)
}

/// log2 of the frames that hold `bytes` bytes.
fn order_of(bytes: u64) -> u32 {
    bytes
        .div_ceil(FRAME_SIZE)
        .max(1)
        .next_power_of_two()
        .trailing_zeros()
}

/// The device table: which DeviceIDs it has room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeviceTable {
    first: Frame,
    /// DeviceIDs from here on have no place.
    devices: u64,
    coherent: bool,
    /// DeviceIDs that one second-level page holds, and its size; `None` for a table in one piece.
    second: Option<(u64, Page)>,
}

impl DeviceTable {
    /// Sees to it that the table has room for the entry of `device`. Memory that this takes stays there, for the next
    /// device.
    pub(super) fn reach(&self, io: &Io<'_>, device: u32) -> Result<(), AssignError> {
        let device = u64::from(device);
        if device >= self.devices {
            return Err(AssignError::NoRoom);
        }
        let Some((per_page, page)) = self.second else {
            return Ok(());
        };
        let slot = device / per_page;
        let frame = Frame::from_number(self.first.number() + slot * POINTER / FRAME_SIZE);
        let index = (slot * POINTER % FRAME_SIZE / POINTER) as usize;
        if io.frames.load(frame, index) & VALID == 0 {
            let table = fresh(io, order_of(page.bytes())).ok_or(AssignError::OutOfMemory)?;
            io.frames.store(frame, index, table.base().get() | VALID);
            if !self.coherent
                && let Some(at) = frame.base().checked_add(index as u64 * POINTER)
            {
                io.clean.clean(at, POINTER);
            }
            io.clean.stores();
        }
        Ok(())
    }
}

/// A table in one piece of `bytes` bytes, or as many as the register can say, given to the ITS.
struct Piece {
    first: Frame,
    bytes: u64,
    coherent: bool,
}

fn give(io: &Io<'_>, n: usize, page: Page, bytes: u64, flags: u64) -> Result<Piece, StartError> {
    let most = Baser::MOST_PAGES * page.bytes();
    let order = order_of(bytes.min(most).max(page.bytes())).min(MOST_ORDER);
    let first = fresh(io, order).ok_or(StartError::OutOfMemory)?;
    if first.base().get() >> 48 != 0 {
        // Past 48 bits the register wants the address in another way, and only with 64 KiB pages.
        io.frames.free_contiguous(first, order);
        return Err(StartError::Tables);
    }
    let bytes = (FRAME_SIZE << order).min(most);
    let value = |cache| Baser::value(first.base(), bytes / page.bytes(), page, flags | cache);
    let attributes = Attributes::ITS;
    io.registers
        .write64(offset::baser(n), value(attributes.cached()));
    let read = io.registers.read64(offset::baser(n));
    let coherent = attributes.is_coherent(read);
    if !coherent {
        io.registers
            .write64(offset::baser(n), value(attributes.uncached()));
    }
    Ok(Piece {
        first,
        bytes,
        coherent,
    })
}

/// The page size that the ITS takes: a frame's if it can.
fn page_size(io: &Io<'_>, n: usize) -> Page {
    for page in [Page::Frame, Page::Small, Page::Large] {
        let probe = Baser::value(Pa::new(0), 1, page, 0) & !VALID;
        io.registers.write64(offset::baser(n), probe);
        if Baser(io.registers.read64(offset::baser(n))).page() == page {
            return page;
        }
    }
    Baser(io.registers.read64(offset::baser(n))).page()
}

fn device_table(
    io: &Io<'_>,
    n: usize,
    entry: u64,
    device_bits: u64,
) -> Result<DeviceTable, StartError> {
    let page = page_size(io, n);
    let wanted = 1_u64 << device_bits;
    let per_page = page.bytes() / entry;
    let pages = wanted.div_ceil(per_page);
    let probe = Baser::value(Pa::new(0), 1, page, Baser::INDIRECT) & !VALID;
    io.registers.write64(offset::baser(n), probe);
    let indirect = pages > 1 && Baser(io.registers.read64(offset::baser(n))).is_indirect();
    let (bytes, flags) = match indirect {
        true => (pages * POINTER, Baser::INDIRECT),
        false => (pages * page.bytes(), 0),
    };
    let piece = give(io, n, page, bytes, flags)?;
    let room = match indirect {
        true => piece.bytes / POINTER * per_page,
        false => piece.bytes / page.bytes() * per_page,
    };
    Ok(DeviceTable {
        first: piece.first,
        devices: room.min(wanted),
        coherent: piece.coherent,
        second: indirect.then_some((per_page, page)),
    })
}

/// Gives the ITS its tables. It must be off.
pub(super) fn start(
    io: &Io<'_>,
    device_bits: u64,
    collections_held: u64,
) -> Result<DeviceTable, StartError> {
    let mut devices = None;
    let mut collections = collections_held;
    for n in 0..BASERS {
        let baser = Baser(io.registers.read64(offset::baser(n)));
        match baser.kind() {
            TableKind::Devices => {
                devices = Some(device_table(io, n, baser.entry(), device_bits)?);
            }
            TableKind::Collections => {
                let page = page_size(io, n);
                let piece = give(io, n, page, MAX_VCPUS as u64 * baser.entry(), 0)?;
                collections = collections.max(piece.bytes / baser.entry());
            }
            // Whatever the loader put there is not followed any more.
            TableKind::Other => io.registers.write64(offset::baser(n), 0),
        }
    }
    if collections < MAX_VCPUS as u64 {
        return Err(StartError::Tables);
    }
    devices.ok_or(StartError::Tables)
}
