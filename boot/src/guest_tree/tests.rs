extern crate std;

use std::vec::Vec;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use hv_core::layout;

use super::*;
use crate::machine;

const HOST: &[u8] = include_bytes!("../../tests/data/qemu-virt-7.2.dtb");

fn plan<'a>() -> GuestPlan<'a> {
    GuestPlan {
        memory: (Ipa::new(0x8_0000_0000), 0x1000_0000),
        vcpus: 2,
        bootargs: "console=ttyAMA0 rdinit=/init",
        ramdisk: Some((Ipa::new(0x8_0f00_0000), 0x12_3456)),
        functions: &[],
        messages: false,
        restarts: 0,
        targets: &[],
    }
}

fn built(plan: &GuestPlan<'_>) -> Vec<u8> {
    build(HOST, &machine::parse(HOST).unwrap(), plan).unwrap()
}

fn cells(node: FdtNode<'_>, property: &str) -> Vec<u32> {
    let property = node.property(property).unwrap();
    property
        .value()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|cell| u32::from_be_bytes(*cell))
        .collect()
}

#[test]
fn the_guest_sees_only_what_it_was_given() {
    let tree = built(&plan());
    let names: Vec<_> = Fdt::new(&tree)
        .unwrap()
        .root()
        .children()
        .map(|node| node.name())
        .collect();
    assert_eq!(
        names,
        [
            "cpus",
            "memory@800000000",
            "psci",
            "apb-pclk",
            "intc@20000000",
            "timer",
            "pl011@30000000",
            "iommu@10000000",
            "pcie@40000000",
            "chosen",
        ]
    );
    assert_eq!(
        Fdt::new(&tree)
            .unwrap()
            .find_node("/intc@20000000")
            .unwrap()
            .children()
            .count(),
        0
    );
}

#[test]
fn addresses_are_those_of_the_guests_own_map() {
    let tree = built(&plan());
    let fdt = Fdt::new(&tree).unwrap();
    let reg = |path| cells(fdt.find_node(path).unwrap(), "reg");
    assert_eq!(reg("/memory"), [8, 0, 0, 0x1000_0000]);
    assert_eq!(reg("/iommu"), [0, 0x1000_0000, 0, 0x4000]);
    assert_eq!(
        reg("/intc"),
        [0, 0x2000_0000, 0, 0x1_0000, 0, 0x2010_0000, 0, 0x4_0000]
    );
    assert_eq!(reg("/pl011"), [0, 0x3000_0000, 0, 0x1000]);
    assert_eq!(reg("/pcie"), [0, 0x4000_0000, 0, 0x10_0000]);
}

#[test]
fn cores_keep_the_affinity_of_the_machines() {
    let host = {
        let mut tree = DeviceTree::from_fdt(&Fdt::new(HOST).unwrap());
        let cpus = tree.root.child_mut("cpus").unwrap();
        set(cpus.child_mut("cpu@0").unwrap(), "status", "disabled");
        set(cpus.child_mut("cpu@1").unwrap(), "reg", 0x103u32);
        tree.to_dtb()
    };
    let machine = machine::parse(&host).unwrap();
    let tree = build(&host, &machine, &GuestPlan { vcpus: 1, ..plan() }).unwrap();
    let cpus = Fdt::new(&tree).unwrap().find_node("/cpus").unwrap();
    assert_eq!(cpus.children().count(), 1);
    assert_eq!(cells(cpus.child("cpu@103").unwrap(), "reg"), [0, 0x103]);
}

/// A function at 00:04.0 of the guest, with the wire of the machine's 00:01.0.
fn function() -> GuestFunction {
    let machine = machine::parse(HOST).unwrap();
    let host = Function::new(1, 0).unwrap();
    GuestFunction {
        function: Function::new(4, 0).unwrap(),
        stream: 1,
        wire: machine.pci.pin_interrupt(host, 1).map(|wire| (1, wire)),
    }
}

#[test]
fn a_function_reaches_the_dart_and_its_wire() {
    let functions = [function()];
    let tree = built(&GuestPlan {
        functions: &functions,
        ..plan()
    });
    let fdt = Fdt::new(&tree).unwrap();
    let dart = fdt.find_node("/iommu").unwrap();
    assert!(dart.is_compatible("apple,t8103-dart"));
    // A wire of the guest's own: 34, which is SPI 2, level.
    assert_eq!(cells(dart, "interrupts"), [0, 2, 4]);
    assert_eq!(cells(dart, "#iommu-cells"), [1]);
    let handle = dart.phandle().unwrap().unwrap();
    let pci = fdt.find_node("/pcie").unwrap();
    assert_eq!(cells(pci, "iommu-map"), [0x20, handle, 1, 1]);
    let gic = fdt.find_node("/intc").unwrap();
    let gic_handle = gic.phandle().unwrap().unwrap();
    assert_ne!(gic_handle, handle);
    let map = cells(pci, "interrupt-map");
    assert_eq!(map, [0x2000, 0, 0, 1, gic_handle, 0, 4, 4]);
    assert_eq!(cells(fdt.root(), "interrupt-parent"), [gic_handle]);
    let base = u32::try_from(layout::BAR_BASE.get()).unwrap();
    assert_eq!(
        cells(pci, "ranges"),
        [0x0200_0000, 0, base, 0, base, 0, 0x1000_0000]
    );
    assert!(pci.property("msi-parent").is_none());
}

