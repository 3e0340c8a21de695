//! The device tree that a guest gets.
//!
//! It is made of the host's, but by naming what is taken over, not what is left out: a node that
//! nobody here knows (an ITS, `fw_cfg`, `virtio-mmio`) never reaches a guest. Addresses are those
//! of [`hv_core::layout`]; of the host's only names, interrupts and clocks remain.

mod devices;
#[cfg(test)]
mod tests;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property, ToPropertyValue};
use hv_core::pci::Function;
use hv_core::{Ipa, Pa};

use crate::machine::{self, Interrupt, Machine, TreeError};

/// What a guest is to get.
#[derive(Clone, Copy, Debug)]
pub struct GuestPlan<'a> {
    /// Where its RAM is, and how many bytes.
    pub memory: (Ipa, u64),
    /// How many cores. Core *n* is the machine's core *n*, and has its affinity.
    pub vcpus: usize,
    /// Its command line.
    pub bootargs: &'a str,
    /// Where its ramdisk is, and how many bytes.
    pub ramdisk: Option<(Ipa, u64)>,
    /// Its PCI functions.
    pub functions: &'a [GuestFunction],
    /// Do its functions send messages (MSI, MSI-X), which a GICv2m frame takes?
    pub messages: bool,
    /// How often it was started before, without the machine having been off.
    pub restarts: u64,
    /// A test aid: physical addresses that the guest must not be able to reach, told to it so that
    /// it can try. Empty unless the run asks for it.
    pub targets: &'a [Target<'a>],
}

/// A PCI function of a guest.
#[derive(Clone, Copy, Debug)]
pub struct GuestFunction {
    /// Where the guest sees it.
    pub function: Function,
    /// The stream of the guest's DART that its accesses are.
    pub stream: u8,
    /// The pin that it pulls, 1 to 4, and the interrupt that the guest gets by it.
    pub wire: Option<(u8, Interrupt)>,
}

/// One of the addresses that a test guest is told: `/chosen` gets `oche,target-<name>`.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What is there.
    pub name: &'a str,
    /// Where.
    pub pa: Pa,
    /// How many bytes.
    pub size: u64,
}

/// Writes a guest's device tree, given the host's.
///
/// # Errors
/// The host's tree lacks something, or the plan asks for what the machine does not have.
pub fn build(host: &[u8], machine: &Machine, plan: &GuestPlan<'_>) -> Result<Vec<u8>, TreeError> {
    let host = Fdt::new(host)?.root();
    let mut tree = DeviceTree::new();
    let root = &mut tree.root;
    for property in ["model", "compatible", "interrupt-parent"] {
        copy_property(host, root, property);
    }
    set(root, "#address-cells", 2u32);
    set(root, "#size-cells", 2u32);
    root.add_child(cpus(host, machine, plan)?);
    root.add_child(memory(plan));
    root.add_child(psci());
    for child in devices::all(host, machine, plan)? {
        root.add_child(child);
    }
    root.add_child(chosen(host, plan));
    Ok(tree.to_dtb())
}

/// A node with `name`. The names are constants of this file, or host nodes' own: valid both.
fn node(name: impl Into<String>) -> DeviceTreeNode {
    DeviceTreeNode::new_unchecked(name)
}

fn set(node: &mut DeviceTreeNode, name: &str, value: impl ToPropertyValue) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

/// `reg` of one range, with two cells each.
fn set_reg(node: &mut DeviceTreeNode, ranges: &[(Ipa, u64)]) {
    let bytes: Vec<u8> = ranges
        .iter()
        .flat_map(|(start, size)| [start.get().to_be_bytes(), size.to_be_bytes()])
        .flatten()
        .collect();
    set(node, "reg", bytes);
}

fn copy_property(from: FdtNode<'_>, to: &mut DeviceTreeNode, name: &str) {
    if let Some(property) = from.property(name) {
        set(to, name, property.value());
    }
}

/// The host's first cores lend their affinity and what they are compatible with; how they are
/// started is Oche's. The affinity stays, because interrupts are routed by it.
fn cpus(
    host: FdtNode<'_>,
    machine: &Machine,
    plan: &GuestPlan<'_>,
) -> Result<DeviceTreeNode, TreeError> {
    let mut cpus = node("cpus");
    set(&mut cpus, "#address-cells", 2u32);
    set(&mut cpus, "#size-cells", 0u32);
    let mut host_cpus = host
        .child("cpus")
        .into_iter()
        .flat_map(|node| node.children())
        .filter(|node| node.name_without_address() == "cpu" && machine::is_enabled(*node))
        .zip(&machine.cpus);
    for _ in 0..plan.vcpus {
        let (host_cpu, affinity) = host_cpus.next().ok_or(TreeError::Unsuitable(
            "the guest has more cores than the machine: lower vcpus or raise -smp",
        ))?;
        let mut cpu = node(format!("cpu@{affinity:x}"));
        set(&mut cpu, "device_type", "cpu");
        copy_property(host_cpu, &mut cpu, "compatible");
        set(&mut cpu, "reg", *affinity);
        set(&mut cpu, "enable-method", "psci");
        cpus.add_child(cpu);
    }
    Ok(cpus)
}

fn memory(plan: &GuestPlan<'_>) -> DeviceTreeNode {
    let mut memory = node(format!("memory@{:x}", plan.memory.0.get()));
    set(&mut memory, "device_type", "memory");
    set_reg(&mut memory, &[plan.memory]);
    memory
}

/// Oche's own PSCI, called with `hvc`: an M1 has no EL3 to take an `smc`.
fn psci() -> DeviceTreeNode {
    let mut psci = node("psci");
    let compatible: &[&str] = &["arm,psci-1.0", "arm,psci-0.2"];
    set(&mut psci, "compatible", compatible);
    set(&mut psci, "method", "hvc");
    psci
}

fn chosen(host: FdtNode<'_>, plan: &GuestPlan<'_>) -> DeviceTreeNode {
    let mut chosen = node("chosen");
    set(&mut chosen, "oche,boots", plan.restarts);
    set(&mut chosen, "bootargs", plan.bootargs);
    set(
        &mut chosen,
        "stdout-path",
        format!("/{}", devices::uart_name()),
    );
    // BARs stay where Oche put them.
    set(&mut chosen, "linux,pci-probe-only", 1u32);
    if let Some((start, size)) = plan.ramdisk {
        set(&mut chosen, "linux,initrd-start", start.get());
        set(
            &mut chosen,
            "linux,initrd-end",
            start.get().saturating_add(size),
        );
    }
    if let Some(host) = host.child("chosen") {
        copy_property(host, &mut chosen, "rng-seed");
        copy_property(host, &mut chosen, "kaslr-seed");
    }
    for target in plan.targets {
        let value = [target.pa.get().to_be_bytes(), target.size.to_be_bytes()];
        set(
            &mut chosen,
            &format!("oche,target-{}", target.name),
            value.as_flattened(),
        );
    }
    chosen
}
