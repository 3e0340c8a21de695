//! The interrupt controller.

use alloc::vec::Vec;

use dtoolkit::fdt::Fdt;

use super::TreeError;
use super::cells::{CellReader, cell_of, compatible, regions};
use crate::range::PaRange;

/// What a redistributor takes up: `RD_base` and `SGI_base`, 64 KiB each (IHI 0069 12.10).
const REDISTRIBUTOR: u64 = 0x2_0000;

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
    Ok(Gic {
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
