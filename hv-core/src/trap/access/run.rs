//! Carrying an access out: registers to bytes in memory's order, bytes to loads and stores of the device, and back.

use super::super::instruction::{
    Base, Extend, MemoryAccess, Offset, Operation, Ordering, WriteBack,
};
use super::fault::{Abort, Fault};
use super::{Cause, Situation};

/// Bytes of the longest access: `LD1` or `ST1` of four 16-byte registers.
pub const MAX_LENGTH: usize = 64;

/// Loads or stores of the device that one instruction can become: a structure of 64 single bytes. So many device
/// operations may one trap cost; no instruction asks for more.
pub const MAX_PIECES: usize = 64;

/// Bytes of the widest load or store of a device.
const WIDEST: usize = 8;

/// The bits of a virtual address that are not a tag (TBI).
pub(super) const ADDRESS_MASK: u64 = (1 << 56) - 1;

/// A vCPU's general registers.
pub trait GeneralRegisters {
    /// `x0` to `x30`; 31 reads as zero.
    fn read(&self, n: u8) -> u64;
    /// `x0` to `x30`; 31 is dropped.
    fn write(&mut self, n: u8, value: u64);
    /// The stack pointer that the instruction used: `SP_EL0` or `SP_EL1`, by PSTATE.
    fn read_sp(&self) -> u64;
    /// Sets the same.
    fn write_sp(&mut self, value: u64);
}

/// A vCPU's SIMD&FP registers, by number 0 to 31. Asked only for instructions that use them.
pub trait VectorRegisters {
    /// All 128 bits.
    fn read(&self, n: u8) -> u128;
    /// All 128 bits.
    fn write(&mut self, n: u8, value: u128);
}

/// What lies behind the trapped address.
pub trait Bus {
    /// Loads 1, 2, 4 or 8 bytes, aligned to their size; the lowest address is the lowest byte. `None`: refused, which
    /// the guest sees as an External abort.
    fn load(&mut self, address: u64, bytes: u8) -> Option<u64>;
    /// Stores likewise; bits above the `bytes` are zero.
    fn store(&mut self, address: u64, bytes: u8, value: u64) -> Option<()>;
}

/// An access that is to be carried out. Nothing has happened yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub(super) access: MemoryAccess,
    /// Of the first byte.
    address: u64,
    /// Base register and its new value.
    write_back: Option<(u8, u64)>,
    pub(super) big_endian: bool,
}

/// One aligned load or store of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// First byte, in the access.
    offset: usize,
    /// 1, 2, 4 or 8.
    bytes: u8,
}

impl Run {
    pub(super) fn new(
        access: MemoryAccess,
        fault: &Fault,
        registers: &impl GeneralRegisters,
        situation: &Situation,
    ) -> Self {
        let general = |n| match n {
            31 => registers.read_sp(),
            n => registers.read(n),
        };
        let offset = match access.address.offset {
            Offset::Immediate(bytes) => i64::from(bytes).cast_unsigned(),
            Offset::Register {
                register,
                extend,
                shift,
            } => extended(registers.read(register), extend) << (shift & 7),
        };
        // Address arithmetic wraps at 64 bits (Arm ARM, "Address generation").
        let (base, address, sum) = match access.address.base {
            Base::Register(n) => {
                let start = general(n);
                let sum = start.wrapping_add(offset);
                match access.address.write_back {
                    WriteBack::After => (Some(n), start, sum),
                    _ => (Some(n), sum, sum),
                }
            }
            Base::Authenticated(n) => (Some(n), fault.address, fault.address),
            Base::ProgramCounter => (None, situation.pc.wrapping_add(offset), 0),
            Base::Fault => (None, fault.address, 0),
        };
        let writes = access.address.write_back != WriteBack::None;
        Self {
            access,
            address,
            write_back: base.filter(|_| writes).map(|n| (n, sum)),
            big_endian: situation.big_endian,
        }
    }

    /// The virtual address of the first byte.
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// What is carried out.
    pub const fn access(&self) -> &MemoryAccess {
        &self.access
    }

