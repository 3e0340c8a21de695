extern crate std;

use std::string::ToString;
use std::vec::Vec;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeProperty};
use hv_core::Pa;
use hv_core::pci::Function;

use super::*;

pub(crate) const QEMU_VIRT: &[u8] = include_bytes!("../../tests/data/qemu-virt-7.2.dtb");

fn range(start: u64, size: u64) -> PaRange {
    PaRange::new(Pa::new(start), size).unwrap()
}

/// The tree after an edit.
fn edited(edit: impl FnOnce(&mut DeviceTree)) -> Vec<u8> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(QEMU_VIRT).unwrap());
    edit(&mut tree);
    tree.to_dtb()
}

fn error_after(edit: impl FnOnce(&mut DeviceTree)) -> std::string::String {
    parse(&edited(edit)).unwrap_err().to_string()
}

#[test]
fn what_is_needed_early_is_found_without_a_heap() {
    let early = early(QEMU_VIRT).unwrap();
    assert_eq!(early.ram.as_slice(), [range(0x4000_0000, 0x4000_0000)]);
    assert!(early.reserved.is_empty());
    assert_eq!(early.initrd, Some(range(0x4800_0000, 0x80_0000)));
    assert_eq!(early.console, Some(range(0x900_0000, 0x1000)));
}

#[test]
fn the_size_of_a_tree_is_in_its_first_eight_bytes() {
    assert_eq!(
        tree_size(QEMU_VIRT.first_chunk().unwrap()),
        Some(QEMU_VIRT.len())
    );
    assert_eq!(tree_size(&[0; 8]), None);
}

#[test]
fn the_machine_of_qemu_is_read() {
    let machine = parse(QEMU_VIRT).unwrap();
    assert_eq!(machine.bootargs.as_deref(), Some("quiet"));
    assert_eq!(machine.cpus, [0, 1]);
    assert_eq!(machine.psci, Conduit::Smc);
    assert_eq!(machine.console.interrupt.intid(), 33);
    assert_eq!(machine.gic.distributor, range(0x800_0000, 0x1_0000));
    assert_eq!(machine.gic.redistributors, [range(0x80a_0000, 0xf6_0000)]);
    assert_eq!(machine.gic.redistributor_stride, 0x2_0000);
    assert_eq!(machine.gic.maintenance.unwrap().intid(), 25);
    let its = machine.gic.its.unwrap();
    assert_eq!(its.registers, range(0x808_0000, 0x2_0000));
    assert_eq!(machine.timer.physical.intid(), 30);
    assert_eq!(machine.timer.virtual_timer.intid(), 27);
    assert_eq!(machine.timer.hypervisor.intid(), 26);
    assert_eq!(machine.smmu.registers, range(0x905_0000, 0x2_0000));
    assert_eq!(machine.smmu.event_queue.intid(), 0x4a + 32);
    assert_eq!(machine.smmu.event_queue.trigger(), Trigger::Edge);
    assert_eq!(machine.smmu.global_error.intid(), 0x4d + 32);
}

#[test]
fn the_pci_bus_of_qemu_is_read() {
    let machine = parse(QEMU_VIRT).unwrap();
    let pci = &machine.pci;
    assert_eq!(pci.ecam, range(0x40_1000_0000, 0x1000_0000));
    let low = pci.windows.low.unwrap();
    assert_eq!(
        (low.bus, low.pa.get(), low.size),
        (0x1000_0000, 0x1000_0000, 0x2eff_0000)
    );
    assert_eq!(pci.windows.high.unwrap().pa.get(), 0x80_0000_0000);
    // Pins go round: INTA of slot 1 is the wire of INTB of slot 0.
    let slot = |device| Function::new(device, 0).unwrap();
    assert_eq!(pci.pin_interrupt(slot(1), 1).unwrap().intid(), 36);
    assert_eq!(pci.pin_interrupt(slot(0), 2).unwrap().intid(), 36);
    assert_eq!(pci.pin_interrupt(slot(5), 1).unwrap().intid(), 36);
    assert_eq!(pci.pin_interrupt(slot(5), 0), None);
    let message = HostDeviceId {
        controller: machine.gic.its.unwrap().phandle,
        device: 8,
    };
    assert_eq!(pci.message_id_of(slot(1)), Some(message));
    let stream = pci.stream_of(slot(1)).unwrap();
    assert_eq!(
        stream,
        HostStreamId {
            iommu: machine.smmu.phandle,
            stream: 8
        }
    );
}

