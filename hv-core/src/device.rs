//! What a driver of a host device needs of the machine: its registers, and the order between them and memory.

use crate::addr::Pa;

/// The register window of one device. Every access is one load or store of its width.
pub trait Registers: Sync {
    /// Reads 32 bits at `offset` from the window's start.
    fn read32(&self, offset: usize) -> u32;
    /// Writes 32 bits.
    fn write32(&self, offset: usize, value: u32);
    /// Reads 64 bits.
    fn read64(&self, offset: usize) -> u64;
    /// Writes 64 bits.
    fn write64(&self, offset: usize, value: u64);
}

/// The order between memory that a device reads or writes, and its registers.
pub trait Fence: Sync {
    /// Every earlier store to memory is visible to devices before any later store, be it to memory
    /// or to a register (`dsb oshst` or stronger).
    fn stores(&self);
    /// Every earlier load of a register is complete before any later load of memory that the
    /// device wrote (`dmb oshld` or stronger).
    fn loads(&self);
}

/// What a device that does not see the cores' caches needs beside.
pub trait Clean: Fence {
    /// Writes the cached lines of the range back to memory, drops them, and is a [`Fence::stores`]
    /// after that (`dc civac`, `dsb sy`).
    fn clean(&self, from: Pa, bytes: u64);
}
