extern crate std;

use std::collections::HashSet;

use proptest::prelude::*;

use super::control::BASE;
use super::*;

fn id(crm: u8, op2: u8) -> Encoding {
    Encoding(3, 0, 0, crm, op2)
}

/// What a guest sees of `register` on a machine all of whose ID registers have this value.
fn seen(register: Encoding, host: u64) -> u64 {
    shown(register, |_| host)
}

fn fields() -> impl Iterator<Item = (&'static IdRegister, &'static Field)> {
    TABLE
        .iter()
        .flat_map(|register| register.fields.iter().map(move |field| (register, field)))
}

#[test]
fn every_field_lies_apart_and_says_why() {
    let mut names = HashSet::new();
    for register in TABLE {
        assert!(names.insert(register.name));
        assert_eq!(
            names.len(),
            TABLE
                .iter()
                .position(|it| it.name == register.name)
                .unwrap()
                + 1
        );
        let mut covered = 0;
        let mut below = u64::MAX;
        for field in register.fields {
            assert!(!field.why.is_empty(), "{} {}", register.name, field.name);
            assert_eq!(
                covered & field.mask(),
                0,
                "{} {}",
                register.name,
                field.name
            );
            assert!(
                field.mask() <= below,
                "{} {} is out of order",
                register.name,
                field.name
            );
            covered |= field.mask();
            below = field.mask();
        }
    }
    let encodings: HashSet<_> = TABLE
        .iter()
        .map(|row| (row.encoding.3, row.encoding.4))
        .collect();
    assert_eq!(encodings.len(), TABLE.len(), "a register has two entries");
}

#[test]
fn what_is_hidden_has_something_that_makes_it_true() {
    for (register, field) in fields() {
        if field.decision == Decision::Hide {
            assert!(
                !field.controls.is_empty(),
                "{} {}",
                register.name,
                field.name
            );
        }
    }
}

#[test]
fn every_row_finds_its_controls_in_what_is_written() {
    let named = fields().flat_map(|(_, field)| field.controls).chain(BASE);
    for control in named {
        if let Control::Bits {
            name,
            register,
            mask,
            set,
        } = *control
        {
            let wanted = if set { mask } else { 0 };
            assert_eq!(CONTROLS.get(register) & mask, wanted, "{name}");
            assert_ne!(mask, 0, "{name}");
        }
    }
}

#[test]
fn a_control_has_one_place_and_one_direction() {
    let mut seen: std::vec::Vec<(&str, TrapRegister, u64, bool)> = std::vec::Vec::new();
    for control in fields().flat_map(|(_, field)| field.controls).chain(BASE) {
        if let Control::Bits {
            name,
            register,
            mask,
            set,
        } = *control
        {
            for &(other, of, bits, direction) in &seen {
                if of == register && bits & mask != 0 {
                    assert_eq!((other, bits, direction), (name, mask, set));
                }
            }
            seen.push((name, register, mask, set));
        }
    }
}

#[test]
fn the_registers_that_a_guest_runs_with() {
    // By hand from the Arm ARM, so that a slip in the table shows.
    assert_eq!(CONTROLS.get(TrapRegister::Hcr), {
        let (vm, swio, tid1, tid3, tsc, tidcp, tacr) =
            (1, 2, 1 << 16, 1 << 18, 1 << 19, 1 << 20, 1 << 21);
        let (rw, e2h, tlor, terr, apk, api, tid5) = (
            1 << 31,
            1 << 34,
            1 << 35,
            1 << 36,
            1 << 40,
            1 << 41,
            1 << 58,
        );
        vm | swio | tid1 | tid3 | tsc | tidcp | tacr | rw | e2h | tlor | terr | apk | api | tid5
    });
    assert_eq!(
        CONTROLS.get(TrapRegister::Cptr),
        0b11 << 20 | 1 << 28 | 1 << 30
    );
    assert_eq!(
        CONTROLS.get(TrapRegister::Mdcr),
        1 << 5 | 1 << 6 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 19
    );
    assert_eq!(CONTROLS.get(TrapRegister::Hcrx), 1 << 6);
    assert_eq!(
        CONTROLS.get(TrapRegister::Mpam2),
        1 << 48 | 1 << 49 | 1 << 58
    );
    assert_eq!(CONTROLS.get(TrapRegister::Hfgitr), 1 << 62);
    for register in [
        TrapRegister::Hfgrtr,
        TrapRegister::Hfgwtr,
        TrapRegister::Hdfgrtr,
        TrapRegister::Hdfgwtr,
        TrapRegister::Hfgrtr2,
        TrapRegister::Hfgwtr2,
        TrapRegister::Hfgitr2,
        TrapRegister::Hdfgrtr2,
        TrapRegister::Hdfgwtr2,
    ] {
        assert_eq!(
            CONTROLS.get(register),
            0,
            "{register:?}: all its traps are of the kind that a clear bit sets"
        );
    }
}

