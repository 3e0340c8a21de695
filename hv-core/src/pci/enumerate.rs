//! Find the functions, silence them, number the buses, give BARs their places.

use arrayvec::ArrayVec;

use super::bars::{Sized, program, size};
use super::bus::Unplaced;
use super::capability::PortKind;
use super::isolation::{is_apart_in_its_device, isolate};
use super::places::{Passed, Places};
use super::{
    Bar, Bridge, Bus, Capabilities, ConfigSpace, Function, HostFunction, HostWindows, Identity,
    MAX_DEPTH, Path, command, offset, quiet, set_command, silence,
};

/// The numbers that buses can have: the first one is the root bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusRange {
    /// The root bus.
    pub first: u8,
    /// The last number that there is configuration space for.
    pub last: u8,
}

/// Looks at every function of every bus, takes its bus mastership, memory and I/O away, switches
/// off what could go round the IOMMU, and places its memory BARs. I/O BARs stay as they are and
/// disabled. Bridges pass memory accesses down; up they pass nothing until a function behind them
/// is let master the bus.
pub fn enumerate(config: &impl ConfigSpace, buses: BusRange, windows: &HostWindows) -> Bus {
    let mut scan = Scan {
        config,
        bus: Bus::default(),
        places: Places::new(windows),
        last_used: buses.first,
        last: buses.last,
    };
    scan.bus(buses.first, &Path::new(), false);
    scan.bus
}

struct Scan<'a, C> {
    config: &'a C,
    bus: Bus,
    places: Places,
    /// The highest bus number that is taken.
    last_used: u8,
    last: u8,
}

impl<C: ConfigSpace> Scan<'_, C> {
    /// `alone`: behind a port of PCI Express there is device 0 only, and another number may reach
    /// the same one (PCI Express Base 4.0, 7.3.1).
    fn bus(&mut self, number: u8, path: &Path, alone: bool) {
        for device in 0..if alone { 1 } else { 32 } {
            let mut several = false;
            for index in 0..8 {
                let Some(function) = Function::on_bus(number, device, index) else {
                    continue;
                };
                let identity = self.config.read32(function, offset::IDENTITY);
                // Vendor 0xffff: nobody answered (PCI Local Bus 3.0, 6.2.1).
                if identity & 0xffff == 0xffff {
                    if index == 0 {
                        break;
                    }
                    continue;
                }
                silence(self.config, function);
                let header = self.config.read32(function, offset::HEADER) >> 16 & 0xff;
                // Bit 7 of function 0's header type says whether there are others.
                several |= index == 0 && header & 0x80 != 0;
                let capabilities = Capabilities::read(self.config, function);
                quiet(self.config, function, &capabilities);
                match header & 0x7f {
                    0 => self.keep(function, identity, capabilities, path, several),
                    1 => self.bridge(function, &capabilities, path, several),
                    _ => self.bus.unreached = self.bus.unreached.saturating_add(1),
                }
                if !several {
                    break;
                }
            }
        }
    }

    fn keep(
        &mut self,
        function: Function,
        identity: u32,
        capabilities: Capabilities,
        path: &Path,
        several: bool,
    ) {
        if self.bus.functions.is_full() {
            self.bus.left_out = self.bus.left_out.saturating_add(1);
            return;
        }
        let config = self.config;
        let [_, pin, ..] = config.read32(function, offset::INTERRUPT).to_le_bytes();
        let (bars, unplaced) = self.place(function, 6, !path.is_empty());
        let found = HostFunction {
            function,
            identity: Identity {
                device: identity,
                class: config.read32(function, offset::CLASS),
                subsystem: config.read32(function, offset::SUBSYSTEM),
            },
            bars,
            unplaced,
            pin: if pin <= 4 { pin } else { 0 },
            // Functions that are kept apart inside their device count as devices of their own.
            multifunction: several && !is_apart_in_its_device(config, function, &capabilities),
            capabilities,
            path: path.clone(),
        };
        // Room was asked for above.
        let _ = self.bus.functions.try_push(found);
    }

    /// Sizes and places the first `count` BARs; the first that found no place comes too.
    fn place(
        &mut self,
        function: Function,
        count: u8,
        behind_bridge: bool,
    ) -> (ArrayVec<Bar, 6>, Option<Unplaced>) {
        let mut bars = ArrayVec::new();
        let mut unplaced = None;
        let mut index = 0;
        while index < count {
            let sized = size(self.config, function, index, count);
            if let Sized::Memory(mut bar) = sized {
                match self.places.take(&bar, behind_bridge) {
                    Some((bus, pa)) => {
                        (bar.bus, bar.pa) = (bus, pa);
                        program(self.config, function, &bar);
                        // Six words hold at most six BARs.
                        let _ = bars.try_push(bar);
                    }
                    None => {
                        unplaced.get_or_insert(Unplaced {
                            index,
                            size: bar.size,
                            room: self.places.room(&bar, behind_bridge),
                        });
                    }
                }
            }
            index += sized.words();
        }
        (bars, unplaced)
    }

    fn bridge(
        &mut self,
        function: Function,
        capabilities: &Capabilities,
        path: &Path,
        several: bool,
    ) {
        let config = self.config;
        // No reset, no legacy addresses, no window.
        config.write32(function, offset::BRIDGE_CONTROL, 0);
        close(config, function);
        // Its own BARs, so that they are not on top of anybody's when it answers.
        let (_, unplaced) = self.place(function, 2, !path.is_empty());
        let secondary = self
            .last_used
            .checked_add(1)
            .filter(|number| *number <= self.last);
        let mut inner = path.clone();
        let room = inner.try_push(function).is_ok() && inner.len() <= MAX_DEPTH;
        let Some(secondary) =
            secondary.filter(|_| room && unplaced.is_none() && !self.bus.bridges.is_full())
        else {
            // No bus number: no configuration access goes through either.
            config.write32(function, offset::BUS_NUMBERS, 0);
            self.bus.unreached = self.bus.unreached.saturating_add(1);
            return;
        };
        let isolation = isolate(config, function, capabilities, several);
        let kind = capabilities.express.map(|express| express.kind);
        let alone = matches!(kind, Some(PortKind::Root | PortKind::Downstream));
        let known = self.bus.bridges.len();
        let _ = self.bus.bridges.try_push(Bridge {
            function,
            secondary,
            subordinate: secondary,
            isolation,
        });
        number(config, function, secondary, self.last);
        self.last_used = secondary;
        let passes_high = has_high_window(config, function);
        let entered = self.places.enter(passes_high);
        self.bus(secondary, &inner, alone);
        let [low, high] = self.places.leave(&entered);
        number(config, function, secondary, self.last_used);
        if let Some(bridge) = self.bus.bridges.get_mut(known) {
            bridge.subordinate = self.last_used;
        }
        open(config, function, low, high);
        if low.is_some() || high.is_some() {
            let on = command::MEMORY | command::INTERRUPT_DISABLE;
            set_command(config, function, on);
        }
    }
}

