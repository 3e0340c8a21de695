//! The interrupt controller.

use alloc::vec::Vec;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

use super::cells::{CellReader, cell_of, compatible, is_enabled, region, regions};
use super::{Interrupt, TreeError};
use crate::range::PaRange;

/// What a redistributor takes up: `RD_base` and `SGI_base`, 64 KiB each (IHI 0069 12.10).
const REDISTRIBUTOR: u64 = 0x2_0000;
/// What an ITS takes up: the frame of its registers and the frame of `GITS_TRANSLATER`, 64 KiB each
/// (IHI 0069 12.18).
const ITS: u64 = 0x2_0000;

/// A GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gic {
    /// Its handle in the tree.
    pub phandle: u32,
    /// The distributor's registers.
    pub distributor: PaRange,
    /// The regions of redistributors, each holding one after the other until `GICR_TYPER.Last`.
    pub redistributors: Vec<PaRange>,
    /// From one redistributor to the next, in bytes.
    pub redistributor_stride: u64,
    /// The interrupt by which a core's virtual interface asks for attention, where it is wired
    /// (Linux `arm,gic-v3.yaml`). Private to each core.
    pub maintenance: Option<Interrupt>,
    /// The first ITS, where there is one.
    pub its: Option<Its>,
}

/// An interrupt translation service: what makes interrupts of devices' messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Its {
    /// Its handle in the tree, by which `msi-map` names it.
    pub phandle: u32,
    /// Its registers, and from [`Its::TRANSLATION`] on the frame that devices write to.
    pub registers: PaRange,
}

impl Its {
    /// Where the frame of `GITS_TRANSLATER` lies in [`Its::registers`].
    pub const TRANSLATION: u64 = 0x1_0000;
}

pub(super) fn read(fdt: Fdt<'_>) -> Result<Gic, TreeError> {
    const NAME: &str = "the interrupt controller";
    let node = compatible(fdt, "arm,gic-v3").ok_or(TreeError::Missing {
        what: "arm,gic-v3 node",
        hint: "start QEMU with -M virt,gic-version=3",
    })?;
    let malformed = |property, wanted| TreeError::Malformed {
        node: NAME,
        property,
        wanted,
    };
    if cell_of(node, "#interrupt-cells") != Some(3) {
        return Err(malformed("#interrupt-cells", "3"));
    }
    let mut regions = regions(node, NAME)?;
    let distributor = regions
        .next()
        .ok_or(malformed("reg", "the distributor's range first"))??;
    // Behind the redistributors come the frames of the GICv2 interface, where there is one.
    let count = cell_of(node, "#redistributor-regions").unwrap_or(1);
    let mut redistributors = Vec::new();
    for _ in 0..count {
        let region = regions.next();
        redistributors.push(region.ok_or(malformed("reg", "every redistributor region"))??);
    }
    let stride = match CellReader::of(node, "redistributor-stride") {
        cells if cells.is_empty() => Some(REDISTRIBUTOR),
        mut cells => cells.number(2),
    };
    let maintenance = match CellReader::of(node, "interrupts") {
        cells if cells.is_empty() => None,
        mut cells => Some(
            Interrupt::read(&mut cells)
                .filter(|interrupt| interrupt.intid() < 32)
                .ok_or(malformed("interrupts", "one private interrupt"))?,
        ),
    };
    Ok(Gic {
        maintenance,
        its: its(node)?,
        phandle: cell_of(node, "phandle").ok_or(malformed("phandle", "there"))?,
        distributor,
        redistributors,
        redistributor_stride: stride
            .filter(|stride| *stride >= REDISTRIBUTOR)
            .ok_or(malformed(
                "redistributor-stride",
                "two cells, at least 0x20000",
            ))?,
    })
}

/// The first ITS below the interrupt controller's node.
fn its(gic: FdtNode<'_>) -> Result<Option<Its>, TreeError> {
    const NAME: &str = "the ITS";
    let malformed = |property, wanted| TreeError::Malformed {
        node: NAME,
        property,
        wanted,
    };
    let Some(node) = gic
        .children()
        .find(|node| node.is_compatible("arm,gic-v3-its") && is_enabled(*node))
    else {
        return Ok(None);
    };
    // An empty `ranges` says that addresses below the node are the machine's.
    if gic
        .property("ranges")
        .is_none_or(|ranges| !ranges.value().is_empty())
    {
        return Err(TreeError::Malformed {
            node: "the interrupt controller",
            property: "ranges",
            wanted: "there and empty, because an ITS is below it",
        });
    }
    let registers = region(node, NAME)?;
    if registers.size() < ITS || !registers.start().get().is_multiple_of(ITS / 2) {
        return Err(malformed("reg", "two frames of 64 KiB"));
    }
    Ok(Some(Its {
        phandle: cell_of(node, "phandle").ok_or(malformed("phandle", "there"))?,
        registers,
    }))
}
