use std::string::ToString;

use super::*;

#[test]
fn what_is_behind_a_conventional_bridge_is_refused_by_a_sentence_that_names_both() {
    let mut mock = Mock::default();
    let bridge = mock.bridge(None, 1, 0, 0);
    mock.drive(Some(bridge), 2, 0, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    // It is found: more than one device can be there.
    let why = bus.assignable(on(1, 2, 0)).unwrap_err();
    assert_eq!(
        why,
        Unassignable::Alias {
            function: on(1, 2, 0),
            bridge: at(1, 0)
        }
    );
    let why = why.to_string();
    assert!(why.contains("01:02.0") && why.contains("00:01.0"), "{why}");
}

#[test]
fn a_bridge_from_express_to_pci_is_a_conventional_one() {
    for kind in [7, 8] {
        let mut mock = Mock::default();
        let bridge = mock.port(None, 1, kind, false);
        mock.drive(Some(bridge), 0, 0, 0);
        let bus = enumerate(&mock, BUSES, &WINDOWS);
        assert!(matches!(
            bus.assignable(on(1, 0, 0)),
            Err(Unassignable::Alias { .. })
        ));
    }
}

#[test]
fn each_reason_has_its_sentence() {
    let mut mock = Mock::default();
    let host = mock.add(None, 0, 0, 0);
    mock.word(host, offset::CLASS, 0x0600_0000, 0);
    mock.port(None, 1, 4, true);
    let card = mock.add(None, 2, 0, 0);
    mock.word(card, 0, 0x1042_1af4, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let why = |function| bus.assignable(function).unwrap_err().to_string();
    assert!(why(at(0, 0)).contains("host bridge"));
    assert!(why(at(1, 0)).contains("is a bridge"));
    assert!(why(at(2, 0)).contains("virtio"));
    assert!(why(at(3, 0)).contains("there is no PCI function 00:03.0"));
    assert!(
        Unassignable::NoIommu(at(1, 0))
            .to_string()
            .contains("no IOMMU")
    );
}

#[test]
fn a_virtio_device_is_known_by_its_vendor_and_shared_memory_is_none() {
    let identity = |device| Identity {
        device,
        class: 0,
        subsystem: 0,
    };
    assert!(identity(0x1042_1af4).bypasses_iommu());
    assert!(!identity(0x1110_1af4).bypasses_iommu());
    assert!(!identity(0x0010_1b36).bypasses_iommu());
}

/// The groups of two drives behind two ports of a switch.
fn groups(downstream_acs: bool, root_acs: bool) -> [Function; 2] {
    let mut mock = Mock::default();
    let port = mock.port(None, 1, 4, root_acs);
    let upstream = mock.port(Some(port), 0, 5, false);
    for device in 0..2 {
        let down = mock.port(Some(upstream), device, 6, downstream_acs);
        mock.drive(Some(down), 0, 0, 0);
    }
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    [on(3, 0, 0), on(4, 0, 0)].map(|function| bus.group(bus.find(function).unwrap()))
}

#[test]
fn behind_a_switch_functions_are_apart_only_where_all_ports_have_access_control() {
    assert_eq!(groups(true, true), [on(3, 0, 0), on(4, 0, 0)]);
    // The switch may pass from one to the other, a root complex as well.
    assert_eq!(groups(false, true), [on(1, 0, 0), on(1, 0, 0)]);
    assert_eq!(groups(true, false), [at(1, 0), at(1, 0)]);
}

#[test]
fn access_control_is_switched_on() {
    let mut mock = Mock::default();
    let port = mock.port(None, 1, 4, true);
    enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(mock.get(port, 0x104) >> 16, 0x1f);
}

#[test]
fn functions_of_one_device_are_one_group_without_access_control() {
    let mut mock = Mock::default();
    mock.drive(None, 1, 0, 0x80);
    let second = mock.drive(None, 1, 1, 0);
    let group = |mock: &Mock| {
        let bus = enumerate(mock, BUSES, &WINDOWS);
        bus.group(bus.find(at(1, 1)).unwrap())
    };
    assert_eq!(group(&mock), at(1, 0));
    mock.capabilities(second, &[(0x40, &[(0x0092_0010, 0), (0, 0), (0, 0)])]);
    mock.word(second, 0x100, 0x0001_000d, 0);
    mock.word(second, 0x104, 0x000c, 0xffff_0000);
    assert_eq!(group(&mock), at(1, 1));
}

#[test]
fn a_pin_goes_round_by_the_device_number_at_each_bridge() {
    let mut mock = Mock::default();
    let bridge = mock.bridge(None, 6, 0, 0);
    let inner = mock.bridge(Some(bridge), 3, 0, 0);
    let card = mock.drive(Some(inner), 2, 0, 0);
    mock.word(card, offset::INTERRUPT, 0x0400, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let found = bus.find(on(2, 2, 0)).unwrap();
    // INTD of device 2 is INTB of the inner bridge, device 3, which is INTA of the outer one.
    assert_eq!(found.root_pin(), Some((at(6, 0), 1)));
    let mut silent = found.clone();
    silent.pin = 0;
    assert_eq!(silent.root_pin(), None);
}