    /// What barriers the access implies: the caller's matter, before the run for a release, after it for an acquire.
    pub const fn ordering(&self) -> Ordering {
        self.access.ordering
    }

    /// Does the access reach this address?
    pub(super) fn covers(&self, address: u64) -> bool {
        let offset = address.wrapping_sub(self.address) & ADDRESS_MASK;
        offset < u64::from(self.access.length())
    }

    /// Is each element aligned to its size?
    pub(super) const fn is_aligned(&self) -> bool {
        // Elements lie side by side: if the first is aligned, all are.
        let bytes = self.access.bytes as u64;
        bytes != 0 && self.address & (bytes - 1) == 0
    }

    /// The address of a byte of the access.
    const fn address_of(&self, offset: usize) -> u64 {
        self.address.wrapping_add(offset as u64)
    }

    /// Carries the access out, from the lowest address up: an aligned element is one load or store of the device (16
    /// bytes: two, the lower half first); an element that is not aligned is cut into the largest pieces that are, so
    /// no piece crosses a page.
    ///
    /// If the device refuses a piece, those before it have happened, and no register has changed, the base register
    /// included: so it is on hardware (Arm ARM, "Data Aborts": the base is restored).
    ///
    /// # Errors
    /// The abort for the guest, at the refused piece.
    pub fn complete(
        &self,
        general: &mut impl GeneralRegisters,
        vector: &mut impl VectorRegisters,
        bus: &mut impl Bus,
    ) -> Result<(), Abort> {
        let write = self.access.operation == Operation::Store;
        let mut image = [0; MAX_LENGTH];
        if write {
            self.gather(&mut image, general, vector);
        }
        for piece in self.pieces() {
            self.transfer(piece, &mut image, bus, write).ok_or(Abort {
                cause: Cause::External,
                address: self.address_of(piece.offset),
                write,
            })?;
        }
        if !write {
            self.scatter(&image, general, vector);
        }
        // Last, so that of a load into its own base (CONSTRAINED UNPREDICTABLE) the address survives.
        match self.write_back {
            Some((31, value)) => general.write_sp(value),
            Some((n, value)) => general.write(n, value),
            None => {}
        }
        Ok(())
    }

    fn transfer(
        &self,
        piece: Piece,
        image: &mut [u8; MAX_LENGTH],
        bus: &mut impl Bus,
        write: bool,
    ) -> Option<()> {
        let address = self.address_of(piece.offset);
        let bytes = usize::from(piece.bytes);
        let part = image.get_mut(piece.offset..)?.get_mut(..bytes)?;
        let mut word = [0; WIDEST];
        if write {
            word.get_mut(..bytes)?.copy_from_slice(part);
            bus.store(address, piece.bytes, u64::from_le_bytes(word))
        } else {
            word = bus.load(address, piece.bytes)?.to_le_bytes();
            part.copy_from_slice(word.get(..bytes)?);
            Some(())
        }
    }

    fn pieces(&self) -> impl Iterator<Item = Piece> {
        let run = *self;
        let length = usize::from(run.access.length()).min(MAX_LENGTH);
        let element = usize::from(run.access.bytes).max(1);
        let mut offset = 0;
        core::iter::from_fn(move || {
            if offset >= length {
                return None;
            }
            let rest = element - offset % element;
            let mut bytes: u8 = 8;
            while usize::from(bytes) > rest || run.address_of(offset) & (u64::from(bytes) - 1) != 0
            {
                bytes /= 2;
            }
            let piece = Piece { offset, bytes };
            offset += usize::from(bytes);
            Some(piece)
        })
    }
}

const fn extended(value: u64, extend: Extend) -> u64 {
    match extend {
        Extend::Uxtw => value & 0xffff_ffff,
        Extend::Sxtw => i64::cast_unsigned((value & 0xffff_ffff).cast_signed() << 32 >> 32),
        Extend::Uxtx | Extend::Sxtx => value,
    }
}
