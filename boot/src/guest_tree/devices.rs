//! The devices of a guest: interrupt controller, timer, serial line, DART, PCI.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use dtoolkit::fdt::FdtNode;
use dtoolkit::model::DeviceTreeNode;
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use hv_core::layout;

use super::{GuestPlan, copy_property, node, set, set_reg};
use crate::machine::{Interrupt, Machine, TreeError, Trigger};

/// Space codes of a PCI address (IEEE 1275 PCI bus binding 2.1, 2.2.1.1): 32-bit memory.
const MEMORY_32: u32 = 0x0200_0000;
/// Cells of an address, and of a size, below the interrupt controller where it has a child.
const PARENT_CELLS: u32 = 2;

pub(super) fn all(
    host: FdtNode<'_>,
    machine: &Machine,
    plan: &GuestPlan<'_>,
) -> Result<Vec<DeviceTreeNode>, TreeError> {
    let console = find(host, "arm,pl011")?;
    let mut devices = clocks(host, console);
    let [dart, frame] = unused_phandles(host);
    let frame = plan.messages.then_some(frame);
    devices.push(interrupt_controller(host, plan, frame)?);
    devices.push(timer(host)?);
    devices.push(uart(console));
    devices.push(dart_node(dart));
    devices.push(pci(machine, plan, dart, frame));
    Ok(devices)
}

pub(super) fn uart_name() -> String {
    format!("pl011@{:x}", layout::UART_BASE.get())
}

/// The host's node; that it is there was checked when the machine was read.
fn find<'a>(host: FdtNode<'a>, compatible: &'static str) -> Result<FdtNode<'a>, TreeError> {
    host.children()
        .find(|node| node.is_compatible(compatible))
        .ok_or(TreeError::Missing {
            what: compatible,
            hint: "the guest's tree is made of the host's",
        })
}

fn phandle(node: FdtNode<'_>) -> Option<u32> {
    node.property("phandle")?.value_as::<u32>().ok()
}

/// Handles that no node of the host has. Handles that were taken over keep their numbers.
fn unused_phandles(host: FdtNode<'_>) -> [u32; 2] {
    let used = |candidate: &u32| {
        host.children().any(|node| {
            phandle(node) == Some(*candidate)
                || node
                    .children()
                    .any(|child| phandle(child) == Some(*candidate))
        })
    };
    let mut unused = (1..u32::MAX).filter(|candidate| !used(candidate));
    [(); 2].map(|()| unused.next().unwrap_or(u32::MAX))
}

/// The fixed clocks that the serial line names. They have no registers.
fn clocks(host: FdtNode<'_>, console: FdtNode<'_>) -> Vec<DeviceTreeNode> {
    let named: &[u8] = console
        .property("clocks")
        .and_then(|clocks| clocks.value_as().ok())
        .unwrap_or(&[]);
    let is_named = |handle: u32| named.as_chunks::<4>().0.contains(&handle.to_be_bytes());
    host.children()
        .filter(|clock| clock.is_compatible("fixed-clock") && phandle(*clock).is_some_and(is_named))
        .map(|clock| DeviceTreeNode::from_node(&clock))
        .collect()
}

/// The frame that functions send their messages to. A message's data is the INTID that it raises,
/// which is how `arm,msi-base-spi` counts too (Linux `arm,gic.yaml`, `irq-gic-v2m.c`).
fn message_frame(phandle: u32) -> DeviceTreeNode {
    let mut frame = node(format!("v2m@{:x}", layout::V2M_BASE.get()));
    set(&mut frame, "compatible", "arm,gic-v2m-frame");
    set(&mut frame, "msi-controller", &[][..] as &[u8]);
    set_reg(&mut frame, &[(layout::V2M_BASE, layout::V2M_SIZE)]);
    set(&mut frame, "arm,msi-base-spi", layout::V2M_FIRST);
    set(&mut frame, "arm,msi-num-spis", layout::V2M_COUNT);
    set(&mut frame, "phandle", phandle);
    frame
}

/// A GICv3 without an ITS, and without LPIs; with a message frame if the guest has messages.
fn interrupt_controller(
    host: FdtNode<'_>,
    plan: &GuestPlan<'_>,
    frame: Option<u32>,
) -> Result<DeviceTreeNode, TreeError> {
    let from = find(host, "arm,gic-v3")?;
    let mut gic = node(format!("intc@{:x}", layout::GICD_BASE.get()));
    for property in [
        "compatible",
        "phandle",
        "interrupt-controller",
        "#interrupt-cells",
    ] {
        copy_property(from, &mut gic, property);
    }
    // Cells of a unit address in an interrupt-map that leads here, and of the address of a frame.
    match frame {
        None => set(&mut gic, "#address-cells", 0u32),
        Some(frame) => {
            set(&mut gic, "#address-cells", PARENT_CELLS);
            set(&mut gic, "#size-cells", PARENT_CELLS);
            set(&mut gic, "ranges", &[][..] as &[u8]);
            gic.add_child(message_frame(frame));
        }
    }
    let redistributors = u64::try_from(plan.vcpus)
        .ok()
        .and_then(|count| count.checked_mul(layout::GICR_STRIDE))
        .ok_or(TreeError::Unsuitable(
            "the guest has too many cores: lower vcpus",
        ))?;
    set_reg(
        &mut gic,
        &[
            (layout::GICD_BASE, layout::GICD_SIZE),
            (layout::GICR_BASE, redistributors),
        ],
    );
    Ok(gic)
}

