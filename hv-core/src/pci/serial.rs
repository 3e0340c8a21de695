//! A serial line on PCI that Oche keeps for itself.

use super::bars::{Sized, bar_offset, size};
use super::{Bus, ConfigSpace, Function, HostWindow, HostWindows, command, set_command};
use crate::addr::Pa;

/// Where in the I/O window its ports go: not at bus address 0, which means nowhere to many devices.
const FIRST_PORT: u64 = 0x1000;
/// Registers of a 16550, one byte each.
const PORTS: u32 = 8;

/// QEMU's `pci-serial` (1b36:0002): a 16550 behind an I/O BAR, and nothing else. It does no DMA,
/// and is never given to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnSerial {
    /// Where it is on the bus.
    pub function: Function,
    /// Its eight registers, one byte each, as the processor sees them.
    pub registers: Pa,
    /// The device and pin of the root bus that it interrupts by. It does not do so until its
    /// command register lets it.
    pub pin: Option<(Function, u8)>,
}

/// Finds the first such line on the root bus, places its ports and lets it answer. `None` if there
/// is none, or no window for it.
pub fn own_serial(
    config: &impl ConfigSpace,
    bus: &Bus,
    windows: &HostWindows,
) -> Option<OwnSerial> {
    let found = bus
        .functions
        .iter()
        .find(|it| it.identity.is_serial() && it.path.is_empty())?;
    let registers = place_io(config, found.function, 0, windows.io?)?;
    set_command(
        config,
        found.function,
        command::IO | command::INTERRUPT_DISABLE,
    );
    Some(OwnSerial {
        function: found.function,
        registers,
        pin: found.root_pin(),
    })
}

/// Places the only I/O BAR there is.
fn place_io(
    config: &impl ConfigSpace,
    function: Function,
    index: u8,
    window: HostWindow,
) -> Option<Pa> {
    let Sized::Io(size) = size(config, function, index, 6) else {
        return None;
    };
    let bus = window
        .bus
        .checked_next_multiple_of(FIRST_PORT)?
        .max(FIRST_PORT);
    let offset = bus.checked_sub(window.bus)?;
    let fits = size >= PORTS
        && u64::from(size) <= FIRST_PORT
        && offset.checked_add(size.into())? <= window.size;
    let address = u32::try_from(bus).ok().filter(|_| fits)?;
    let registers = window.pa.checked_add(offset)?;
    config.write32(function, bar_offset(index), address);
    Some(registers)
}
