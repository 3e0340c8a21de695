use std::string::ToString;

use super::*;

#[test]
fn a_function_has_a_name_and_a_place() {
    assert_eq!(at(1, 0).to_string(), "00:01.0");
    assert_eq!(on(0x1f, 31, 7).to_string(), "1f:1f.7");
    assert_eq!(at(1, 2).rid(), 10);
    assert_eq!(on(2, 1, 2).rid(), 0x20a);
    assert_eq!(on(1, 1, 0).ecam_offset(), 0x10_8000);
    assert_eq!(on(1, 1, 3).first_of_device(), on(1, 1, 0));
    assert_eq!(Function::new(32, 0), None);
    assert_eq!(Function::new(0, 8), None);
    assert_eq!(Function::from_rid(0x1ff), on(1, 31, 7));
}

#[test]
fn everything_is_silenced_before_its_bars_are_touched() {
    let mut mock = Mock::default();
    let drive = mock.drive(None, 1, 0, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(bus.functions.len(), 1);
    assert_eq!(mock.get(drive, offset::COMMAND) & 0xffff, 0x400);
    let log = mock.log.borrow();
    assert_eq!(log[0], (at(1, 0), offset::COMMAND, 0x400));
}

#[test]
fn a_wide_bar_goes_to_the_high_window_and_a_narrow_one_to_the_low() {
    let mut mock = Mock::default();
    let drive = mock.drive(None, 1, 0, 0);
    let narrow = mock.add(None, 2, 0, 0);
    mock.word(narrow, 0x10, 1, 0xffff_ffe0);
    mock.word(narrow, 0x14, 0, 0xffff_f000);
    mock.word(narrow, 0x18, 0, 0xffff_f000);
    mock.word(narrow, 0x1c, 8, 0xfff0_0000);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let wide = bus.find(at(1, 0)).unwrap().bars[0];
    assert_eq!(
        (wide.pa.get(), wide.size, wide.wide),
        (0x80_0000_0000, 0x4000, true)
    );
    assert_eq!(mock.get(drive, 0x14), 0x80);
    let bars = &bus.find(at(2, 0)).unwrap().bars;
    // The I/O BAR is left alone; two pages of 4 KiB do not share one of 16 KiB.
    let places: Vec<_> = bars
        .iter()
        .map(|bar| (bar.index, bar.pa.get(), bar.size))
        .collect();
    assert_eq!(
        places,
        [
            (1, 0x1000_0000, 0x1000),
            (2, 0x1000_4000, 0x1000),
            (3, 0x1010_0000, 0x10_0000)
        ]
    );
    assert!(bars[2].prefetchable);
    assert_eq!(mock.get(narrow, 0x10), 1);
    assert_eq!(mock.get(narrow, 0x18), 0x1000_4000);
}

#[test]
fn a_device_with_a_bar_that_finds_no_place_is_refused_by_its_size_and_what_is_left() {
    let mut mock = Mock::default();
    let card = mock.drive(None, 1, 0, 0);
    // 1 TiB, in a window of 512 GiB.
    mock.word(card, 0x18, 0xc, 0);
    mock.word(card, 0x1c, 0, 0xffff_ff00);
    mock.word(card, 0x20, 0, 0xffff_f000);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let why = bus.assignable(at(1, 0)).unwrap_err().to_string();
    assert!(
        why.contains("BAR 2 of PCI function 00:01.0 has 0x10000000000 bytes"),
        "{why}"
    );
    assert!(why.contains("0x7fffffc000 left"), "{why}");
    // The others have theirs.
    assert_eq!(bus.find(at(1, 0)).unwrap().bars.len(), 2);
    // Without any window nothing has a place.
    let bus = enumerate(&mock, BUSES, &HostWindows::default());
    assert!(bus.functions[0].bars.is_empty());
    assert!(bus.assignable(at(1, 0)).is_err());
}

#[test]
fn other_functions_are_looked_for_only_where_the_header_says_so() {
    let mut mock = Mock::default();
    mock.add(None, 1, 0, 0x80);
    mock.add(None, 1, 3, 0);
    mock.add(None, 2, 0, 0);
    mock.add(None, 2, 1, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let found: Vec<_> = bus.functions.iter().map(|it| it.function).collect();
    assert_eq!(found, [at(1, 0), at(1, 3), at(2, 0)]);
}

#[test]
fn what_is_behind_a_port_is_found_and_reached_through_its_window() {
    let mut mock = Mock::default();
    let port = mock.port(None, 1, 4, true);
    mock.word(port, 0x10, 0, 0xffff_f000);
    let drive = mock.drive(Some(port), 0, 0, 0);
    // The same device once more, by a number that a port does not look at.
    mock.drive(Some(port), 5, 0, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(bus.functions.len(), 1);
    let found = bus.find(on(1, 0, 0)).unwrap();
    assert_eq!(found.path.as_slice(), [at(1, 0)]);
    // Not prefetchable: into the low window, behind the port's own BAR, on a MiB of its own.
    assert_eq!(found.bars[0].pa, Pa::new(0x1010_0000));
    assert_eq!(mock.get(drive, 0x10), 0x1010_0004);
    assert_eq!(mock.get(port, 0x10), 0x1000_0000);
    assert_eq!(mock.get(port, offset::BUS_NUMBERS), 0x0001_0100);
    assert_eq!(mock.get(port, offset::MEMORY_WINDOW), 0x1010_1010);
    assert_eq!(mock.get(port, offset::PREFETCHABLE_WINDOW), 0x0001_fff1);
    // Down, and not up.
    assert_eq!(mock.get(port, offset::COMMAND) & 0xffff, 0x402);
    assert_eq!(mock.get(port, offset::BRIDGE_CONTROL) >> 16, 0);
}

#[test]
fn buses_are_numbered_depth_first_and_windows_enclose_those_below() {
    let mut mock = Mock::default();
    let port = mock.port(None, 1, 4, true);
    let upstream = mock.port(Some(port), 0, 5, false);
    let first = mock.port(Some(upstream), 0, 6, true);
    let second = mock.port(Some(upstream), 1, 6, true);
    let near = mock.port(None, 2, 4, true);
    mock.drive(Some(first), 0, 0, 0);
    let card = mock.drive(Some(second), 0, 0, 0);
    mock.word(card, 0x18, 0xc, 0xfff0_0000);
    mock.word(card, 0x1c, 0, u32::MAX);
    mock.drive(Some(near), 0, 0, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let found: Vec<_> = bus.functions.iter().map(|it| it.function).collect();
    assert_eq!(found, [on(3, 0, 0), on(4, 0, 0), on(5, 0, 0)]);
    let numbers: Vec<_> = bus
        .bridges
        .iter()
        .map(|it| (it.function, it.secondary, it.subordinate))
        .collect();
    assert_eq!(
        numbers,
        [
            (at(1, 0), 1, 4),
            (on(1, 0, 0), 2, 4),
            (on(2, 0, 0), 3, 3),
            (on(2, 1, 0), 4, 4),
            (at(2, 0), 5, 5)
        ]
    );
    let low = |node| mock.get(node, offset::MEMORY_WINDOW);
    assert_eq!((low(first), low(second)), (0x1000_1000, 0x1010_1010));
    assert_eq!((low(upstream), low(port)), (0x1010_1000, 0x1010_1000));
    assert_eq!(low(near), 0x1020_1020);
    // The prefetchable BAR is above 4 GiB, and all bridges above it let it through.
    assert_eq!(
        bus.find(on(4, 0, 0)).unwrap().bars[1].pa,
        Pa::new(0x80_0000_0000)
    );
    for node in [port, upstream, second] {
        assert_eq!(mock.get(node, offset::PREFETCHABLE_BASE_HIGH), 0x80);
        assert_eq!(mock.get(node, offset::PREFETCHABLE_LIMIT_HIGH), 0x80);
        assert_eq!(mock.get(node, offset::PREFETCHABLE_WINDOW), 0x0001_0001);
    }
    assert_eq!(mock.get(first, offset::PREFETCHABLE_WINDOW), 0x0001_fff1);
}

#[test]
fn a_bridge_with_nothing_behind_it_passes_nothing_and_takes_no_window() {
    let mut mock = Mock::default();
    let port = mock.port(None, 1, 4, true);
    let narrow = mock.add(None, 2, 0, 0);
    mock.word(narrow, 0x10, 0, 0xffff_f000);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(mock.get(port, offset::MEMORY_WINDOW), 0x0000_fff0);
    assert_eq!(mock.get(port, offset::IO_WINDOW), 0x00f0);
    assert_eq!(mock.get(port, offset::COMMAND) & 0xffff, 0x400);
    assert_eq!(bus.functions[0].bars[0].pa, Pa::new(0x1000_0000));
}

#[test]
fn a_bridge_with_a_narrow_prefetchable_window_has_all_behind_it_in_the_low_one() {
    let mut mock = Mock::default();
    let port = mock.port(None, 1, 4, true);
    mock.word(port, offset::PREFETCHABLE_WINDOW, 0, 0xfff0_fff0);
    let card = mock.add(Some(port), 0, 0, 0);
    mock.word(card, 0x10, 0xc, 0xfff0_0000);
    mock.word(card, 0x14, 0, u32::MAX);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(bus.functions[0].bars[0].pa, Pa::new(0x1000_0000));
}

#[test]
fn what_has_no_place_in_a_bridges_window_is_not_placed_beside_it() {
    let mut mock = Mock::default();
    let port = mock.port(None, 1, 4, true);
    mock.drive(Some(port), 0, 0, 0);
    let mut windows = WINDOWS;
    // Room for the BAR, not for a MiB on a MiB.
    windows.low = Some(HostWindow {
        bus: 0x1008_0000,
        pa: Pa::new(0x1008_0000),
        size: 0x8_0000,
    });
    let bus = enumerate(&mock, BUSES, &windows);
    assert!(matches!(
        bus.assignable(on(1, 0, 0)),
        Err(Unassignable::NoPlace { .. })
    ));
    assert_eq!(mock.get(port, offset::MEMORY_WINDOW), 0x0000_fff0);
}

#[test]
fn a_bridge_without_a_bus_number_left_or_too_deep_is_not_gone_through() {
    let mut mock = Mock::default();
    let mut parent = None;
    for _ in 0..=MAX_DEPTH {
        parent = Some(mock.port(parent, 0, 4, true));
    }
    mock.drive(parent, 0, 0, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!((bus.bridges.len(), bus.unreached), (MAX_DEPTH, 1));
    assert!(bus.functions.is_empty());
    let few = BusRange { first: 0, last: 2 };
    let bus = enumerate(&mock, few, &WINDOWS);
    assert_eq!((bus.bridges.len(), bus.unreached), (2, 1));
}

#[test]
fn functions_past_the_limit_are_silenced_and_counted() {
    let mut mock = Mock::default();
    let mut last = 0;
    for device in 0..32 {
        mock.drive(None, device, 0, 0x80);
        last = mock.drive(None, device, 1, 0);
    }
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(
        (bus.functions.len(), bus.left_out),
        (MAX_FUNCTIONS, 64 - MAX_FUNCTIONS)
    );
    assert_eq!(mock.get(last, offset::COMMAND) & 0xffff, 0x400);
}

#[test]
fn what_could_go_round_the_iommu_is_off() {
    let mut mock = Mock::default();
    let card = mock.drive(None, 1, 0, 0);
    // Phantom functions are on.
    let express = [(0x0092_0010, 0), (0, 0), (0x2a10, 0xffff)];
    mock.capabilities(
        card,
        &[
            (0x40, &express),
            (0x60, &[(0x0081_0005, 0xffff_0000)]),
            (0x80, &[(0x8000_0011, 0xc000_0000), (0, 0), (0, 0)]),
        ],
    );
    // ATS, PRI, PASID, SR-IOV, all enabled.
    for (at, header, control, value) in [
        (0x100, 0x1101_000f, 4, 0x8000_0000),
        (0x110, 0x1201_0013, 4, 1),
        (0x120, 0x1301_001b, 4, 0x0001_0000),
        (0x130, 0x0001_0010, 8, 9),
    ] {
        mock.word(card, at, header, 0);
        mock.word(card, at + control, value, u32::MAX);
    }
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    for at in [0x104, 0x114, 0x124, 0x138] {
        assert_eq!(mock.get(card, at), 0, "{at:#x}");
    }
    assert_eq!(mock.get(card, 0x48), 0x2810);
    assert_eq!(mock.get(card, 0x60) >> 16 & 1, 0);
    assert_eq!(mock.get(card, 0x80) >> 31, 0);
    let found = bus.functions[0].capabilities;
    assert_eq!(found.express.unwrap().kind, PortKind::Endpoint);
    assert_eq!(found.msix.unwrap().at, 0x80);
}

#[test]
fn a_list_of_capabilities_that_goes_round_ends() {
    let mut mock = Mock::default();
    let card = mock.drive(None, 1, 0, 0);
    mock.capabilities(card, &[(0x40, &[(0x4005, 0)])]);
    mock.word(card, 0x100, 0x1001_000d, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(bus.functions[0].capabilities.msi.unwrap().at, 0x40);
}

#[test]
fn a_capability_that_does_not_fit_is_not_there() {
    let mut mock = Mock::default();
    let card = mock.drive(None, 1, 0, 0);
    mock.capabilities(card, &[(0xfc, &[(0x0011, 0)])]);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(bus.functions[0].capabilities.msix, None);
}

#[test]
fn oches_own_serial_line_gets_its_ports_and_goes_to_nobody() {
    let mut mock = Mock::default();
    let line = mock.add(None, 31, 0, 0);
    mock.word(line, 0, 0x0002_1b36, 0);
    mock.word(line, 0x10, 1, 0xffff_fff8);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let own = own_serial(&mock, &bus, &WINDOWS).unwrap();
    assert_eq!(own.function, at(31, 0));
    assert_eq!(own.registers, Pa::new(0x3eff_1000));
    assert_eq!(own.pin, Some((at(31, 0), 1)));
    assert_eq!(mock.get(line, 0x10), 0x1001);
    assert_eq!(mock.get(line, offset::COMMAND) & 0xffff, 0x401);
    let why = bus.assignable(at(31, 0)).unwrap_err();
    assert!(why.to_string().contains("Oche itself"));
    assert_eq!(own_serial(&mock, &bus, &HostWindows::default()), None);
}

#[test]
fn a_port_passes_accesses_to_eight_functions_only() {
    let mut mock = Mock::default();
    let port = mock.port(None, 1, 4, true);
    mock.word(port, 0x68, 0x21, 0xffff);
    enumerate(&mock, BUSES, &WINDOWS);
    assert_eq!(mock.get(port, 0x68), 1);
}
