//! Cores, the firmware that starts them, and their timers.

use alloc::vec::Vec;

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;

use super::cells::{CellReader, compatible, is_enabled};
use super::early::string_of;
use super::{Interrupt, TreeError};

/// The affinity fields of `MPIDR_EL1`: Aff3 and Aff2 to Aff0 (Arm ARM D24.2, `MPIDR_EL1`).
const AFFINITY: u64 = 0xff_00ff_ffff;

/// The instruction that calls the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `hvc #0`.
    Hvc,
    /// `smc #0`.
    Smc,
}

/// The timers' interrupts, each private to its core (Linux `arm,arch_timer.yaml` has the order).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The secure EL1 physical timer's.
    pub secure: Interrupt,
    /// The EL1 physical timer's.
    pub physical: Interrupt,
    /// The EL1 virtual timer's.
    pub virtual_timer: Interrupt,
    /// The EL2 physical timer's.
    pub hypervisor: Interrupt,
}

pub(super) fn read(fdt: Fdt<'_>) -> Result<Vec<u64>, TreeError> {
    let cpus = fdt.root().child("cpus").ok_or(TreeError::Missing {
        what: "/cpus node",
        hint: "the loader must say which cores there are",
    })?;
    let address_cells = cpus.address_cells().unwrap_or(1);
    let mut found = Vec::new();
    let mut all_psci = true;
    for cpu in cpus.children() {
        if cpu.name_without_address() != "cpu" || !is_enabled(cpu) {
            continue;
        }
        let mpidr =
            CellReader::of(cpu, "reg")
                .number(address_cells)
                .ok_or(TreeError::Malformed {
                    node: "a cpu",
                    property: "reg",
                    wanted: "its MPIDR in one cell or two",
                })?;
        all_psci &= string_of(cpu, "enable-method") == Some("psci");
        found.push(mpidr & AFFINITY);
    }
    // A single core is never started: QEMU then does not say how.
    if found.len() > 1 && !all_psci {
        return Err(TreeError::Malformed {
            node: "a cpu",
            property: "enable-method",
            wanted: "\"psci\", which is all that this platform starts cores with",
        });
    }
    if found.is_empty() {
        return Err(TreeError::Missing {
            what: "cpu node in /cpus",
            hint: "the loader must say which cores there are",
        });
    }
    Ok(found)
}

pub(super) fn conduit(fdt: Fdt<'_>) -> Result<Conduit, TreeError> {
    let node = ["arm,psci-1.0", "arm,psci-0.2"]
        .iter()
        .find_map(|version| compatible(fdt, version))
        .ok_or(TreeError::Missing {
            what: "arm,psci-1.0 node",
            hint: "start QEMU with -M virt,virtualization=on, which has one",
        })?;
    match string_of(node, "method") {
        Some("hvc") => Ok(Conduit::Hvc),
        Some("smc") => Ok(Conduit::Smc),
        _ => Err(TreeError::Malformed {
            node: "the psci node",
            property: "method",
            wanted: "\"smc\" or \"hvc\"",
        }),
    }
}

pub(super) fn timer(fdt: Fdt<'_>) -> Result<Timer, TreeError> {
    let node = compatible(fdt, "arm,armv8-timer").ok_or(TreeError::Missing {
        what: "arm,armv8-timer node",
        hint: "the loader must say which interrupts the timers have",
    })?;
    let mut cells = CellReader::of(node, "interrupts");
    let mut next = || {
        Interrupt::read(&mut cells).ok_or(TreeError::Malformed {
            node: "the timer",
            property: "interrupts",
            wanted: "four interrupts of a GICv3 (three cells each)",
        })
    };
    Ok(Timer {
        secure: next()?,
        physical: next()?,
        virtual_timer: next()?,
        hypervisor: next()?,
    })
}