#[test]
fn messages_go_to_a_frame_below_the_interrupt_controller() {
    let functions = [function()];
    let tree = built(&GuestPlan {
        functions: &functions,
        messages: true,
        ..plan()
    });
    let fdt = Fdt::new(&tree).unwrap();
    let gic = fdt.find_node("/intc").unwrap();
    // An address below it is one of the machine's.
    assert!(gic.property("ranges").unwrap().value().is_empty());
    assert_eq!(cells(gic, "#address-cells"), [2]);
    assert_eq!(cells(gic, "#size-cells"), [2]);
    let frame = gic.child("v2m@20020000").unwrap();
    assert!(frame.is_compatible("arm,gic-v2m-frame"));
    assert!(frame.property("msi-controller").is_some());
    assert_eq!(cells(frame, "reg"), [0, 0x2002_0000, 0, 0x1000]);
    assert_eq!(cells(frame, "arm,msi-base-spi"), [64]);
    assert_eq!(cells(frame, "arm,msi-num-spis"), [128]);
    let handle = frame.phandle().unwrap().unwrap();
    let dart = fdt.find_node("/iommu").unwrap().phandle().unwrap().unwrap();
    let gic_handle = gic.phandle().unwrap().unwrap();
    assert!(handle != dart && handle != gic_handle);
    let pci = fdt.find_node("/pcie").unwrap();
    assert_eq!(cells(pci, "msi-parent"), [handle]);
    // Two cells of a unit address stand before the interrupt now.
    assert_eq!(
        cells(pci, "interrupt-map"),
        [0x2000, 0, 0, 1, gic_handle, 0, 0, 0, 4, 4]
    );
}

#[test]
fn chosen_says_where_everything_is() {
    let tree = built(&plan());
    let fdt = Fdt::new(&tree).unwrap();
    let chosen = fdt.find_node("/chosen").unwrap();
    let text = |name| chosen.property(name).unwrap().value_as::<&str>().unwrap();
    let number = |name| chosen.property(name).unwrap().value_as::<u64>().unwrap();
    assert_eq!(text("bootargs"), "console=ttyAMA0 rdinit=/init");
    assert!(
        fdt.find_node(text("stdout-path"))
            .unwrap()
            .is_compatible("arm,pl011")
    );
    assert_eq!(number("linux,initrd-start"), 0x8_0f00_0000);
    assert_eq!(number("linux,initrd-end"), 0x8_0f12_3456);
    assert_eq!(cells(chosen, "linux,pci-probe-only"), [1]);
    assert_eq!(chosen.property("rng-seed").unwrap().value().len(), 32);
}

#[test]
fn targets_are_told_only_when_there_are_some() {
    let names = |plan: &GuestPlan<'_>| {
        let tree = built(plan);
        let chosen = Fdt::new(&tree).unwrap().find_node("/chosen").unwrap();
        chosen
            .properties()
            .filter(|it| it.name().starts_with("oche,target-"))
            .count()
    };
    assert_eq!(names(&plan()), 0);
    let targets = [Target {
        name: "image",
        pa: Pa::new(0x7e00_0000),
        size: 0x10_0000,
    }];
    let with = GuestPlan {
        targets: &targets,
        ..plan()
    };
    assert_eq!(names(&with), 1);
    let tree = built(&with);
    let chosen = Fdt::new(&tree).unwrap().find_node("/chosen").unwrap();
    assert_eq!(
        cells(chosen, "oche,target-image"),
        [0, 0x7e00_0000, 0, 0x10_0000]
    );
}

#[test]
fn the_guests_tree_describes_a_machine_again() {
    let machine = machine::parse(&built(&plan()));
    // All but the IOMMU, which is a DART now.
    assert!(matches!(
        machine,
        Err(TreeError::Missing {
            what: "arm,smmu-v3 node",
            ..
        })
    ));
}

#[test]
fn more_cores_than_the_machine_has_are_refused() {
    let error = build(
        HOST,
        &machine::parse(HOST).unwrap(),
        &GuestPlan { vcpus: 3, ..plan() },
    );
    assert!(std::string::ToString::to_string(&error.unwrap_err()).contains("more cores"));
}

#[test]
fn a_guest_without_devices_has_an_empty_bus() {
    let tree = built(&plan());
    let pci = Fdt::new(&tree).unwrap().find_node("/pcie").unwrap();
    assert!(pci.property("interrupt-map").is_none());
    assert!(pci.property("iommu-map").unwrap().value().is_empty());
}
