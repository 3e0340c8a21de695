//! The PCI bus: where its configuration space and its windows are, which wire a pin pulls, and
//! which IOMMU stands in front of a function.

use alloc::vec::Vec;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use hv_core::Pa;
use hv_core::pci::{Function, HostWindow, HostWindows};

use super::cells::{CellReader, by_phandle, cell_of, compatible, region};
use super::{Interrupt, TreeError};
use crate::range::PaRange;

const NAME: &str = "the PCI host bridge";
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

/// One line of `interrupt-map`.
#[derive(Clone, Copy, Debug)]
struct PinRoute {
    /// The first cell of the unit address: device and function number in bits 15 to 8.
    unit: u32,
    pin: u32,
    interrupt: Interrupt,
}

/// One line of `iommu-map`: `length` requester ids from `rid` on.
#[derive(Clone, Copy, Debug)]
struct StreamRoute {
    rid: u32,
    iommu: u32,
    stream: u32,
    length: u32,
}

/// A host bridge of the `pci-host-ecam-generic` kind.
#[derive(Clone, Debug)]
pub struct PciHost {
    /// Configuration space of the first bus (1 MiB of it).
    pub ecam: PaRange,
    /// The number of the first bus.
    pub first_bus: u8,
    /// The windows for BARs.
    pub windows: HostWindows,
    unit_mask: u32,
    pin_mask: u32,
    pins: Vec<PinRoute>,
    rid_mask: u32,
    streams: Vec<StreamRoute>,
}

impl PciHost {
    /// The wire that a function's interrupt pin (1 to 4 for INTA to INTD) pulls.
    pub fn pin_interrupt(&self, function: Function, pin: u8) -> Option<Interrupt> {
        let unit = u32::from(function.rid()) << 8 & self.unit_mask;
        let pin = u32::from(pin) & self.pin_mask;
        self.pins
            .iter()
            .find(|route| route.unit == unit && route.pin == pin)
            .map(|route| route.interrupt)
    }

    /// Which stream of which IOMMU a function's accesses are, or `None` if no IOMMU sees them.
    pub fn stream_of(&self, function: Function) -> Option<HostStreamId> {
        let rid = u32::from(function.rid()) & self.rid_mask;
        self.streams.iter().find_map(|route| {
            let offset = rid.checked_sub(route.rid)?;
            let stream = route.stream.checked_add(offset)?;
            (offset < route.length).then_some(HostStreamId {
                iommu: route.iommu,
                stream,
            })
        })
    }
}

pub(super) fn read(fdt: Fdt<'_>) -> Result<PciHost, TreeError> {
    let node = compatible(fdt, "pci-host-ecam-generic").ok_or(TreeError::Missing {
        what: "pci-host-ecam-generic node",
        hint: "start QEMU with -M virt, which has a PCI bus",
    })?;
    let malformed = |property, wanted| TreeError::Malformed {
        node: NAME,
        property,
        wanted,
    };
    let ecam = region(node, NAME)?;
    if ecam.size() < BUS_SIZE {
        return Err(malformed(
            "reg",
            "configuration space of one bus at least (0x100000 bytes)",
        ));
    }
    let first_bus = CellReader::of(node, "bus-range").cell().unwrap_or(0);
    let mask = |name, cells| match CellReader::of(node, name) {
        mask if mask.is_empty() => Some((u32::MAX, u32::MAX)),
        mut mask => {
            let first = mask.cell()?;
            mask.skip(cells)?;
            Some((first, if cells == 0 { 0 } else { mask.cell()? }))
        }
    };
    let (unit_mask, pin_mask) =
        mask("interrupt-map-mask", 2).ok_or(malformed("interrupt-map-mask", "four cells"))?;
    let (rid_mask, _) = mask("iommu-map-mask", 0).ok_or(malformed("iommu-map-mask", "one cell"))?;
    Ok(PciHost {
        ecam,
        first_bus: u8::try_from(first_bus).map_err(|_| malformed("bus-range", "below 256"))?,
        windows: windows(fdt, node).ok_or(malformed("ranges", "lines of seven cells"))?,
        unit_mask,
        pin_mask,
        pins: pins(fdt, node).ok_or(malformed("interrupt-map", "lines that lead to the GICv3"))?,
        rid_mask,
        streams: streams(node).ok_or(malformed("iommu-map", "lines of four cells"))?,
    })
}

/// The first 32-bit and the first 64-bit memory window. The space code is in bits 25 and 24 of the
/// first cell: 1 I/O, 2 32-bit memory, 3 64-bit memory (IEEE 1275 PCI bus binding 2.1, 2.2.1.1).
fn windows(fdt: Fdt<'_>, node: FdtNode<'_>) -> Option<HostWindows> {
    let parent_cells = fdt.root().address_cells().ok()?;
    let size_cells = node.size_cells().ok()?;
    let mut windows = HostWindows::default();
    let mut cells = CellReader::of(node, "ranges");
    while !cells.is_empty() {
        let space = cells.cell()? >> 24 & 3;
        let bus = cells.number(2)?;
        let pa = Pa::new(cells.number(parent_cells)?);
        let size = cells.number(size_cells)?;
        // Neither side may wrap round: placing a BAR adds to both.
        bus.checked_add(size)?;
        pa.checked_add(size)?;
        let window = Some(HostWindow { bus, pa, size });
        match space {
            2 => windows.low = windows.low.or(window),
            3 => windows.high = windows.high.or(window),
            _ => {}
        }
    }
    Some(windows)
}

/// Each line: the unit address (three cells), the pin, the parent, its unit address, its interrupt.
fn pins(fdt: Fdt<'_>, node: FdtNode<'_>) -> Option<Vec<PinRoute>> {
    let mut routes = Vec::new();
    let mut cells = CellReader::of(node, "interrupt-map");
    while !cells.is_empty() {
        let unit = cells.cell()?;
        cells.skip(2)?;
        let pin = cells.cell()?;
        let parent =
            by_phandle(fdt, cells.cell()?).filter(|node| node.is_compatible("arm,gic-v3"))?;
        cells.skip(cell_of(parent, "#address-cells").unwrap_or(0))?;
        routes.push(PinRoute {
            unit,
            pin,
            interrupt: Interrupt::read(&mut cells)?,
        });
    }
    Some(routes)
}

fn streams(node: FdtNode<'_>) -> Option<Vec<StreamRoute>> {
    let mut routes = Vec::new();
    let mut cells = CellReader::of(node, "iommu-map");
    while !cells.is_empty() {
        routes.push(StreamRoute {
            rid: cells.cell()?,
            iommu: cells.cell()?,
            stream: cells.cell()?,
            length: cells.cell()?,
        });
    }
    Some(routes)
}
