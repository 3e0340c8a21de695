//! Configuration space of the machine's PCI buses, through ECAM.

use boot::machine::Machine;
use hv_core::Pa;
use hv_core::arch::aarch64::core as cpu;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::pci::{self, BusRange, ConfigSpace, Delay, Function, ResetError, ResetMethod};
use log::{info, warn};

use super::sentence::{Sentence, sentence};

/// ECAM: 4 KiB per function (PCI Express base specification, 7.2.2), the first bus first.
pub(super) struct Ecam {
    registers: Mmio,
    buses: BusRange,
}

impl Ecam {
    fn at(&self, function: Function, offset: u16) -> Option<u64> {
        let first = Function::on_bus(self.buses.first, 0, 0)?;
        let inside = function.bus() <= self.buses.last;
        let base = function.ecam_offset().checked_sub(first.ecam_offset())?;
        inside.then_some(base + u64::from(offset & 0xffc))
    }
}

impl Ecam {
    /// Where a function's configuration space is in the machine.
    pub(super) fn space_of(&self, function: Function) -> Option<Pa> {
        self.registers.base().checked_add(self.at(function, 0)?)
    }
}

impl ConfigSpace for Ecam {
    fn read32(&self, function: Function, offset: u16) -> u32 {
        self.at(function, offset)
            .map_or(u32::MAX, |at| self.registers.read32(at))
    }

    fn write32(&self, function: Function, offset: u16, value: u32) {
        if let Some(at) = self.at(function, offset) {
            self.registers.write32(at, value);
        }
    }
}

/// The ECAM of the machine.
pub(super) fn ecam(machine: &Machine) -> Ecam {
    let range = machine.pci.ecam;
    Ecam {
        // SAFETY: the device tree's ECAM, mapped by `map_devices`; configuration space is no memory of ours.
        registers: unsafe { Mmio::new(range.start(), range.size()) },
        buses: machine.pci.buses,
    }
}

/// What stands on the buses, every function silent and its BARs placed.
pub(super) fn scan(machine: &Machine, config_space: &Ecam) -> pci::Bus {
    for note in &machine.pci.notes {
        warn!("{note}");
    }
    let bus = pci::enumerate(config_space, machine.pci.buses, &machine.pci.windows);
    for bridge in &bus.bridges {
        info!(
            "PCI {}: a bridge to buses {:02x} to {:02x}",
            bridge.function, bridge.secondary, bridge.subordinate
        );
    }
    for found in &bus.functions {
        let identity = found.identity;
        let (device, class) = (identity.device, identity.class >> 8);
        match bus.assignable(found.function) {
            Ok(_) => info!(
                "PCI {}: device {device:08x}, class {class:06x}, group {}, {}",
                found.function,
                bus.group(found),
                Reset(ResetMethod::of(found, &bus))
            ),
            Err(_) => info!(
                "PCI {}: device {device:08x}, class {class:06x}, for no guest",
                found.function
            ),
        }
    }
    if bus.left_out + bus.unreached > 0 {
        warn!(
            "PCI: {} functions are more than Oche keeps a list for, and {} bridges or headers are not gone through: \
             no guest gets anything of them",
            bus.left_out, bus.unreached
        );
    }
    bus
}

/// Makes a function as it was at start, for the guest that has it: reset, where there is a way. One without goes back to
/// the same guest silenced and with its messages off, and to no other one (`ResetMethod::of`).
pub(super) fn renew(
    config_space: &Ecam,
    bus: &pci::Bus,
    function: Function,
) -> Result<(), Sentence> {
    let found = bus.assignable(function).map_err(|why| sentence!("{why}"))?;
    match pci::reset(config_space, bus, found, &mut Pause) {
        Ok(_) => Ok(()),
        Err(ResetError::NoMethod(_)) => {
            pci::quiet(config_space, function, &found.capabilities);
            Ok(())
        }
        Err(why) => Err(sentence!("{why}")),
    }
}

/// Waits by the counter.
struct Pause;

impl Delay for Pause {
    fn milliseconds(&mut self, count: u32) {
        let since = cpu::ticks();
        while cpu::microseconds(cpu::ticks().saturating_sub(since)) < u64::from(count) * 1000 {
            core::hint::spin_loop();
        }
    }
}

/// How a function is reset.
struct Reset(Option<ResetMethod>);

impl core::fmt::Display for Reset {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(method) => method.fmt(f),
            None => f.write_str("no reset: for one guest only, once"),
        }
    }
}