fn timer(host: FdtNode<'_>) -> Result<DeviceTreeNode, TreeError> {
    let from = find(host, "arm,armv8-timer")?;
    let mut timer = node("timer");
    for property in ["compatible", "interrupts", "always-on"] {
        copy_property(from, &mut timer, property);
    }
    Ok(timer)
}

fn uart(from: FdtNode<'_>) -> DeviceTreeNode {
    let mut uart = node(uart_name());
    for property in ["compatible", "clocks", "clock-names"] {
        copy_property(from, &mut uart, property);
    }
    let interrupt = Interrupt::of_guest(layout::UART_INTID, Trigger::Level);
    set(&mut uart, "interrupts", interrupt.cells());
    set_reg(&mut uart, &[(layout::UART_BASE, layout::UART_SIZE)]);
    uart
}

/// The DART that is not there. Its interrupt is the one with which the host's IOMMU reports
/// faults: it goes to the guest as it is, whose driver then reads `ERROR`, which traps.
fn dart_node(phandle: u32) -> DeviceTreeNode {
    let mut dart = node(format!("iommu@{:x}", layout::DART_BASE.get()));
    set(&mut dart, "compatible", "apple,t8103-dart");
    set_reg(&mut dart, &[(layout::DART_BASE, layout::DART_SIZE)]);
    let interrupt = Interrupt::of_guest(layout::DART_INTID, Trigger::Level);
    set(&mut dart, "interrupts", interrupt.cells());
    set(&mut dart, "#iommu-cells", 1u32);
    set(&mut dart, "phandle", phandle);
    dart
}

fn pci(machine: &Machine, plan: &GuestPlan<'_>, dart: u32, frame: Option<u32>) -> DeviceTreeNode {
    let mut pci = node(format!("pcie@{:x}", layout::ECAM_BASE.get()));
    set(&mut pci, "compatible", "pci-host-ecam-generic");
    set(&mut pci, "device_type", "pci");
    set(&mut pci, "#address-cells", 3u32);
    set(&mut pci, "#size-cells", 2u32);
    set(&mut pci, "#interrupt-cells", 1u32);
    set(&mut pci, "bus-range", [0u32, 0]);
    set(&mut pci, "linux,pci-domain", 0u32);
    set(&mut pci, "dma-coherent", &[][..] as &[u8]);
    set_reg(&mut pci, &[(layout::ECAM_BASE, layout::ECAM_SIZE)]);
    let [base, size] = [layout::BAR_BASE.get(), layout::BAR_SIZE].map(halves);
    set(
        &mut pci,
        "ranges",
        [MEMORY_32, base.0, base.1, base.0, base.1, size.0, size.1],
    );
    // One line per function: a requester id without one would be an access that no DART sees.
    let streams: Vec<u32> = plan
        .functions
        .iter()
        .flat_map(|it| [u32::from(it.function.rid()), dart, u32::from(it.stream), 1])
        .collect();
    set(&mut pci, "iommu-map", streams);
    let pins = interrupt_map(machine, plan);
    if !pins.is_empty() {
        set(&mut pci, "interrupt-map-mask", [0xf800u32, 0, 0, 7]);
        set(&mut pci, "interrupt-map", pins);
    }
    if let Some(frame) = frame {
        set(&mut pci, "msi-parent", frame);
    }
    pci
}

/// The pin of each function, and the interrupt that the plan gives it.
fn interrupt_map(machine: &Machine, plan: &GuestPlan<'_>) -> Vec<u32> {
    let mut map = Vec::new();
    for it in plan.functions {
        if let Some((pin, interrupt)) = it.wire {
            let unit = u32::from(it.function.rid()) << 8;
            map.extend([unit, 0, 0, u32::from(pin), machine.gic.phandle]);
            // The unit address that the interrupt controller does not look at.
            let cells = if plan.messages { PARENT_CELLS } else { 0 };
            map.extend((0..cells).map(|_| 0));
            map.extend(interrupt.cells());
        }
    }
    map
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the two cells of the number are wanted"
)]
const fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}