#[test]
fn a_function_outside_every_line_of_iommu_map_has_no_stream() {
    let machine = parse(&edited(|tree| {
        let map = [8u32, 0x8005, 0x100, 1, 16, 0x8005, u32::MAX, 2];
        let pci = tree.root.child_mut("pcie@10000000").unwrap();
        pci.add_property(DeviceTreeProperty::new("iommu-map", map).unwrap());
    }))
    .unwrap();
    let stream = |rid| {
        machine
            .pci
            .stream_of(Function::from_rid(rid))
            .map(|it| it.stream)
    };
    assert_eq!(stream(7), None);
    assert_eq!(stream(8), Some(0x100));
    assert_eq!(stream(9), None);
    // A stream number past 32 bits is none.
    assert_eq!(stream(16), Some(u32::MAX));
    assert_eq!(stream(17), None);
}

#[test]
fn a_machine_without_an_its_says_so_and_one_with_a_bad_one_gets_a_sentence() {
    let edit_gic = |edit: &dyn Fn(&mut dtoolkit::model::DeviceTreeNode)| {
        parse(&edited(|tree| {
            edit(tree.root.child_mut("intc@8000000").unwrap());
        }))
    };
    let its = |gic: &mut dtoolkit::model::DeviceTreeNode, property: &str, value: &[u32]| {
        let bytes: Vec<u8> = value.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        let its = gic.child_mut("its@8080000").unwrap();
        its.add_property(DeviceTreeProperty::new(property, bytes).unwrap());
    };
    let without = edit_gic(&|gic| {
        gic.remove_child("its@8080000").unwrap();
        gic.remove_property("interrupts").unwrap();
    });
    let without = without.unwrap().gic;
    assert_eq!((without.its, without.maintenance), (None, None));

    let sentence = |edited: Result<Machine, TreeError>| edited.unwrap_err().to_string();
    for reg in [[0, 0x808_0000, 0, 0x1_0000], [0, 0x808_1000, 0, 0x2_0000]] {
        let bad = edit_gic(&|gic| its(gic, "reg", &reg));
        assert!(sentence(bad).contains("reg of the ITS"));
    }
    let bad = edit_gic(&|gic| {
        gic.remove_property("ranges").unwrap();
    });
    assert!(sentence(bad).contains("ranges of the interrupt controller"));
    let bad = edit_gic(&|gic| {
        gic.add_property(DeviceTreeProperty::new("interrupts", 1u32).unwrap());
    });
    assert!(sentence(bad).contains("interrupts of the interrupt controller"));
}

#[test]
fn reserved_memory_is_found_in_both_places() {
    let tree = edited(|tree| {
        tree.memory_reservations
            .push(dtoolkit::memreserve::MemoryReservation::new(0x4000, 0x1000));
        let mut parent = dtoolkit::model::DeviceTreeNode::new("reserved-memory").unwrap();
        parent.add_property(DeviceTreeProperty::new("#address-cells", 2u32).unwrap());
        parent.add_property(DeviceTreeProperty::new("#size-cells", 2u32).unwrap());
        let mut child = dtoolkit::model::DeviceTreeNode::new("secret@5000").unwrap();
        child.add_property(DeviceTreeProperty::new("reg", [0u32, 0x5000, 0, 0x100]).unwrap());
        parent.add_child(child);
        tree.root.add_child(parent);
    });
    let reserved = early(&tree).unwrap().reserved;
    assert_eq!(
        reserved.as_slice(),
        [range(0x4000, 0x1000), range(0x5000, 0x100)]
    );
}

