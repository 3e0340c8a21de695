//! Loads and stores of device registers.
//!
//! By hand, because the compiler may turn a volatile access into one with write-back, which gives a
//! hypervisor no syndrome to answer it by.

use core::arch::asm;

/// The registers of a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    base: u64,
}

macro_rules! accessors {
    ($load:ident, $store:ident, $type:ty, $ldr:literal, $str:literal) => {
        /// Loads the register at `offset`.
        pub(super) fn $load(self, offset: u64) -> $type {
            let value;
            // SAFETY: the promise of `Registers::new`.
            unsafe {
                asm!($ldr, value = out(reg) value, at = in(reg) self.base + offset,
                     options(nostack, preserves_flags));
            }
            value
        }

        /// Stores to the register at `offset`.
        pub(super) fn $store(self, offset: u64, value: $type) {
            // SAFETY: the promise of `Registers::new`.
            unsafe {
                asm!($str, value = in(reg) value, at = in(reg) self.base + offset,
                     options(nostack, preserves_flags));
            }
        }
    };
}

impl Registers {
    /// The registers of the device at `base`.
    ///
    /// # Safety
    /// There is a device, or nothing at all, but no memory that the payload uses.
    pub(super) const unsafe fn new(base: u64) -> Self {
        Self { base }
    }

    accessors!(
        read32,
        write32,
        u32,
        "ldr {value:w}, [{at}]",
        "str {value:w}, [{at}]"
    );
    accessors!(
        read64,
        write64,
        u64,
        "ldr {value}, [{at}]",
        "str {value}, [{at}]"
    );
    accessors!(
        read16,
        write16,
        u16,
        "ldrh {value:w}, [{at}]",
        "strh {value:w}, [{at}]"
    );
    accessors!(
        read8,
        write8,
        u8,
        "ldrb {value:w}, [{at}]",
        "strb {value:w}, [{at}]"
    );

    /// The registers `offset` bytes further on.
    pub(super) const fn at(self, offset: u64) -> Self {
        Self {
            base: self.base + offset,
        }
    }
}
