extern crate std;

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::addr::{Ipa, Pa};

/// A bus of functions whose header is 16 words, each with a mask of what can be written.
#[derive(Default)]
struct MockBus {
    words: RefCell<BTreeMap<(u16, u16), (u32, u32)>>,
    log: RefCell<Vec<(Function, u16, u32)>>,
}

impl MockBus {
    fn with(self, function: Function, offset: u16, value: u32, writable: u32) -> Self {
        self.words
            .borrow_mut()
            .insert((function.rid(), offset), (value, writable));
        self
    }

    fn function(self, function: Function, header: u32) -> Self {
        self.with(function, 0, 0x0010_1b36, 0)
            .with(function, offset::COMMAND, 0x10_0407, 0xffff)
            .with(function, offset::CLASS, 0x0108_0202, 0)
            .with(function, offset::HEADER, header << 16, 0)
            .with(function, offset::SUBSYSTEM, 0x1100_1af4, 0)
            .with(function, offset::INTERRUPT, 0x0100, 0xff)
    }

    fn word(&self, function: Function, offset: u16) -> u32 {
        self.words.borrow()[&(function.rid(), offset)].0
    }
}

impl ConfigSpace for MockBus {
    fn read32(&self, function: Function, offset: u16) -> u32 {
        let words = self.words.borrow();
        match words.get(&(function.rid(), offset)) {
            Some((value, _)) => *value,
            None if words.contains_key(&(function.rid(), 0)) => 0,
            None => u32::MAX,
        }
    }

    fn write32(&self, function: Function, offset: u16, value: u32) {
        self.log.borrow_mut().push((function, offset, value));
        if let Some((word, writable)) = self.words.borrow_mut().get_mut(&(function.rid(), offset)) {
            *word = *word & !*writable | value & *writable;
        }
    }
}

fn at(device: u8, function: u8) -> Function {
    Function::new(device, function).unwrap()
}

const WINDOWS: HostWindows = HostWindows {
    low: Some(HostWindow {
        bus: 0x1000_0000,
        pa: Pa::new(0x1000_0000),
        size: 0x2eff_0000,
    }),
    high: Some(HostWindow {
        bus: 0x80_0000_0000,
        pa: Pa::new(0x80_0000_0000),
        size: 0x80_0000_0000,
    }),
};

/// A drive like QEMU's: one 64-bit BAR of 16 KiB.
fn drive(bus: MockBus, function: Function) -> MockBus {
    bus.function(function, 0)
        .with(function, 0x10, 0x4, 0xffff_c000)
        .with(function, 0x14, 0, 0xffff_ffff)
}

#[test]
fn a_function_has_a_name_and_a_place() {
    assert_eq!(at(1, 0).to_string(), "00:01.0");
    assert_eq!(at(31, 7).to_string(), "00:1f.7");
    assert_eq!(at(1, 2).rid(), 10);
    assert_eq!(at(1, 0).ecam_offset(), 0x8000);
    assert_eq!(Function::new(32, 0), None);
    assert_eq!(Function::new(0, 8), None);
    assert_eq!(Function::from_rid(0x100), None);
}

#[test]
fn everything_is_silenced_before_its_bars_are_touched() {
    let mock = drive(MockBus::default(), at(1, 0));
    let bus = enumerate(&mock, &WINDOWS);
    assert_eq!(bus.functions.len(), 1);
    assert_eq!(mock.word(at(1, 0), offset::COMMAND) & 0xffff, 0x400);
    let log = mock.log.borrow();
    assert_eq!(log[0], (at(1, 0), offset::COMMAND, 0x400));
}

