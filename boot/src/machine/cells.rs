//! Reading big-endian cells one after the other, and the few look-ups that every part needs.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use hv_core::Pa;

use super::TreeError;
use crate::range::PaRange;

/// Takes 32-bit cells off the front of a property's value.
///
/// A `Cells` with more cells than an address has (`pci` nodes have three) cannot be read by the
/// library's own iterators, hence this.
#[derive(Clone, Copy)]
pub(super) struct CellReader<'a>(&'a [u8]);

impl<'a> CellReader<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// Of a property of a node; an absent property is an empty one.
    pub(super) fn of(node: FdtNode<'a>, property: &str) -> Self {
        Self(bytes_of(node, property))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One cell.
    pub(super) fn cell(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    /// A number of at most two cells.
    pub(super) fn number(&mut self, cells: u32) -> Option<u64> {
        match cells {
            0 => Some(0),
            1 => self.cell().map(u64::from),
            2 => {
                let high = self.cell()?;
                let low = self.cell()?;
                Some(u64::from(high) << 32 | u64::from(low))
            }
            _ => None,
        }
    }

    /// Leaves out some cells.
    pub(super) fn skip(&mut self, cells: u32) -> Option<()> {
        let bytes = usize::try_from(cells).ok()?.checked_mul(4)?;
        self.0 = self.0.get(bytes..)?;
        Some(())
    }
}

/// The bytes of a property; none if it is not there.
pub(super) fn bytes_of<'a>(node: FdtNode<'a>, property: &str) -> &'a [u8] {
    node.property(property)
        .and_then(|property| property.value_as().ok())
        .unwrap_or(&[])
}

/// The value of a property of exactly one cell.
pub(super) fn cell_of(node: FdtNode<'_>, property: &str) -> Option<u32> {
    node.property(property)?.value_as::<u32>().ok()
}

/// The first node directly below the root with this `compatible` that is not disabled.
///
/// Machines of the `qemu-virt` kind have everything there; a platform with buses in between wants
/// its addresses translated and is to bring its own look-up.
pub(super) fn compatible<'a>(fdt: Fdt<'a>, compatible: &str) -> Option<FdtNode<'a>> {
    fdt.root()
        .children()
        .find(|node| node.is_compatible(compatible) && is_enabled(*node))
}

/// The node with this phandle directly below the root.
pub(super) fn by_phandle(fdt: Fdt<'_>, phandle: u32) -> Option<FdtNode<'_>> {
    fdt.root()
        .children()
        .find(|node| cell_of(*node, "phandle") == Some(phandle))
}

pub(crate) fn is_enabled(node: FdtNode<'_>) -> bool {
    node.property("status")
        .is_none_or(|status| matches!(status.value(), b"okay\0" | b"ok\0"))
}

/// The ranges of a node's `reg`.
pub(super) fn regions<'a>(
    node: FdtNode<'a>,
    name: &'static str,
) -> Result<impl Iterator<Item = Result<PaRange, TreeError>> + 'a, TreeError> {
    let malformed = TreeError::Malformed {
        node: name,
        property: "reg",
        wanted: "address and size pairs",
    };
    let regs = node
        .reg()
        .map_err(|_| malformed.clone())?
        .ok_or_else(|| malformed.clone())?;
    Ok(regs.map(move |reg| {
        let start = reg.address::<u64>().map_err(|_| malformed.clone())?;
        let size = reg.size::<u64>().map_err(|_| malformed.clone())?;
        PaRange::new(Pa::new(start), size).ok_or_else(|| malformed.clone())
    }))
}

/// The first range of a node's `reg`.
pub(super) fn region(node: FdtNode<'_>, name: &'static str) -> Result<PaRange, TreeError> {
    regions(node, name)?
        .next()
        .unwrap_or(Err(TreeError::Malformed {
            node: name,
            property: "reg",
            wanted: "at least one address and size",
        }))
}
