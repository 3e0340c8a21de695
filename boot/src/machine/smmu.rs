//! The machine's IOMMU.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{FdtStringListIterator, Node, Property};

use super::cells::{CellReader, cell_of, compatible, region};
use super::{Interrupt, TreeError};
use crate::range::PaRange;

const NAME: &str = "the arm,smmu-v3 node";

/// An SMMUv3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smmu {
    /// Its handle in the tree, by which `iommu-map` names it.
    pub phandle: u32,
    /// Its registers.
    pub registers: PaRange,
    /// The interrupt that says that the event queue is no longer empty.
    pub event_queue: Interrupt,
    /// The interrupt of a global error.
    pub global_error: Interrupt,
    /// The interrupt of a completed `CMD_SYNC`, where it is wired. Oche polls.
    pub command_sync: Option<Interrupt>,
}

pub(super) fn read(fdt: Fdt<'_>) -> Result<Smmu, TreeError> {
    let node = compatible(fdt, "arm,smmu-v3").ok_or(TreeError::Missing {
        what: "arm,smmu-v3 node",
        hint: "start QEMU with -M virt,iommu=smmuv3",
    })?;
    let wired = |name| {
        interrupt(node, name).ok_or(TreeError::Malformed {
            node: NAME,
            property: "interrupts",
            wanted: "wired interrupts that interrupt-names calls eventq and gerror",
        })
    };
    Ok(Smmu {
        phandle: cell_of(node, "phandle").ok_or(TreeError::Malformed {
            node: NAME,
            property: "phandle",
            wanted: "there, so that iommu-map can name it",
        })?,
        registers: region(node, NAME)?,
        event_queue: wired("eventq")?,
        global_error: wired("gerror")?,
        command_sync: interrupt(node, "cmdq-sync"),
    })
}

/// The interrupt that `interrupt-names` gives this name.
fn interrupt(node: FdtNode<'_>, name: &str) -> Option<Interrupt> {
    let names = node.property("interrupt-names")?;
    let mut names = names.value_as::<FdtStringListIterator<'_>>().ok()?;
    let index = names.position(|candidate| candidate == name)?;
    let mut cells = CellReader::of(node, "interrupts");
    cells.skip(u32::try_from(index).ok()?.checked_mul(3)?)?;
    Interrupt::read(&mut cells)
}
