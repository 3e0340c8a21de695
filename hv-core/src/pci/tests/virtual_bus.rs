use std::string::ToString;

use proptest::prelude::*;

use super::*;

pub(super) const BARS: Ipa = Ipa::new(0x5000_0000);

/// Where the drive's configuration space is.
pub(super) const DRIVE: u64 = 0x8000;

fn guest() -> VirtualBus {
    let mut mock = Mock::default();
    mock.drive(None, 1, 0, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    VirtualBus::new(&bus.functions, BARS, 0x1000_0000, true).unwrap()
}

/// What one store asks for.
pub(super) fn effects(
    bus: &mut VirtualBus,
    offset: u64,
    size: u8,
    value: u64,
) -> Vec<ConfigEffect> {
    bus.write(offset, size, value).iter().collect()
}

#[test]
fn a_guest_finds_its_function_and_nothing_else() {
    let bus = guest();
    assert_eq!(bus.read(DRIVE, 4), 0x0010_1b36);
    assert_eq!(bus.read(DRIVE + 2, 2), 0x0010);
    assert_eq!(bus.read(DRIVE + 8, 4), 0x0108_0202);
    assert_eq!(bus.read(DRIVE + 0x3d, 1), 1);
    // Absent: the host bridge, the drive's other functions, what lies past the bus.
    for offset in [0, DRIVE + 0x1000, 0x10_0000, 0x10_8000, u64::MAX] {
        assert_eq!(bus.read(offset, 4), 0xffff_ffff, "{offset:#x}");
    }
}

#[test]
fn sizing_a_bar_tells_its_size_and_leaves_it_where_it_is() {
    let mut bus = guest();
    assert_eq!(bus.read(DRIVE + 0x10, 8), 0x5000_0004);
    for half in [0x10, 0x14] {
        assert_eq!(effects(&mut bus, DRIVE + half, 4, 0xffff_ffff), []);
    }
    assert_eq!(bus.read(DRIVE + 0x10, 8), 0xffff_ffff_ffff_c004);
    // An address of the guest's own choosing is not taken.
    assert_eq!(effects(&mut bus, DRIVE + 0x10, 4, 0x7000_0000), []);
    assert_eq!(effects(&mut bus, DRIVE + 0x14, 4, 0), []);
    assert_eq!(bus.read(DRIVE + 0x10, 8), 0x5000_0004);
    // Words without a BAR read zero whatever is written.
    assert_eq!(effects(&mut bus, DRIVE + 0x18, 4, 0xffff_ffff), []);
    assert_eq!(bus.read(DRIVE + 0x18, 4), 0);
}

#[test]
fn a_bar_can_be_sized_by_bytes() {
    let mut bus = guest();
    for byte in 0..4 {
        let _ = bus.write(DRIVE + 0x10 + byte, 1, 0xff);
    }
    // The bytes before the last are forgotten: what was shown in between was the address.
    assert_eq!(bus.read(DRIVE + 0x10, 4), 0x5000_0004);
    let _ = bus.write(DRIVE + 0x0e, 8, u64::MAX);
    assert_eq!(bus.read(DRIVE + 0x10, 4), 0xffff_c004);
}

#[test]
fn the_command_register_is_filtered() {
    let mut bus = guest();
    let set = |command| {
        [ConfigEffect::SetCommand {
            function: at(1, 0),
            command,
        }]
    };
    assert_eq!(effects(&mut bus, DRIVE + 4, 2, 0xffff), set(0x406));
    assert_eq!(bus.read(DRIVE + 4, 4), 0x406);
    assert_eq!(effects(&mut bus, DRIVE + 4, 1, 0), set(0x400));
    assert_eq!(effects(&mut bus, DRIVE + 5, 1, 0), set(0));
    // Status only: nothing to do.
    assert_eq!(effects(&mut bus, DRIVE + 6, 2, 0xffff), []);
    // Across the word before: still seen.
    assert_eq!(effects(&mut bus, DRIVE + 2, 4, 0x0006_0000), set(6));
    assert_eq!(effects(&mut bus, DRIVE, 8, 0x0000_0002_0000_0000), set(2));
}

#[test]
fn the_interrupt_line_is_plain_storage() {
    let mut bus = guest();
    assert_eq!(effects(&mut bus, DRIVE + 0x3c, 4, 0xffff_ff2a), []);
    assert_eq!(bus.read(DRIVE + 0x3c, 4), 0x012a);
}

#[test]
fn windows_are_whole_pages_that_lead_to_the_device() {
    let windows: Vec<_> = guest().windows().collect();
    let pa = Pa::new(0x80_0000_0000);
    assert_eq!(
        windows,
        [Window {
            ipa: BARS,
            pa,
            size: 0x4000
        }]
    );
}

#[test]
fn what_cannot_be_given_is_refused_with_a_sentence() {
    let mut mock = Mock::default();
    mock.drive(None, 1, 0, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let drive = &bus.functions[0];
    let error = |functions: &[&HostFunction], room| {
        VirtualBus::new(functions.iter().copied(), BARS, room, true).unwrap_err()
    };
    assert_eq!(
        error(&[drive, drive], 0x1000_0000),
        PciError::Twice(at(1, 0))
    );
    assert_eq!(error(&[drive], 0x3fff), PciError::NoRoom(at(1, 0)));
    assert!(PciError::NoRoom(at(1, 0)).to_string().contains("00:01.0"));
    let others: Vec<_> = (0..17)
        .map(|device| HostFunction {
            function: at(device, 0),
            ..drive.clone()
        })
        .collect();
    let others: Vec<_> = others.iter().collect();
    assert_eq!(error(&others, 0x1000_0000), PciError::TooManyFunctions);
}

#[test]
fn each_function_is_a_device_of_its_own_on_one_flat_bus() {
    let mut mock = Mock::default();
    mock.drive(None, 1, 0, 0x80);
    mock.drive(None, 1, 1, 0);
    let port = mock.port(None, 3, 4, true);
    mock.drive(Some(port), 0, 0, 0);
    mock.drive(None, 2, 0, 0);
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let mut guest = VirtualBus::new(&bus.functions, BARS, 0x1000_0000, true).unwrap();
    let places =
        [at(1, 0), at(1, 1), at(2, 0), on(1, 0, 0)].map(|host| guest.guest_address(host).unwrap());
    // Those that can keep their number do, whatever the order.
    assert_eq!(places, [at(1, 0), at(3, 0), at(2, 0), at(4, 0)]);
    assert_eq!(guest.guest_address(at(5, 0)), None);
    for device in 1..5 {
        assert_eq!(guest.read((device << 15) + 0x0e, 1), 0);
        assert_eq!(guest.read((device << 15) + 0x1000, 4), 0xffff_ffff);
    }
    let ipas: Vec<_> = guest.windows().map(|window| window.ipa.get()).collect();
    assert_eq!(ipas, [0x5000_0000, 0x5000_4000, 0x5000_8000, 0x5000_c000]);
    // What is asked for is asked of the machine's function, and of the bridges above it.
    assert_eq!(
        effects(&mut guest, 0x2_0004, 2, 2),
        [ConfigEffect::SetCommand {
            function: on(1, 0, 0),
            command: 2
        }]
    );
    guest.write(0x2_0004, 2, 6).apply(&mock);
    assert_eq!(mock.get(port, offset::COMMAND) & 0xffff, 0x406);
    let drive = mock.find(on(1, 0, 0)).unwrap();
    assert_eq!(mock.get(drive, offset::COMMAND) & 0xffff, 6);
    guest.silence(&mock);
    assert_eq!(mock.get(drive, offset::COMMAND) & 0xffff, 0x400);
}

proptest! {
    #[test]
    fn nothing_a_guest_does_moves_a_bar_or_gets_past_the_filter(
        accesses in prop::collection::vec(
            (prop_oneof![0u64..0x10_0010, 0x7ff8u64..0x80d0, any::<u64>()], 0u8..10, any::<u64>()),
            0..50,
        ),
    ) {
        let mut bus = virtual_capability::guest(true);
        let windows: Vec<_> = bus.windows().collect();
        for (offset, size, value) in accesses {
            let _ = bus.read(offset, size);
            for effect in bus.write(offset, size, value).iter() {
                match effect {
                    ConfigEffect::SetCommand { function, command } => {
                        prop_assert_eq!(function, at(1, 0));
                        prop_assert_eq!(command & !0x406, 0);
                    }
                    ConfigEffect::SetWord { function, offset, value } => {
                        prop_assert_eq!(function, at(1, 0));
                        prop_assert_eq!(value & !virtual_capability::writable(offset), 0);
                    }
                    ConfigEffect::LetUp { .. } => prop_assert!(false, "there is no bridge"),
                }
            }
        }
        prop_assert_eq!(bus.windows().collect::<Vec<_>>(), windows);
        prop_assert_eq!(bus.read(DRIVE, 4), 0x0010_1b36);
    }
}
