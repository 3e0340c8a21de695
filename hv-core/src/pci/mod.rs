//! PCI: what stands on bus 0 of the machine, and the flat bus that a guest sees instead.
//!
//! Oche owns the bus. It gives every memory BAR pages of its own once, at start, and never moves
//! it. A guest sees its functions through configuration space that is answered from here; the only
//! thing of it that ever reaches the device is a filtered command register.

mod enumerate;
mod function;
#[cfg(test)]
mod tests;
mod virtual_bus;
mod virtual_function;

pub use self::enumerate::{
    Bar, Bus, ConfigSpace, HostFunction, HostWindow, HostWindows, Identity, MAX_FUNCTIONS,
    enumerate, set_command, silence,
};
pub use self::function::Function;
pub use self::virtual_bus::{ConfigEffect, MAX_VIRTUAL_FUNCTIONS, PciError, VirtualBus, Window};

/// Offsets in configuration space (PCI Local Bus 3.0, 6.1).
mod offset {
    pub(super) const IDENTITY: u16 = 0x00;
    pub(super) const COMMAND: u16 = 0x04;
    pub(super) const CLASS: u16 = 0x08;
    pub(super) const HEADER: u16 = 0x0c;
    pub(super) const BARS: u16 = 0x10;
    pub(super) const SUBSYSTEM: u16 = 0x2c;
    pub(super) const INTERRUPT: u16 = 0x3c;
}

/// Bits of the command register (PCI Local Bus 3.0, 6.2.2).
pub mod command {
    /// The function answers at its memory BARs.
    pub const MEMORY: u16 = 1 << 1;
    /// The function may read and write memory.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// The function does not pull its pin.
    pub const INTERRUPT_DISABLE: u16 = 1 << 10;
}
