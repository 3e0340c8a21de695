//! PCI: what stands on the machine's buses, and the flat bus that a guest sees instead.
//!
//! Oche owns the buses. At start it numbers them, silences every function, takes away what could
//! go round the IOMMU, and gives every memory BAR pages of its own, once and for all. A guest sees
//! its functions on one bus, through configuration space that is answered from here. What of it
//! reaches a device is a list: a filtered command register, and the registers of MSI and MSI-X.

mod bars;
mod bus;
mod capability;
mod config;
mod enumerate;
mod function;
mod isolation;
mod places;
mod refusal;
mod reset;
mod serial;
#[cfg(test)]
mod tests;
mod virtual_bus;
mod virtual_capability;
mod virtual_function;

pub use self::bars::Bar;
pub use self::bus::{
    Bridge, Bus, HostFunction, Identity, MAX_BRIDGES, MAX_DEPTH, MAX_FUNCTIONS, Path,
};
pub use self::capability::{
    AdvancedFeatures, Capabilities, Express, Msi, MsiX, PortKind, Power, quiet,
};
pub use self::config::{ConfigSpace, set_command, silence};
pub use self::enumerate::{BusRange, enumerate};
pub use self::function::Function;
pub use self::places::{HostWindow, HostWindows};
pub use self::refusal::Unassignable;
pub use self::reset::{Delay, ResetError, ResetMethod, reset};
pub use self::serial::{OwnSerial, own_serial};
pub use self::virtual_bus::{
    ConfigEffect, ConfigEffects, MAX_EFFECTS, MAX_VIRTUAL_FUNCTIONS, PciError, VirtualBus, Window,
};

/// Offsets in configuration space (PCI Local Bus 3.0, 6.1; PCI-to-PCI Bridge 1.2, 3.2).
mod offset {
    pub(super) const IDENTITY: u16 = 0x00;
    /// Status is in the upper half, and write-one-to-clear.
    pub(super) const COMMAND: u16 = 0x04;
    pub(super) const CLASS: u16 = 0x08;
    pub(super) const HEADER: u16 = 0x0c;
    pub(super) const BARS: u16 = 0x10;
    pub(super) const SUBSYSTEM: u16 = 0x2c;
    pub(super) const CAPABILITIES: u16 = 0x34;
    pub(super) const INTERRUPT: u16 = 0x3c;

    /// Of a bridge: primary, secondary and subordinate bus number, latency timer.
    pub(super) const BUS_NUMBERS: u16 = 0x18;
    /// Of a bridge: base and limit of its I/O window; secondary status.
    pub(super) const IO_WINDOW: u16 = 0x1c;
    /// Of a bridge: base and limit of its memory window.
    pub(super) const MEMORY_WINDOW: u16 = 0x20;
    /// Of a bridge: base and limit of its prefetchable window.
    pub(super) const PREFETCHABLE_WINDOW: u16 = 0x24;
    /// Of a bridge: the upper half of that base.
    pub(super) const PREFETCHABLE_BASE_HIGH: u16 = 0x28;
    /// Of a bridge: the upper half of that limit.
    pub(super) const PREFETCHABLE_LIMIT_HIGH: u16 = 0x2c;
    /// Of a bridge: its control register is in the upper half of the word of line and pin.
    pub(super) const BRIDGE_CONTROL: u16 = INTERRUPT;
}

/// Bits of the command register (PCI Local Bus 3.0, 6.2.2).
pub mod command {
    /// The function answers at its I/O BARs.
    pub const IO: u16 = 1 << 0;
    /// The function answers at its memory BARs; a bridge passes memory accesses down.
    pub const MEMORY: u16 = 1 << 1;
    /// The function may read and write memory; a bridge passes memory accesses up.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// The function does not pull its pin.
    pub const INTERRUPT_DISABLE: u16 = 1 << 10;
}
