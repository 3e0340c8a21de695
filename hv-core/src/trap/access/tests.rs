//! Plans; the words are GNU as's.

use std::vec::Vec;

use super::super::Transfer;
use super::*;

mod runs;

extern crate std;

#[derive(Clone, Debug, PartialEq, Eq)]
struct General {
    x: [u64; 31],
    sp: u64,
}

impl GeneralRegisters for General {
    fn read(&self, n: u8) -> u64 {
        self.x.get(usize::from(n)).copied().unwrap_or(0)
    }

    fn write(&mut self, n: u8, value: u64) {
        if let Some(register) = self.x.get_mut(usize::from(n)) {
            *register = value;
        }
    }

    fn read_sp(&self) -> u64 {
        self.sp
    }

    fn write_sp(&mut self, value: u64) {
        self.sp = value;
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Vectors([u128; 32]);

impl VectorRegisters for Vectors {
    fn read(&self, n: u8) -> u128 {
        self.0[usize::from(n)]
    }

    fn write(&mut self, n: u8, value: u128) {
        self.0[usize::from(n)] = value;
    }
}

/// Remembers what it was asked, answers loads with `0x..0201` by address, refuses one address.
#[derive(Default)]
struct Device {
    asked: Vec<(u64, u8, Option<u64>)>,
    refuses: Option<u64>,
}

impl Bus for Device {
    fn load(&mut self, address: u64, bytes: u8) -> Option<u64> {
        assert_eq!(address % u64::from(bytes), 0);
        if self.refuses == Some(address) {
            return None;
        }
        self.asked.push((address, bytes, None));
        Some((0..u64::from(bytes)).fold(0, |value, byte| {
            value | (((address + byte + 1) & 0xff) << (8 * byte))
        }))
    }

    fn store(&mut self, address: u64, bytes: u8, value: u64) -> Option<()> {
        assert_eq!(address % u64::from(bytes), 0);
        if self.refuses == Some(address) {
            return None;
        }
        self.asked.push((address, bytes, Some(value)));
        Some(())
    }
}

const AT: u64 = 0x1000_0000;
const IL: u64 = 1 << 25;
const WNR: u64 = 1 << 6;
const TRANSLATION: u64 = 0b00_0111;

fn guest() -> (General, Vectors) {
    let general = General {
        x: core::array::from_fn(|n| 0x1111_1111_1111_1111_u64.wrapping_mul(n as u64)),
        sp: AT + 0x100,
    };
    (general, Vectors([0; 32]))
}

fn situation(memory: Memory) -> Situation {
    Situation {
        pc: 0x4000,
        memory,
        big_endian: false,
        aarch32: false,
    }
}

fn fault_at(address: u64, write: bool) -> Fault {
    Fault::of(IL | TRANSLATION | if write { WNR } else { 0 }, address)
}

/// The plan for a word that faulted at `address`, on Device memory.
fn planned(word: u32, general: &General, address: u64, write: bool) -> Plan {
    plan(
        &fault_at(address, write),
        Some(word),
        general,
        &situation(Memory::Device),
    )
}

fn run_of(plan: Plan) -> Run {
    match plan {
        Plan::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn cause_of(plan: Plan) -> Cause {
    match plan {
        Plan::Abort(abort) => abort.cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_syndrome_alone_may_hide_an_access_from_the_page_before() {
    let word_at = |address| Fault::of(IL | TRANSLATION | 1 << 24 | 2 << 22, address);
    assert!(word_at(AT + 0x1000).may_straddle());
    assert!(!word_at(AT + 0x1004).may_straddle());
    assert!(!Fault::of(IL | TRANSLATION | 1 << 24, AT).may_straddle());
}

#[test]
fn a_valid_syndrome_needs_no_instruction() {
    let (mut general, mut vectors) = guest();
    // A sign-extending halfword load into w9.
    let esr = IL | TRANSLATION | 1 << 24 | 1 << 22 | 1 << 21 | 9 << 16;
    let fault = Fault::of(esr, AT + 0xfe);
    assert!(!fault.needs_instruction());
    assert_eq!(
        fault.described,
        Some(Transfer {
            bytes: 2,
            register: 9,
            sign_extend: true,
            wide: false
        })
    );
    let plan = plan(&fault, None, &general, &situation(Memory::Device));
    let mut device = Device::default();
    run_of(plan)
        .complete(&mut general, &mut vectors, &mut device)
        .unwrap();
    assert_eq!(device.asked, [(AT + 0xfe, 2, None)]);
    assert_eq!(general.x[9], 0x00ff);
}

#[test]
fn exclusives_and_atomics_are_told_that_they_are_not_supported() {
    let (mut general, _) = guest();
    general.x[1] = AT;
    let words = [
        0x885f_7c20, // ldxr w0, [x1]
        0xc802_fc20, // stlxr w2, x0, [x1]
        0xb8e0_0022, // ldaddal w0, w2, [x1]
        0x4820_7c82, // casp x0, x1, x2, x3, [x4]
    ];
    for word in words {
        let cause = cause_of(planned(word, &general, AT, false));
        assert_eq!(cause.fault_status(), 0x35, "{word:#x}");
    }
}

#[test]
fn ordered_accesses_are_ordinary_ones_that_say_so() {
    let (mut general, _) = guest();
    general.x[2] = AT;
    // ldar x1, [x2] and stlr w1, [x2]
    let load = run_of(planned(0xc8df_fc41, &general, AT, false));
    assert!(load.ordering().acquire);
    let store = run_of(planned(0x889f_fc41, &general, AT, true));
    assert!(store.ordering().release);
}

#[test]
fn zeroing_a_device_is_an_alignment_fault_and_cache_maintenance_nothing() {
    let (general, _) = guest();
    assert_eq!(
        cause_of(planned(0xd50b_7423, &general, AT, true)),
        Cause::Alignment
    );
    let normal = plan(
        &fault_at(AT, true),
        Some(0xd50b_7423),
        &general,
        &situation(Memory::Normal),
    );
    assert_eq!(cause_of(normal), Cause::External);
    let maintenance = Fault::of(IL | TRANSLATION | WNR | 1 << 8, AT);
    assert!(!maintenance.needs_instruction());
    assert_eq!(
        plan(&maintenance, None, &general, &situation(Memory::Normal)),
        Plan::Skip
    );
}

#[test]
fn tables_in_a_device_abort_the_walk() {
    let (general, _) = guest();
    let walk = Fault::of(IL | TRANSLATION | 1 << 7, AT);
    assert!(!walk.needs_instruction());
    let plan = plan(&walk, None, &general, &situation(Memory::Device));
    assert_eq!(cause_of(plan).fault_status(), 0x17);
}

#[test]
fn an_instruction_that_was_changed_after_it_trapped_is_executed_again() {
    let (mut general, _) = guest();
    general.x[1] = AT;
    general.x[4] = AT;
    let again = [
        (0xd503_201f, AT, false),     // nop
        (0xf980_0020, AT, false),     // prfm pldl1keep, [x1]
        (0xf940_0083, AT, true),      // a load, but a store trapped
        (0xf940_0083, AT + 8, false), // a load from elsewhere
        (0xf940_0083, AT - 1, false),
    ];
    for (word, address, write) in again {
        assert_eq!(
            planned(word, &general, address, write),
            Plan::Again,
            "{word:#x}"
        );
    }
    // A tag in the base is no difference.
    general.x[4] = AT | 0xaa << 56;
    run_of(planned(0xf940_0083, &general, AT, false));
}

#[test]
fn the_same_word_trapping_twice_is_no_race() {
    let fault = fault_at(AT, false);
    let mut repeats = Repeats::NONE;
    assert!(!repeats.is_repeated(0x4000, Some(1), &fault));
    assert!(!repeats.is_repeated(0x4000, Some(2), &fault));
    assert!(repeats.is_repeated(0x4000, Some(2), &fault));
    assert!(!repeats.is_repeated(0x4000, Some(2), &fault));
    repeats.forget();
    assert!(!repeats.is_repeated(0x4000, Some(2), &fault));
}

#[test]
fn aarch32_is_carried_out_from_its_syndrome_only() {
    let (general, _) = guest();
    let aarch32 = Situation {
        aarch32: true,
        ..situation(Memory::Device)
    };
    let described = Fault::of(TRANSLATION | 1 << 24 | 2 << 22, AT);
    run_of(plan(&described, Some(0xf940_0083), &general, &aarch32));
    let bare = plan(&fault_at(AT, false), Some(0xf940_0083), &general, &aarch32);
    assert_eq!(cause_of(bare), Cause::External);
}

#[test]
fn memory_types_are_read_from_the_address_translation() {
    assert_eq!(Memory::of_par(0x04 << 56), Some(Memory::Device));
    assert_eq!(Memory::of_par(0), Some(Memory::Device));
    assert_eq!(Memory::of_par(0x44 << 56), Some(Memory::Normal));
    assert_eq!(Memory::of_par(0xff << 56), Some(Memory::Normal));
    assert_eq!(Memory::of_par(0xff << 56 | 1), None);
}

#[test]
fn stepping_clears_what_every_instruction_clears() {
    assert_eq!(stepped(0x1000, 0b11 << 10 | 1 << 21 | 5, true), (0x1004, 5));
    // T32 in an IT block of two: ITSTATE 0b0000_0100 becomes 0b0000_1000, then empty.
    let thumb = 1 << 4 | 1 << 5;
    let (pc, pstate) = stepped(0x1000, thumb | 0b1 << 10, false);
    assert_eq!((pc, pstate), (0x1002, thumb | 0b10 << 10));
    assert_eq!(stepped(pc, pstate, true), (0x1006, thumb));
    // A32 has no IT block.
    assert_eq!(stepped(0x1000, 1 << 4, true), (0x1004, 1 << 4));
}
