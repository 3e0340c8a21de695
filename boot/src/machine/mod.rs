//! The machine, as its device tree describes it.
//!
//! Every address of the machine that Oche uses comes from here. The tree is the loader's, and Oche
//! trusts its loader; a mistake in it is still a sentence, never a panic.

mod cells;
mod cpu;
mod early;
mod error;
mod gic;
mod interrupt;
mod pci;
mod smmu;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;

pub(crate) use self::cells::is_enabled;
use self::cells::{CellReader, region};
pub use self::cpu::{Conduit, Timer};
pub use self::early::{Early, MAX_RAM_RANGES, MAX_RESERVED_RANGES, early, tree_size};
use self::early::{console_node, string_of};
pub use self::error::TreeError;
pub use self::gic::{Gic, Its};
pub use self::interrupt::{Interrupt, Trigger};
pub use self::pci::{HostDeviceId, HostStreamId, PciHost, PciNote};
pub use self::smmu::Smmu;
use crate::range::PaRange;

/// The serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// The registers of the PL011.
    pub registers: PaRange,
    /// Its interrupt.
    pub interrupt: Interrupt,
}

/// Everything that Oche wants to know of the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// All RAM.
    pub ram: Vec<PaRange>,
    /// What of it belongs to somebody else.
    pub reserved: Vec<PaRange>,
    /// The initial ramdisk: Oche's bundle.
    pub initrd: Option<PaRange>,
    /// The command line.
    pub bootargs: Option<String>,
    /// The affinity (`MPIDR_EL1` without its other fields) of each core, in the order of the tree.
    pub cpus: Vec<u64>,
    /// How the firmware's PSCI is called.
    pub psci: Conduit,
    /// The serial line.
    pub console: Console,
    /// The interrupt controller.
    pub gic: Gic,
    /// The timers' interrupts.
    pub timer: Timer,
    /// The PCI bus.
    pub pci: PciHost,
    /// The IOMMU.
    pub smmu: Smmu,
}

/// Reads all of it. Needs a heap.
///
/// # Errors
/// The first thing that is missing or malformed, as one sentence.
pub fn parse(tree: &[u8]) -> Result<Machine, TreeError> {
    let fdt = Fdt::new(tree)?;
    let early = early(tree)?;
    Ok(Machine {
        ram: early.ram.to_vec(),
        reserved: early.reserved.to_vec(),
        initrd: early.initrd,
        bootargs: bootargs(fdt),
        console: console(fdt)?,
        // Before the cores: a GICv2 also shows in the timer's interrupts, and says less there.
        gic: gic::read(fdt)?,
        cpus: cpu::read(fdt)?,
        psci: cpu::conduit(fdt)?,
        timer: cpu::timer(fdt)?,
        pci: pci::read(fdt)?,
        smmu: smmu::read(fdt)?,
    })
}

fn console(fdt: Fdt<'_>) -> Result<Console, TreeError> {
    const NAME: &str = "the console";
    let node = console_node(fdt).ok_or(TreeError::Missing {
        what: "arm,pl011 node",
        hint: "Oche's console is a PL011, as QEMU's -M virt has one",
    })?;
    let interrupt = Interrupt::read(&mut CellReader::of(node, "interrupts"));
    Ok(Console {
        registers: region(node, NAME)?,
        interrupt: interrupt.ok_or(TreeError::Malformed {
            node: NAME,
            property: "interrupts",
            wanted: "one interrupt of a GICv3 (three cells)",
        })?,
    })
}

fn bootargs(fdt: Fdt<'_>) -> Option<String> {
    string_of(fdt.root().child("chosen")?, "bootargs").map(String::from)
}