#[test]
fn a_wide_bar_goes_to_the_high_window_and_a_narrow_one_to_the_low() {
    let narrow = at(2, 0);
    let mock = drive(MockBus::default(), at(1, 0))
        .function(narrow, 0)
        .with(narrow, 0x10, 1, 0xffff_ffe0)
        .with(narrow, 0x14, 0, 0xffff_f000)
        .with(narrow, 0x18, 0, 0xffff_f000)
        .with(narrow, 0x1c, 8, 0xfff0_0000);
    let bus = enumerate(&mock, &WINDOWS);
    let wide = bus.find(at(1, 0)).unwrap().bars[0];
    assert_eq!(
        (wide.pa.get(), wide.size, wide.wide),
        (0x80_0000_0000, 0x4000, true)
    );
    assert_eq!(mock.word(at(1, 0), 0x14), 0x80);
    let bars = &bus.find(narrow).unwrap().bars;
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
    assert_eq!(mock.word(narrow, 0x10), 1);
    assert_eq!(mock.word(narrow, 0x18), 0x1000_4000);
}

#[test]
fn a_bar_without_a_place_is_counted() {
    let mock = drive(MockBus::default(), at(1, 0));
    let bus = enumerate(&mock, &HostWindows::default());
    assert_eq!(bus.bars_unplaced, 1);
    assert!(bus.functions[0].bars.is_empty());
}

#[test]
fn bridges_are_reported_and_not_descended() {
    let mock = MockBus::default().function(at(3, 0), 1);
    let bus = enumerate(&mock, &WINDOWS);
    assert_eq!((bus.bridges, bus.functions.len()), (1, 0));
    assert_eq!(mock.word(at(3, 0), offset::COMMAND) & 0xffff, 0x400);
}

#[test]
fn other_functions_are_looked_for_only_where_the_header_says_so() {
    let mock = MockBus::default()
        .function(at(1, 0), 0x80)
        .function(at(1, 3), 0)
        .function(at(2, 0), 0)
        .function(at(2, 1), 0);
    let found: Vec<_> = enumerate(&mock, &WINDOWS)
        .functions
        .iter()
        .map(|it| it.function)
        .collect();
    assert_eq!(found, [at(1, 0), at(1, 3), at(2, 0)]);
}

const BARS: Ipa = Ipa::new(0x5000_0000);

fn guest() -> VirtualBus {
    let bus = enumerate(&drive(MockBus::default(), at(1, 0)), &WINDOWS);
    VirtualBus::new(&bus.functions, BARS, 0x1000_0000).unwrap()
}

/// Where the drive's configuration space is.
const DRIVE: u64 = 0x8000;

#[test]
fn a_guest_finds_its_function_and_nothing_else() {
    let bus = guest();
    assert_eq!(bus.read(DRIVE, 4), 0x0010_1b36);
    assert_eq!(bus.read(DRIVE + 2, 2), 0x0010);
    assert_eq!(bus.read(DRIVE + 8, 4), 0x0108_0202);
    assert_eq!(bus.read(DRIVE + 0x3d, 1), 1);
    // Absent: the host bridge, the drive's other functions, what lies past the bus.
    for offset in [0, DRIVE + 0x1000, 0x10_0000, u64::MAX] {
        assert_eq!(bus.read(offset, 4), 0xffff_ffff, "{offset:#x}");
    }
}

#[test]
fn a_guest_sees_no_capabilities_and_no_rom() {
    let bus = guest();
    assert_eq!(bus.read(DRIVE + 6, 2), 0, "status");
    assert_eq!(bus.read(DRIVE + 0x30, 8), 0, "ROM, capability pointer");
    for offset in (0x40..0x1000).step_by(4) {
        assert_eq!(bus.read(DRIVE + offset, 4), 0);
    }
}

