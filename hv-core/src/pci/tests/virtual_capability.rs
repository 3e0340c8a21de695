use super::virtual_bus::{BARS, DRIVE, effects};
use super::*;

/// A drive with every capability that there is: vendor-specific, PCI Express, MSI with masks, power
/// management, MSI-X, and ATS among the extended ones.
fn machine() -> Mock {
    let mut mock = Mock::default();
    let card = mock.drive(None, 1, 0, 0);
    mock.capabilities(
        card,
        &[
            (0x40, &[(0x0010_0009, 0), (0x1234_5678, u32::MAX)]),
            (
                0x50,
                &[(0x0002_0010, 0), (0x1000_8fe2, 0), (0x0010_2810, 0xffff)],
            ),
            (0x8c, &[(0xc803_0001, 0), (0x0000_0008, 0xffff)]),
            (
                0x98,
                &[
                    (0x0186_0005, 0x0071_0000),
                    (0, !3),
                    (0, u32::MAX),
                    (0, 0xffff),
                    (0, u32::MAX),
                    (0, 0),
                ],
            ),
            (
                0xb0,
                &[(0x0040_0011, 0xc000_0000), (0x2000, 0), (0x3000, 0)],
            ),
        ],
    );
    mock.word(card, 0x100, 0x0001_000f, 0);
    mock.word(card, 0x104, 0x0020, 0xffff_0000);
    mock
}

pub(super) fn guest(messages: bool) -> VirtualBus {
    let bus = enumerate(&machine(), BUSES, &WINDOWS);
    VirtualBus::new(&bus.functions, BARS, 0x1000_0000, messages).unwrap()
}

/// Which bits of a word a guest may set.
pub(super) fn writable(offset: u16) -> u32 {
    match offset {
        0x98 => 0x01f7_0000,
        0x9c => !3,
        0xa0 | 0xa8 => u32::MAX,
        0xa4 => 0xffff,
        0xb0 => 0xc7ff_0000,
        _ => 0,
    }
}

/// The ids in the list, in order.
fn ids(bus: &VirtualBus) -> Vec<u64> {
    let mut at = bus.read(DRIVE + 0x34, 1);
    let mut ids = Vec::new();
    while at != 0 {
        ids.push(bus.read(DRIVE + at, 1));
        at = bus.read(DRIVE + at + 1, 1);
    }
    ids
}

fn word(offset: u16, value: u32) -> [ConfigEffect; 1] {
    [ConfigEffect::SetWord {
        function: at(1, 0),
        offset,
        value,
    }]
}

#[test]
fn the_list_has_what_is_allowed_and_nothing_else() {
    let bus = guest(true);
    assert_eq!(bus.read(DRIVE + 6, 2), 0x10, "status");
    assert_eq!(ids(&bus), [0x11, 0x05, 0x10]);
    // Vendor-specific, power management, extended: not there.
    for offset in [0x40, 0x44, 0x8c, 0x90, 0x100, 0x104, 0xffc] {
        assert_eq!(bus.read(DRIVE + offset, 4), 0, "{offset:#x}");
    }
}

#[test]
fn without_messages_there_are_no_capabilities_and_no_rom() {
    let mut bus = guest(false);
    assert_eq!(bus.read(DRIVE + 6, 2), 0, "status");
    assert_eq!(bus.read(DRIVE + 0x30, 8), 0, "ROM, capability pointer");
    for offset in (0x40..0x1000).step_by(4) {
        assert_eq!(bus.read(DRIVE + offset, 4), 0);
        assert_eq!(effects(&mut bus, DRIVE + offset, 4, u64::MAX), []);
    }
}

#[test]
fn a_guest_cannot_reset_its_function_or_change_how_it_talks() {
    let mut bus = guest(true);
    // Function level reset is not offered, the rest of device capabilities is.
    assert_eq!(bus.read(DRIVE + 0x54, 4), 0x8022);
    // An endpoint of the root complex: on the guest's bus there is no port above it.
    assert_eq!(bus.read(DRIVE + 0x52, 2), 0x92);
    for offset in (0x50..0x8c).step_by(4) {
        assert_eq!(effects(&mut bus, DRIVE + offset, 4, u64::MAX), []);
    }
    assert_eq!(bus.read(DRIVE + 0x58, 4), 0);
}