#[test]
fn a_register_that_nobody_knows_reads_as_zero() {
    for crm in 0..16 {
        for op2 in 0..8 {
            if TABLE.iter().all(|row| row.encoding != id(crm, op2)) {
                assert_eq!(seen(id(crm, op2), u64::MAX), 0);
            }
        }
    }
    assert_eq!(seen(id(4, 3), u64::MAX), 0);
    assert_eq!(seen(id(5, 2), u64::MAX), 0, "ID_AA64DFR2_EL1");
    assert_eq!(seen(id(5, 4), u64::MAX), 0, "ID_AA64AFR0_EL1");
    assert_eq!(seen(id(1, 3), 2), 0, "ID_AFR0_EL1");
}

#[test]
fn sve_and_the_exception_levels_above_are_not_shown() {
    assert_eq!(seen(id(4, 0), 0x1201_1111_2311_2222), 0x1101_0000_0111_0012);
}

#[test]
fn no_floating_point_stays_no_floating_point() {
    // -1 is less than 0: neither FP nor AdvSIMD.
    assert_eq!(seen(id(4, 0), 0x00ff_0011), 0x00ff_0011);
    // 0: both, without half precision.
    assert_eq!(seen(id(4, 0), 0x0000_0011), 0x0000_0011);
}

#[test]
fn the_double_lock_is_absent_by_all_ones() {
    assert_eq!(seen(id(5, 0), 0x6), 0xf << 36 | 6);
    assert_eq!(seen(id(5, 0), 0xf << 36 | 6), 0xf << 36 | 6);
}

#[test]
fn granules_of_52_bits_are_shown_as_granules() {
    let lpa2 = 0x1020_1026;
    assert_eq!(seen(id(7, 0), lpa2) & 0xfff0_000f, 0x10_0002);
    // TGran4 absent (0xf), TGran64 absent (0xf).
    assert_eq!(seen(id(7, 0), 0xff00_0000), 0xff00_0000);
}

#[test]
fn a_core_without_aarch32_shows_none() {
    let host = |el0: u64| {
        move |register: Encoding| {
            if register == id(4, 0) {
                0x10 | el0
            } else {
                0x1111_1111
            }
        }
    };
    for row in TABLE.iter().filter(|row| row.is_aarch32()) {
        assert_eq!(shown(row.encoding, host(1)), 0, "{}", row.name);
    }
    assert_eq!(
        shown(id(1, 2), host(2)),
        1,
        "ID_DFR0_EL1: the debug version alone"
    );
    assert_eq!(shown(id(3, 0), host(2)), 0x1111_1111);
}

#[test]
fn the_performance_monitors_are_absent_in_both_states() {
    assert_eq!(seen(id(1, 2), 0x0f00_0002) >> 24 & 0xf, 0);
    assert_eq!(seen(id(5, 0), 0xf << 8) >> 8 & 0xf, 0);
}

proptest! {
    /// Whatever the machine is, a guest sees of a field what the table says of it, and nothing outside of fields.
    #[test]
    fn a_guest_sees_no_more_than_the_table_says(value: u64) {
        for register in TABLE {
            // AArch32 at EL0, or the registers of it are all zero.
            let guest = shown(register.encoding, |it| if it == id(4, 0) && it != register.encoding { 2 } else { value });
            let mut covered = 0;
            for field in register.fields {
                covered |= field.mask();
                let (host, got) = ((value & field.mask()) >> field.low, (guest & field.mask()) >> field.low);
                match field.decision {
                    Decision::Show => prop_assert_eq!(got, host),
                    Decision::Hide => prop_assert_eq!(got, field.absent),
                    Decision::UpTo(most) => {
                        prop_assert!(got == host || got == most as u64);
                        let negative = field.signed && got & 8 != 0;
                        prop_assert!(negative || got <= most as u64);
                        prop_assert_eq!(negative, field.signed && host & 8 != 0);
                    }
                }
            }
            prop_assert_eq!(guest & !covered, 0);
        }
    }

    /// Hiding does not depend on the machine: a hidden field carries not one bit of it.
    #[test]
    fn a_hidden_field_is_the_same_on_every_machine(one: u64, other: u64) {
        for (register, field) in fields().filter(|(_, field)| field.decision == Decision::Hide) {
            if !register.is_aarch32() {
                let mask = field.mask();
                prop_assert_eq!(seen(register.encoding, one) & mask, seen(register.encoding, other) & mask);
            }
        }
    }
}
