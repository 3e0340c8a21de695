//! What must be known before there is a heap, or an MMU: where memory is, and what is in it.

use arrayvec::ArrayVec;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use hv_core::Pa;

use super::TreeError;
use super::cells::{CellReader, bytes_of, compatible, is_enabled, region, regions};
use crate::range::PaRange;

/// Ranges of RAM that are kept; a machine with more is refused with a sentence.
pub const MAX_RAM_RANGES: usize = 16;
/// Reserved ranges that are kept; a machine with more is refused, because to forget one would mean
/// to overwrite it.
pub const MAX_RESERVED_RANGES: usize = 32;

/// The least that Oche must know to move itself and set up a heap. Found without allocating.
#[derive(Clone, Debug, PartialEq)]
pub struct Early {
    /// All RAM, in the order of the tree.
    pub ram: ArrayVec<PaRange, MAX_RAM_RANGES>,
    /// What of it must be left alone: `/memreserve/` and the children of `/reserved-memory`.
    pub reserved: ArrayVec<PaRange, MAX_RESERVED_RANGES>,
    /// The initial ramdisk: Oche's bundle.
    pub initrd: Option<PaRange>,
    /// The registers of the PL011 that `stdout-path` names, or of the first there is.
    pub console: Option<PaRange>,
}

/// The size in bytes of the device tree that starts with these eight bytes, or `None` if none does.
///
/// With it the loader's bare pointer becomes a slice; the caller decides which size is believable.
pub fn tree_size(first: &[u8; 8]) -> Option<usize> {
    let mut cells = CellReader::new(first);
    if cells.cell()? != 0xd00d_feed {
        return None;
    }
    usize::try_from(cells.cell()?).ok()
}

/// Reads what is needed before there is a heap.
///
/// # Errors
/// The tree is not a tree, has no memory, or more ranges than fit.
pub fn early(tree: &[u8]) -> Result<Early, TreeError> {
    let fdt = Fdt::new(tree)?;
    Ok(Early {
        ram: ram(fdt)?,
        reserved: reserved(fdt)?,
        initrd: initrd(fdt)?,
        console: console_node(fdt).and_then(|node| region(node, "the console").ok()),
    })
}

fn ram(fdt: Fdt<'_>) -> Result<ArrayVec<PaRange, MAX_RAM_RANGES>, TreeError> {
    let mut ram = ArrayVec::new();
    for node in fdt.root().children() {
        let is_memory = node
            .property("device_type")
            .map_or(node.name_without_address() == "memory", |kind| {
                kind.value() == b"memory\0"
            });
        if !is_memory || !is_enabled(node) {
            continue;
        }
        for range in regions(node, "/memory")? {
            let range = range?;
            if range.size() == 0 {
                continue;
            }
            ram.try_push(range).map_err(|_| TreeError::TooMany {
                what: "ranges of RAM",
                limit: MAX_RAM_RANGES,
            })?;
        }
    }
    if ram.is_empty() {
        return Err(TreeError::Missing {
            what: "/memory node",
            hint: "the loader must say where RAM is",
        });
    }
    Ok(ram)
}

fn reserved(fdt: Fdt<'_>) -> Result<ArrayVec<PaRange, MAX_RESERVED_RANGES>, TreeError> {
    let mut reserved = ArrayVec::new();
    let mut keep = |range: PaRange| {
        reserved.try_push(range).map_err(|_| TreeError::TooMany {
            what: "reserved ranges",
            limit: MAX_RESERVED_RANGES,
        })
    };
    for entry in fdt.memory_reservations() {
        keep(PaRange::new(Pa::new(entry.address()), entry.size()).ok_or(
            TreeError::Malformed {
                node: "the header",
                property: "/memreserve/",
                wanted: "ranges that end below 2^64",
            },
        )?)?;
    }
    let parent = fdt.root().child("reserved-memory");
    for node in parent.into_iter().flat_map(|parent| parent.children()) {
        // A node without `reg` asks for memory from anywhere: nothing to keep clear of yet.
        if node.property("reg").is_some() {
            for range in regions(node, "a child of /reserved-memory")? {
                keep(range?)?;
            }
        }
    }
    Ok(reserved)
}

/// `/chosen` gives start and end as one cell or as two: QEMU and U-Boot differ.
fn initrd(fdt: Fdt<'_>) -> Result<Option<PaRange>, TreeError> {
    let Some(chosen) = fdt.root().child("chosen") else {
        return Ok(None);
    };
    let address = |name| {
        let value = bytes_of(chosen, name);
        let cells = u32::try_from(value.len() / 4).ok()?;
        CellReader::new(value)
            .number(cells)
            .filter(|address| *address != 0)
            .map(Pa::new)
    };
    // An absent property is no cells, which is 0: no ramdisk starts there.
    match (address("linux,initrd-start"), address("linux,initrd-end")) {
        (None, None) => Ok(None),
        (Some(start), Some(end)) => {
            PaRange::between(start, end)
                .map(Some)
                .ok_or(TreeError::Malformed {
                    node: "/chosen",
                    property: "linux,initrd-end",
                    wanted: "an address behind linux,initrd-start",
                })
        }
        _ => Err(TreeError::Malformed {
            node: "/chosen",
            property: "linux,initrd-start",
            wanted: "one address, together with linux,initrd-end",
        }),
    }
}

/// The PL011 that `stdout-path` names (a path or an alias, with or without `:115200`), or the first.
pub(super) fn console_node(fdt: Fdt<'_>) -> Option<FdtNode<'_>> {
    let chosen = || {
        let path = string_of(fdt.root().child("chosen")?, "stdout-path")?;
        let path = path.split(':').next()?;
        let node = if path.starts_with('/') {
            fdt.find_node(path)?
        } else {
            fdt.find_node(string_of(fdt.root().child("aliases")?, path)?)?
        };
        node.is_compatible("arm,pl011").then_some(node)
    };
    chosen().or_else(|| compatible(fdt, "arm,pl011"))
}

/// The value of a property of one string.
pub(super) fn string_of<'a>(node: FdtNode<'a>, property: &str) -> Option<&'a str> {
    node.property(property)?.value_as::<&'a str>().ok()
}
