//! Access to configuration space.

use super::{Function, command, offset};

/// Configuration space of the machine. `offset` is a multiple of four below 0x1000. A function that
/// is not there, and a bus that cannot be reached, read all ones.
pub trait ConfigSpace {
    /// Reads one word.
    fn read32(&self, function: Function, offset: u16) -> u32;
    /// Writes one word.
    fn write32(&self, function: Function, offset: u16, value: u32);
}

/// Writes a function's command register. The status register in the upper half is write-one-to-
/// clear, so nothing of it changes.
pub fn set_command(config: &impl ConfigSpace, function: Function, command: u16) {
    config.write32(function, offset::COMMAND, u32::from(command));
}

/// Lets a function do nothing any more: no DMA, no message, no answer at its BARs, no interrupt.
/// Messages are memory writes, so they end with bus mastership too (PCI Local Bus 3.0, 6.8.3.3).
///
/// Bridges above it go on passing what others behind them send.
pub fn silence(config: &impl ConfigSpace, function: Function) {
    set_command(config, function, command::INTERRUPT_DISABLE);
}
