//! The PCI host bridge: where its configuration space and its windows are, which wire a pin pulls,
//! which IOMMU stands in front of a function, and who takes its messages.

mod routes;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use hv_core::Pa;
use hv_core::pci::{BusRange, Function, HostWindow, HostWindows};

use self::routes::{IdMap, PinMap};
use super::cells::{CellReader, compatible, is_enabled, region};
use super::{Interrupt, TreeError};
use crate::range::PaRange;

const NAME: &str = "the PCI host bridge";
const COMPATIBLE: &str = "pci-host-ecam-generic";
/// Bytes of configuration space per bus: 256 functions of 4 KiB (PCI Express base, 7.2.2).
const BUS_SIZE: u64 = 0x10_0000;

/// What an IOMMU calls a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostStreamId {
    /// The handle of the IOMMU's node.
    pub iommu: u32,
    /// The stream id there.
    pub stream: u32,
}

/// What an interrupt controller calls a function that sends it a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostDeviceId {
    /// The handle of the controller's node.
    pub controller: u32,
    /// The DeviceID there.
    pub device: u32,
}

/// Something about the host bridge that is not used as the device tree has it. `Display` gives one
/// sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PciNote {
    /// `reg` has configuration space for fewer buses than `bus-range` names: up to this one.
    FewerBuses(u8),
    /// So many other host bridges.
    OtherHosts(usize),
    /// So many other windows.
    OtherWindows(usize),
}

impl fmt::Display for PciNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewerBuses(last) => write!(
                f,
                "the PCI host bridge has configuration space up to bus {last:02x} only: buses above are not used"
            ),
            Self::OtherHosts(count) => write!(
                f,
                "{count} more PCI host bridges are left alone: no guest gets anything behind them"
            ),
            Self::OtherWindows(count) => write!(
                f,
                "{count} more windows of the PCI host bridge are not used: the first of each kind is"
            ),
        }
    }
}

/// A host bridge of the `pci-host-ecam-generic` kind.
#[derive(Clone, Debug)]
pub struct PciHost {
    /// Configuration space of the buses, 1 MiB for each.
    pub ecam: PaRange,
    /// The numbers that buses can have.
    pub buses: BusRange,
    /// The windows for BARs.
    pub windows: HostWindows,
    /// What has to be told about it.
    pub notes: Vec<PciNote>,
    pins: PinMap,
    streams: IdMap,
    messages: IdMap,
}

impl PciHost {
    /// The wire that an interrupt pin (1 to 4 for INTA to INTD) of a function on the root bus pulls.
    pub fn pin_interrupt(&self, function: Function, pin: u8) -> Option<Interrupt> {
        self.pins.find(function, pin)
    }

    /// The wires that pins pull, each once: four as a rule.
    pub fn pin_wires(&self) -> Vec<Interrupt> {
        self.pins.wires()
    }

    /// Which stream of which IOMMU a function's accesses are, or `None` if no IOMMU sees them.
    pub fn stream_of(&self, function: Function) -> Option<HostStreamId> {
        let (iommu, stream) = self.streams.find(function)?;
        Some(HostStreamId { iommu, stream })
    }

    /// What becomes of a function's messages, or `None` if nothing takes them: `msi-map` names an
    /// ITS and the function's DeviceID there.
    pub fn message_id_of(&self, function: Function) -> Option<HostDeviceId> {
        let (controller, device) = self.messages.find(function)?;
        Some(HostDeviceId { controller, device })
    }
}

fn malformed(property: &'static str, wanted: &'static str) -> TreeError {
    TreeError::Malformed {
        node: NAME,
        property,
        wanted,
    }
}

