//! A window of device registers in the linear map.

use core::ptr::NonNull;

use safe_mmio::{UniqueMmioPointer, fields::ReadPureWrite};

use crate::addr::Pa;
use crate::device::Registers;

/// Registers of one device. Offsets outside the window read as zero and ignore writes, so that no caller's
/// arithmetic reaches a neighbour.
#[derive(Debug)]
pub struct Mmio {
    base: Pa,
    size: u64,
}

macro_rules! access {
    ($read:ident, $write:ident, $ty:ty) => {
        /// One aligned load.
        pub fn $read(&self, offset: u64) -> $ty {
            match self.at::<$ty>(offset) {
                // SAFETY: `at` checked that the register lies inside the window, which `new`'s caller promised to be
                // device registers, mapped as such, and nobody else's.
                Some(register) => unsafe { UniqueMmioPointer::new(register) }.read(),
                None => 0,
            }
        }

        /// One aligned store.
        pub fn $write(&self, offset: u64, value: $ty) {
            if let Some(register) = self.at::<$ty>(offset) {
                // SAFETY: as for the load above.
                unsafe { UniqueMmioPointer::new(register) }.write(value);
            }
        }
    };
}

impl Mmio {
    /// The window of `size` bytes at `base`.
    ///
    /// # Safety
    /// `base .. base + size` are registers of a device, mapped at EL2 as device memory for as long as the value lives,
    /// and a store to any of them can do nothing to memory that Rust code owns, other than what the owner of the
    /// window makes the device do.
    pub const unsafe fn new(base: Pa, size: u64) -> Self {
        Self { base, size }
    }

    /// Where the window starts.
    pub const fn base(&self) -> Pa {
        self.base
    }

    fn at<T>(&self, offset: u64) -> Option<NonNull<ReadPureWrite<T>>> {
        let bytes = size_of::<T>() as u64;
        let end = offset.checked_add(bytes)?;
        if end > self.size || !offset.is_multiple_of(bytes) {
            return None;
        }
        let address = self.base.checked_add(offset)?;
        NonNull::new(address.get() as *mut ReadPureWrite<T>)
    }

    access!(read8, write8, u8);
    access!(read16, write16, u16);
    access!(read32, write32, u32);
    access!(read64, write64, u64);
}

impl Registers for Mmio {
    fn read32(&self, offset: usize) -> u32 {
        Mmio::read32(self, offset as u64)
    }

    fn write32(&self, offset: usize, value: u32) {
        Mmio::write32(self, offset as u64, value);
    }

    fn read64(&self, offset: usize) -> u64 {
        Mmio::read64(self, offset as u64)
    }

    fn write64(&self, offset: usize, value: u64) {
        Mmio::write64(self, offset as u64, value);
    }
}