#[test]
fn msix_is_enabled_and_masked_by_the_guest_and_its_table_stays_where_it_is() {
    let mut bus = guest(true);
    assert_eq!(bus.read(DRIVE + 0xb2, 2), 0x40);
    assert_eq!(bus.read(DRIVE + 0xb4, 8), 0x0000_3000_0000_2000);
    assert_eq!(
        effects(&mut bus, DRIVE + 0xb2, 2, 0xffff),
        word(0xb0, 0xc040_0000)
    );
    assert_eq!(bus.read(DRIVE + 0xb2, 2), 0xc040);
    assert_eq!(
        effects(&mut bus, DRIVE + 0xb3, 1, 0x80),
        word(0xb0, 0x8040_0000)
    );
    assert_eq!(effects(&mut bus, DRIVE + 0xb4, 8, u64::MAX), []);
    assert_eq!(bus.read(DRIVE + 0xb4, 4), 0x2000);
}

#[test]
fn msi_is_set_up_as_linux_does_it() {
    let mut bus = guest(true);
    // Eight messages at most, a wide address, masks; off.
    assert_eq!(bus.read(DRIVE + 0x9a, 2), 0x186);
    assert_eq!(
        effects(&mut bus, DRIVE + 0x9c, 4, 0x2002_0043),
        word(0x9c, 0x2002_0040)
    );
    assert_eq!(effects(&mut bus, DRIVE + 0xa0, 4, 0x8), word(0xa0, 8));
    assert_eq!(effects(&mut bus, DRIVE + 0xa4, 2, 0x40), word(0xa4, 0x40));
    assert_eq!(effects(&mut bus, DRIVE + 0xa8, 4, 0xfe), word(0xa8, 0xfe));
    // 32 messages are more than there are.
    assert_eq!(
        effects(&mut bus, DRIVE + 0x9a, 2, 0x51),
        word(0x98, 0x01b7_0000)
    );
    assert_eq!(bus.read(DRIVE + 0x9c, 8), 0x8_2002_0040);
    // Pending bits.
    assert_eq!(effects(&mut bus, DRIVE + 0xac, 4, 1), []);
    assert_eq!(bus.read(DRIVE + 0xac, 4), 0);
}

#[test]
fn one_store_can_reach_two_words() {
    let mut bus = guest(true);
    let both: Vec<_> = word(0x9c, 0x2002_0040)
        .into_iter()
        .chain(word(0xa0, 1))
        .collect();
    assert_eq!(effects(&mut bus, DRIVE + 0x9c, 8, 0x1_2002_0040), both);
}

#[test]
fn what_a_guest_sets_reaches_the_device() {
    let mock = machine();
    let mut bus = guest(true);
    bus.write(DRIVE + 0x9c, 4, 0x2002_0040).apply(&mock);
    bus.write(DRIVE + 0xb2, 2, 0x8000).apply(&mock);
    assert_eq!(mock.get(0, 0x9c), 0x2002_0040);
    assert_eq!(mock.get(0, 0xb0), 0x8040_0011);
}

#[test]
fn a_narrow_msi_without_masks_has_three_words() {
    let mut mock = Mock::default();
    let card = mock.drive(None, 1, 0, 0);
    mock.capabilities(
        card,
        &[(0x50, &[(0x0000_0005, 0x0001_0000), (0, !3), (0, 0xffff)])],
    );
    let bus = enumerate(&mock, BUSES, &WINDOWS);
    let mut guest = VirtualBus::new(&bus.functions, BARS, 0x1000_0000, true).unwrap();
    assert_eq!(ids(&guest), [0x05]);
    assert_eq!(
        effects(&mut guest, DRIVE + 0x58, 4, 0x1_0041),
        word(0x58, 0x41)
    );
    assert_eq!(effects(&mut guest, DRIVE + 0x5c, 4, 1), []);
}