pub(super) fn read(fdt: Fdt<'_>) -> Result<PciHost, TreeError> {
    let node = compatible(fdt, COMPATIBLE).ok_or(TreeError::Missing {
        what: "pci-host-ecam-generic node",
        hint: "start QEMU with -M virt, which has a PCI bus",
    })?;
    let mut notes = Vec::new();
    let others = fdt
        .root()
        .children()
        .filter(|node| node.is_compatible(COMPATIBLE) && is_enabled(*node))
        .count()
        .saturating_sub(1);
    if others > 0 {
        notes.push(PciNote::OtherHosts(others));
    }
    let (ecam, buses) = buses(node, &mut notes)?;
    let masks = |name, cells| match CellReader::of(node, name) {
        mask if mask.is_empty() => Some((u32::MAX, u32::MAX)),
        mut mask => {
            let first = mask.cell()?;
            mask.skip(cells)?;
            Some((first, if cells == 0 { 0 } else { mask.cell()? }))
        }
    };
    let pin_masks =
        masks("interrupt-map-mask", 2).ok_or(malformed("interrupt-map-mask", "four cells"))?;
    let (stream_mask, _) =
        masks("iommu-map-mask", 0).ok_or(malformed("iommu-map-mask", "one cell"))?;
    let (message_mask, _) =
        masks("msi-map-mask", 0).ok_or(malformed("msi-map-mask", "one cell"))?;
    Ok(PciHost {
        ecam,
        buses,
        windows: windows(fdt, node, &mut notes).ok_or(malformed(
            "ranges",
            "lines of seven cells, one of them a memory window",
        ))?,
        notes,
        pins: PinMap::read(fdt, node, pin_masks)
            .ok_or(malformed("interrupt-map", "lines that lead to the GICv3"))?,
        streams: IdMap::read(node, "iommu-map", stream_mask)
            .ok_or(malformed("iommu-map", "lines of four cells"))?,
        messages: IdMap::read(node, "msi-map", message_mask)
            .ok_or(malformed("msi-map", "lines of four cells"))?,
    })
}

/// Configuration space and the buses that it is of: it begins with the first bus of `bus-range`
/// (devicetree binding host-generic-pci), and need not reach as far as that goes.
fn buses(node: FdtNode<'_>, notes: &mut Vec<PciNote>) -> Result<(PaRange, BusRange), TreeError> {
    let ecam = region(node, NAME)?;
    let mut cells = CellReader::of(node, "bus-range");
    let (first, last) = if cells.is_empty() {
        (0, 255)
    } else {
        let mut number = || u8::try_from(cells.cell()?).ok();
        number()
            .zip(number())
            .filter(|(first, last)| first <= last)
            .ok_or(malformed("bus-range", "two numbers below 256, in order"))?
    };
    let room = (ecam.size() / BUS_SIZE).min(256);
    let Some(most) = room.checked_sub(1).and_then(|most| u8::try_from(most).ok()) else {
        return Err(malformed(
            "reg",
            "configuration space of one bus at least (0x100000 bytes)",
        ));
    };
    let last = if last - first > most {
        // Without `bus-range` nobody promised more.
        if node.property("bus-range").is_some() {
            notes.push(PciNote::FewerBuses(first + most));
        }
        first + most
    } else {
        last
    };
    let size = (u64::from(last - first) + 1) * BUS_SIZE;
    let ecam = PaRange::new(ecam.start(), size).unwrap_or(ecam);
    Ok((ecam, BusRange { first, last }))
}

/// The first window of each kind. The space code is in bits 25 and 24 of the first cell: 1 I/O,
/// 2 32-bit memory, 3 64-bit memory (IEEE 1275 PCI bus binding 2.1, 2.2.1.1).
fn windows(fdt: Fdt<'_>, node: FdtNode<'_>, notes: &mut Vec<PciNote>) -> Option<HostWindows> {
    // The library takes other numbers of cells for a bus than PCI has.
    let cells_are = |property: &str, count: u32| {
        node.property(property)
            .is_some_and(|it| it.value() == count.to_be_bytes())
    };
    if !cells_are("#address-cells", 3) || !cells_are("#size-cells", 2) {
        return None;
    }
    let parent_cells = fdt.root().address_cells().ok()?;
    let mut windows = HostWindows::default();
    let mut others = 0;
    let mut cells = CellReader::of(node, "ranges");
    while !cells.is_empty() {
        let space = cells.cell()? >> 24 & 3;
        let bus = cells.number(2)?;
        let pa = Pa::new(cells.number(parent_cells)?);
        let size = cells.number(2)?;
        // Neither side may wrap round: placing a BAR adds to both.
        bus.checked_add(size)?;
        pa.checked_add(size)?;
        let kind = match space {
            1 => &mut windows.io,
            2 => &mut windows.low,
            3 => &mut windows.high,
            _ => continue,
        };
        if kind.is_some() {
            others += 1;
        } else {
            *kind = Some(HostWindow { bus, pa, size });
        }
    }
    if others > 0 {
        notes.push(PciNote::OtherWindows(others));
    }
    (windows.low.is_some() || windows.high.is_some()).then_some(windows)
}