#[test]
fn the_console_is_the_one_that_stdout_path_names() {
    let tree = edited(|tree| {
        let mut other = dtoolkit::model::DeviceTreeNode::new("pl011@9040000").unwrap();
        other.add_property(DeviceTreeProperty::new("compatible", "arm,pl011").unwrap());
        other.add_property(DeviceTreeProperty::new("reg", [0u32, 0x904_0000, 0, 0x1000]).unwrap());
        tree.root.add_child(other);
        let mut aliases = dtoolkit::model::DeviceTreeNode::new("aliases").unwrap();
        aliases.add_property(DeviceTreeProperty::new("serial1", "/pl011@9040000").unwrap());
        tree.root.add_child(aliases);
        let chosen = tree.root.child_mut("chosen").unwrap();
        chosen.add_property(DeviceTreeProperty::new("stdout-path", "serial1:115200n8").unwrap());
    });
    assert_eq!(
        early(&tree).unwrap().console,
        Some(range(0x904_0000, 0x1000))
    );
}

#[test]
fn a_missing_node_gets_a_sentence_that_says_what_to_do() {
    let without = |name: &'static str| {
        error_after(move |tree| {
            tree.root.remove_child(name).unwrap();
        })
    };
    assert_eq!(
        without("smmuv3@9050000"),
        "the device tree has no arm,smmu-v3 node: start QEMU with -M virt,iommu=smmuv3"
    );
    assert!(without("intc@8000000").contains("gic-version=3"));
    assert!(without("memory@40000000").contains("/memory"));
    assert!(without("pcie@10000000").contains("PCI"));
    assert!(without("psci").contains("psci"));
    assert!(without("timer").contains("timer"));
    assert!(without("cpus").contains("/cpus"));
    assert!(without("pl011@9000000").contains("pl011"));
}

#[test]
fn a_malformed_property_gets_a_sentence_that_names_it() {
    let with = |node: &'static str, property: &'static str, value: u32| {
        error_after(move |tree| {
            let node = tree.root.child_mut(node).unwrap();
            node.add_property(DeviceTreeProperty::new(property, value).unwrap());
        })
    };
    assert!(with("smmuv3@9050000", "interrupts", 1).contains("interrupts of the arm,smmu-v3 node"));
    assert!(with("pcie@10000000", "iommu-map", 1).contains("iommu-map of the PCI host bridge"));
    assert!(with("pcie@10000000", "ranges", 1).contains("ranges of the PCI host bridge"));
    assert!(with("pcie@10000000", "interrupt-map", 1).contains("interrupt-map"));
    assert!(with("memory@40000000", "reg", 1).contains("reg of /memory"));
    assert!(with("chosen", "linux,initrd-end", 1).contains("linux,initrd-end"));
    assert!(with("intc@8000000", "#interrupt-cells", 4).contains("#interrupt-cells"));
}

#[test]
fn one_core_need_not_say_how_it_is_started_and_two_must() {
    let forget = |tree: &mut DeviceTree| {
        let cpus = tree.root.child_mut("cpus").unwrap();
        cpus.child_mut("cpu@0")
            .unwrap()
            .remove_property("enable-method")
            .unwrap();
    };
    assert!(error_after(forget).contains("enable-method of a cpu"));
    let alone = edited(|tree| {
        forget(tree);
        tree.root
            .child_mut("cpus")
            .unwrap()
            .remove_child("cpu@1")
            .unwrap();
    });
    assert_eq!(parse(&alone).unwrap().cpus, [0]);
}

#[test]
fn no_damage_to_a_tree_makes_it_panic() {
    // Without what is there 32 times over, so that every byte can be tried.
    let mut tree = edited(|tree| {
        let names: Vec<_> = tree
            .root
            .children()
            .map(|node| node.name().to_string())
            .collect();
        for name in names.iter().filter(|name| name.starts_with("virtio_mmio")) {
            tree.root.remove_child(name).unwrap();
        }
    });
    assert!(parse(&tree).is_ok());
    for length in 0..tree.len() {
        assert!(parse(&tree[..length]).is_err());
    }
    for at in 0..tree.len() {
        let damage = [0x01, 0x80, 0xff][at % 3];
        tree[at] ^= damage;
        let _ = parse(&tree);
        tree[at] ^= damage;
    }
}