#[test]
fn sizing_a_bar_tells_its_size_and_leaves_it_where_it_is() {
    let mut bus = guest();
    assert_eq!(bus.read(DRIVE + 0x10, 8), 0x5000_0004);
    for half in [0x10, 0x14] {
        assert_eq!(bus.write(DRIVE + half, 4, 0xffff_ffff), ConfigEffect::None);
    }
    assert_eq!(bus.read(DRIVE + 0x10, 8), 0xffff_ffff_ffff_c004);
    // An address of the guest's own choosing is not taken.
    assert_eq!(bus.write(DRIVE + 0x10, 4, 0x7000_0000), ConfigEffect::None);
    assert_eq!(bus.write(DRIVE + 0x14, 4, 0), ConfigEffect::None);
    assert_eq!(bus.read(DRIVE + 0x10, 8), 0x5000_0004);
    // Words without a BAR read zero whatever is written.
    assert_eq!(bus.write(DRIVE + 0x18, 4, 0xffff_ffff), ConfigEffect::None);
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
    let set = |command| ConfigEffect::SetCommand {
        function: at(1, 0),
        command,
    };
    assert_eq!(bus.write(DRIVE + 4, 2, 0xffff), set(0x406));
    assert_eq!(bus.read(DRIVE + 4, 4), 0x406);
    assert_eq!(bus.write(DRIVE + 4, 1, 0), set(0x400));
    assert_eq!(bus.write(DRIVE + 5, 1, 0), set(0));
    // Status only: nothing to do.
    assert_eq!(bus.write(DRIVE + 6, 2, 0xffff), ConfigEffect::None);
    // Across the word before: still seen.
    assert_eq!(bus.write(DRIVE + 2, 4, 0x0006_0000), set(6));
    assert_eq!(bus.write(DRIVE, 8, 0x0000_0002_0000_0000), set(2));
}

#[test]
fn the_interrupt_line_is_plain_storage() {
    let mut bus = guest();
    assert_eq!(bus.write(DRIVE + 0x3c, 4, 0xffff_ff2a), ConfigEffect::None);
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
    let mock = drive(MockBus::default(), at(1, 0));
    let bus = enumerate(&mock, &WINDOWS);
    let drive = &bus.functions[0];
    let error = |functions: &[&HostFunction], room| {
        VirtualBus::new(functions.iter().copied(), BARS, room).unwrap_err()
    };
    assert_eq!(
        error(&[drive, drive], 0x1000_0000),
        PciError::Twice(at(1, 0))
    );
    assert_eq!(error(&[drive], 0x3fff), PciError::NoRoom(at(1, 0)));
    let second = HostFunction {
        function: at(2, 1),
        ..drive.clone()
    };
    assert_eq!(
        error(&[&second], 0x1000_0000),
        PciError::WithoutFirst(at(2, 1))
    );
    assert!(PciError::NoRoom(at(1, 0)).to_string().contains("00:01.0"));
}

#[test]
fn a_device_with_two_functions_says_so() {
    let mock = drive(
        drive(MockBus::default(), at(1, 0)).function(at(1, 1), 0),
        at(1, 1),
    )
    .with(at(1, 0), offset::HEADER, 0x80 << 16, 0);
    let bus = enumerate(&mock, &WINDOWS);
    let guest = VirtualBus::new(&bus.functions, BARS, 0x1000_0000).unwrap();
    assert_eq!(guest.read(DRIVE + 0x0e, 1), 0x80);
    assert_eq!(guest.read(DRIVE + 0x100e, 1), 0);
    let places: Vec<_> = guest.windows().map(|window| window.ipa.get()).collect();
    assert_eq!(places, [0x5000_0000, 0x5000_4000]);
}

proptest! {
    #[test]
    fn nothing_a_guest_does_moves_a_bar_or_gets_past_the_filter(
        accesses in prop::collection::vec(
            (prop_oneof![0u64..0x10_0010, 0x7ff8u64..0x8048, any::<u64>()], 0u8..10, any::<u64>()),
            0..50,
        ),
    ) {
        let mut bus = guest();
        let windows: Vec<_> = bus.windows().collect();
        for (offset, size, value) in accesses {
            let _ = bus.read(offset, size);
            if let ConfigEffect::SetCommand { function, command } = bus.write(offset, size, value) {
                prop_assert_eq!(function, at(1, 0));
                prop_assert_eq!(command & !0x406, 0);
            }
        }
        prop_assert_eq!(bus.windows().collect::<Vec<_>>(), windows);
        prop_assert_eq!(bus.read(DRIVE, 4), 0x0010_1b36);
    }
}

#[test]
fn a_virtio_device_is_known_by_its_vendor() {
    let identity = |device| Identity {
        device,
        class: 0,
        subsystem: 0,
    };
    assert!(identity(0x1042_1af4).bypasses_iommu());
    assert!(!identity(0x0010_1b36).bypasses_iommu());
}
