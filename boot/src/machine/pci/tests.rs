extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use hv_core::pci::{BusRange, Function};

use super::super::tests::QEMU_VIRT;
use super::super::{PciHost, TreeError, parse};

const NODE: &str = "pcie@10000000";

fn host(edit: impl FnOnce(&mut DeviceTree)) -> Result<PciHost, TreeError> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(QEMU_VIRT).unwrap());
    edit(&mut tree);
    parse(&tree.to_dtb()).map(|machine| machine.pci)
}

fn with(property: &'static str, cells: &[u32]) -> Result<PciHost, TreeError> {
    let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
    host(|tree| {
        let node = tree.root.child_mut(NODE).unwrap();
        node.add_property(DeviceTreeProperty::new(property, bytes).unwrap());
    })
}

fn error(property: &'static str, cells: &[u32]) -> String {
    with(property, cells).unwrap_err().to_string()
}

fn notes(host: &PciHost) -> Vec<String> {
    host.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn all_buses_and_all_three_windows_are_found() {
    let pci = host(|_| {}).unwrap();
    assert_eq!(
        pci.buses,
        BusRange {
            first: 0,
            last: 255
        }
    );
    assert_eq!(pci.ecam.size(), 0x1000_0000);
    let io = pci.windows.io.unwrap();
    assert_eq!((io.bus, io.pa.get(), io.size), (0, 0x3eff_0000, 0x1_0000));
    assert!(pci.notes.is_empty());
    let wires: Vec<_> = pci.pin_wires().iter().map(|wire| wire.intid()).collect();
    assert_eq!(wires, [35, 36, 37, 38]);
}

#[test]
fn configuration_space_that_is_too_small_ends_the_buses_and_says_so() {
    let pci = with("reg", &[0x40, 0x1000_0000, 0, 0x38_0000]).unwrap();
    assert_eq!((pci.buses.last, pci.ecam.size()), (2, 0x30_0000));
    assert!(notes(&pci)[0].contains("up to bus 02 only"));
    let none = error("reg", &[0x40, 0x1000_0000, 0, 0xf_f000]);
    assert!(none.contains("reg of the PCI host bridge"), "{none}");
}

#[test]
fn buses_begin_where_bus_range_says() {
    let pci = with("bus-range", &[0x40, 0x42]).unwrap();
    assert_eq!((pci.buses.first, pci.buses.last), (0x40, 0x42));
    assert_eq!(pci.ecam.size(), 0x30_0000);
    for wrong in [&[1u32, 0][..], &[0], &[0, 256]] {
        assert!(error("bus-range", wrong).contains("bus-range"));
    }
}

#[test]
fn a_second_host_bridge_is_left_alone_and_told_of() {
    let pci = host(|tree| {
        let mut other = DeviceTreeNode::new("pcie@99000000").unwrap();
        let compatible = DeviceTreeProperty::new("compatible", "pci-host-ecam-generic");
        other.add_property(compatible.unwrap());
        tree.root.add_child(other);
    })
    .unwrap();
    assert!(notes(&pci)[0].contains("1 more PCI host bridges are left alone"));
}

#[test]
fn of_two_windows_of_a_kind_the_first_is_used() {
    let low = |bus: u32| [0x0200_0000, 0, bus, 0, bus, 0, 0x10_0000];
    let cells: Vec<u32> = [low(0x1000_0000), low(0x2000_0000)].concat();
    let pci = with("ranges", &cells).unwrap();
    assert_eq!(pci.windows.low.unwrap().bus, 0x1000_0000);
    assert!(notes(&pci)[0].contains("1 more windows"));
}

#[test]
fn a_layout_that_nobody_knows_gets_a_sentence() {
    for cells in [
        &[][..],
        // I/O only.
        &[0x0100_0000, 0, 0, 0, 0x3eff_0000, 0, 0x1_0000],
        // A window that wraps round.
        &[0x0300_0000, u32::MAX, 0, 0, 0, u32::MAX, 0],
    ] {
        assert!(error("ranges", cells).contains("ranges of the PCI host bridge"));
    }
    assert!(error("#address-cells", &[2]).contains("ranges"));
    assert!(error("#size-cells", &[1]).contains("ranges"));
    assert!(error("msi-map", &[0, 1]).contains("msi-map"));
}

#[test]
fn a_function_behind_a_bridge_has_a_stream_of_its_own() {
    let pci = host(|_| {}).unwrap();
    let behind = Function::on_bus(3, 0, 0).unwrap();
    assert_eq!(pci.stream_of(behind).unwrap().stream, 0x300);
}