/// Which buses are behind a bridge.
fn number(config: &impl ConfigSpace, bridge: Function, secondary: u8, subordinate: u8) {
    let numbers = u32::from_le_bytes([bridge.bus(), secondary, subordinate, 0]);
    config.write32(bridge, offset::BUS_NUMBERS, numbers);
}

/// A window whose limit is below its base passes nothing (PCI-to-PCI Bridge 1.2, 3.2.5.6 to 9).
fn close(config: &impl ConfigSpace, bridge: Function) {
    config.write32(bridge, offset::IO_WINDOW, 0x00f0);
    config.write32(bridge, offset::MEMORY_WINDOW, 0x0000_fff0);
    config.write32(bridge, offset::PREFETCHABLE_WINDOW, 0x0000_fff0);
    config.write32(bridge, offset::PREFETCHABLE_BASE_HIGH, 0);
    config.write32(bridge, offset::PREFETCHABLE_LIMIT_HIGH, 0);
}

/// Has the prefetchable window 64 bits? The lowest bit says so.
fn has_high_window(config: &impl ConfigSpace, bridge: Function) -> bool {
    config.read32(bridge, offset::PREFETCHABLE_WINDOW) & 0xf == 1
}

/// Base and limit in one word: bits 31 to 20 of each.
fn base_and_limit(passed: Passed) -> u32 {
    let bits = |address: u64| u32::try_from(address >> 16 & 0xfff0).unwrap_or(0);
    bits(passed.last) << 16 | bits(passed.first)
}

fn open(config: &impl ConfigSpace, bridge: Function, low: Option<Passed>, high: Option<Passed>) {
    if let Some(low) = low {
        config.write32(bridge, offset::MEMORY_WINDOW, base_and_limit(low));
    }
    if let Some(high) = high {
        let [first, last] = [high.first, high.last].map(|address| (address >> 32) as u32);
        config.write32(bridge, offset::PREFETCHABLE_BASE_HIGH, first);
        config.write32(bridge, offset::PREFETCHABLE_LIMIT_HIGH, last);
        config.write32(bridge, offset::PREFETCHABLE_WINDOW, base_and_limit(high));
    }
}
