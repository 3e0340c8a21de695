//! Where a function's pins, accesses and messages lead: `interrupt-map`, `iommu-map`, `msi-map`.

use alloc::vec::Vec;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use hv_core::pci::Function;

use super::super::Interrupt;
use super::super::cells::{CellReader, by_phandle, cell_of};

/// One line of `interrupt-map`.
#[derive(Clone, Copy, Debug)]
struct PinRoute {
    /// The first cell of the unit address: bus, device and function number in bits 23 to 8.
    unit: u32,
    pin: u32,
    interrupt: Interrupt,
}

/// All lines, and the bits of a unit address and of a pin that count.
#[derive(Clone, Debug)]
pub(super) struct PinMap {
    unit_mask: u32,
    pin_mask: u32,
    routes: Vec<PinRoute>,
}

impl PinMap {
    /// Each line: the unit address (three cells), the pin, the parent, its unit address, its
    /// interrupt.
    pub(super) fn read(fdt: Fdt<'_>, node: FdtNode<'_>, masks: (u32, u32)) -> Option<Self> {
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
        Some(Self {
            unit_mask: masks.0,
            pin_mask: masks.1,
            routes,
        })
    }

    pub(super) fn find(&self, function: Function, pin: u8) -> Option<Interrupt> {
        let unit = u32::from(function.rid()) << 8 & self.unit_mask;
        let pin = u32::from(pin) & self.pin_mask;
        self.routes
            .iter()
            .find(|route| route.unit == unit && route.pin == pin)
            .map(|route| route.interrupt)
    }

    /// Each wire once, in the order of the lines.
    pub(super) fn wires(&self) -> Vec<Interrupt> {
        let mut wires = Vec::new();
        for route in &self.routes {
            if !wires.contains(&route.interrupt) {
                wires.push(route.interrupt);
            }
        }
        wires
    }
}

/// One line of `iommu-map` or `msi-map`: `length` requester ids from `rid` on are called `id` and
/// so on by the device with this handle.
#[derive(Clone, Copy, Debug)]
struct IdRoute {
    rid: u32,
    handle: u32,
    id: u32,
    length: u32,
}

/// All lines, and the bits of a requester id that count.
#[derive(Clone, Debug)]
pub(super) struct IdMap {
    mask: u32,
    routes: Vec<IdRoute>,
}

impl IdMap {
    pub(super) fn read(node: FdtNode<'_>, property: &str, mask: u32) -> Option<Self> {
        let mut routes = Vec::new();
        let mut cells = CellReader::of(node, property);
        while !cells.is_empty() {
            routes.push(IdRoute {
                rid: cells.cell()?,
                handle: cells.cell()?,
                id: cells.cell()?,
                length: cells.cell()?,
            });
        }
        Some(Self { mask, routes })
    }

    /// The handle and the id there.
    pub(super) fn find(&self, function: Function) -> Option<(u32, u32)> {
        let rid = u32::from(function.rid()) & self.mask;
        self.routes.iter().find_map(|route| {
            let offset = rid.checked_sub(route.rid)?;
            let id = route.id.checked_add(offset)?;
            (offset < route.length).then_some((route.handle, id))
        })
    }
}
