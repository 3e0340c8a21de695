//! Runs over a device of bytes. What each form does to registers and memory is compared with a processor in
//! `tests/decode`.

use proptest::prelude::*;

use super::*;
use crate::addr::Ipa;
use crate::trap::instruction;

#[test]
fn a_pair_is_two_loads_the_lower_first() {
    let (mut general, mut vectors) = guest();
    general.x[2] = AT;
    // ldp w0, w1, [x2, #8]
    let run = run_of(planned(0x2941_0440, &general, AT + 8, false));
    let mut device = Device::default();
    run.complete(&mut general, &mut vectors, &mut device)
        .unwrap();
    assert_eq!(device.asked, [(AT + 8, 4, None), (AT + 12, 4, None)]);
    assert_eq!((general.x[0], general.x[1]), (0x0c0b_0a09, 0x100f_0e0d));
}

#[test]
fn a_pushed_pair_moves_the_stack_pointer() {
    let (mut general, mut vectors) = guest();
    // stp x0, x1, [sp, #-16]!
    let run = run_of(planned(0xa9bf_07e0, &general, AT + 0xf0, true));
    let mut device = Device::default();
    run.complete(&mut general, &mut vectors, &mut device)
        .unwrap();
    assert_eq!(general.sp, AT + 0xf0);
    assert_eq!(
        device.asked,
        [
            (AT + 0xf0, 8, Some(0)),
            (AT + 0xf8, 8, Some(0x1111_1111_1111_1111))
        ]
    );
}

#[test]
fn nothing_changes_in_the_guest_when_the_second_half_is_refused() {
    let (mut general, mut vectors) = guest();
    general.x[2] = AT;
    // ldpsw x0, x1, [x2], #8
    let run = run_of(planned(0x68c1_0440, &general, AT, false));
    let before = general.clone();
    let mut device = Device {
        refuses: Some(AT + 4),
        ..Device::default()
    };
    let abort = run
        .complete(&mut general, &mut vectors, &mut device)
        .unwrap_err();
    assert_eq!(
        abort,
        Abort {
            cause: Cause::External,
            address: AT + 4,
            write: false
        }
    );
    assert_eq!(general, before);
    assert_eq!(device.asked, [(AT, 4, None)]);
}

#[test]
fn sixteen_bytes_are_two_device_accesses() {
    let (mut general, mut vectors) = guest();
    general.x[1] = AT;
    // ldr q7, [x1]
    let run = run_of(planned(0x3dc0_0027, &general, AT, false));
    let mut device = Device::default();
    run.complete(&mut general, &mut vectors, &mut device)
        .unwrap();
    assert_eq!(device.asked, [(AT, 8, None), (AT + 8, 8, None)]);
    assert_eq!(vectors.0[7], 0x100f_0e0d_0c0b_0a09_0807_0605_0403_0201);
}

#[test]
fn structures_interleave_and_wrap_round_the_register_file() {
    let (mut general, mut vectors) = guest();
    general.x[1] = AT;
    vectors.0[30] = u128::MAX;
    // ld2 {v30.8b, v31.8b}, [x1], #16
    let run = run_of(planned(0x0cdf_803e, &general, AT, false));
    run.complete(&mut general, &mut vectors, &mut Device::default())
        .unwrap();
    assert_eq!(vectors.0[30], 0x0f0d_0b09_0705_0301);
    assert_eq!(vectors.0[31], 0x100e_0c0a_0806_0402);
    assert_eq!(general.x[1], AT + 16);

    // st3 {v31.h, v0.h, v1.h}[5], [x1], x2
    general.x[1] = AT;
    for (register, value) in [(31, 0xaaaa), (0, 0xbbbb), (1, 0xcccc)] {
        vectors.0[register] = value << 80;
    }
    let run = run_of(planned(0x4d82_683f, &general, AT, true));
    let mut device = Device::default();
    run.complete(&mut general, &mut vectors, &mut device)
        .unwrap();
    assert_eq!(
        device.asked,
        [
            (AT, 2, Some(0xaaaa)),
            (AT + 2, 2, Some(0xbbbb)),
            (AT + 4, 2, Some(0xcccc))
        ]
    );
    assert_eq!(general.x[1], AT.wrapping_add(0x2222_2222_2222_2222));
}

#[test]
fn what_is_not_aligned_is_an_alignment_fault_on_device_memory_and_cut_up_on_normal() {
    let (mut general, mut vectors) = guest();
    general.x[4] = AT + 1;
    let word = 0xf940_0083; // ldr x3, [x4]
    assert_eq!(
        cause_of(planned(word, &general, AT + 1, false)),
        Cause::Alignment
    );
    let plan = plan(
        &fault_at(AT + 1, false),
        Some(word),
        &general,
        &situation(Memory::Normal),
    );
    let mut device = Device::default();
    run_of(plan)
        .complete(&mut general, &mut vectors, &mut device)
        .unwrap();
    assert_eq!(
        device.asked,
        [
            (AT + 1, 1, None),
            (AT + 2, 2, None),
            (AT + 4, 4, None),
            (AT + 8, 1, None)
        ]
    );
    assert_eq!(general.x[3], 0x0908_0706_0504_0302);
}

#[test]
fn an_access_from_the_page_before_begins_there() {
    let (mut general, mut vectors) = guest();
    general.x[4] = AT + 0xffd;
    let fault = fault_at(AT + 0x1000, false);
    // ldr w3, [x4]
    let plan = plan(
        &fault,
        Some(0xb940_0083),
        &general,
        &situation(Memory::Normal),
    );
    let run = run_of(plan);
    assert_eq!(run.address(), AT + 0xffd);
    let mut device = Device::default();
    run.complete(&mut general, &mut vectors, &mut device)
        .unwrap();
    assert_eq!(
        device.asked,
        [
            (AT + 0xffd, 1, None),
            (AT + 0xffe, 2, None),
            (AT + 0x1000, 1, None)
        ]
    );
    // Only what is on the page of the fault has an address that the fault tells.
    let ipa = Ipa::new(0x2000_0000);
    assert_eq!(fault.ipa_of(AT + 0xffd, ipa), None);
    assert_eq!(fault.ipa_of(AT + 0x1004, ipa), Some(Ipa::new(0x2000_0004)));
}

#[test]
fn a_literal_is_counted_from_its_instruction() {
    let (general, _) = guest();
    // ldr x1, . + 8
    let run = run_of(planned(0x5800_0041, &general, 0x4008, false));
    assert_eq!(run.address(), 0x4008);
}

#[test]
fn a_signed_pointer_is_taken_from_where_it_led() {
    let (mut general, mut vectors) = guest();
    general.x[2] = 0xdead_0000_1000_0000;
    // ldraa x1, [x2, #8]!
    let run = run_of(planned(0xf820_1c41, &general, AT + 8, false));
    run.complete(&mut general, &mut vectors, &mut Device::default())
        .unwrap();
    assert_eq!(general.x[1], 0x100f_0e0d_0c0b_0a09);
    assert_eq!(general.x[2], AT + 8);
}

#[test]
fn a_big_endian_guest_has_each_element_reversed() {
    let (mut general, mut vectors) = guest();
    general.x[2] = AT;
    let big = Situation {
        big_endian: true,
        ..situation(Memory::Device)
    };
    // ldp w0, w1, [x2, #8]
    let plan = plan(&fault_at(AT + 8, false), Some(0x2941_0440), &general, &big);
    run_of(plan)
        .complete(&mut general, &mut vectors, &mut Device::default())
        .unwrap();
    assert_eq!((general.x[0], general.x[1]), (0x090a_0b0c, 0x0d0e_0f10));

    // str w0, [x5, #16]!
    general.x[5] = AT;
    let plan = super::plan(&fault_at(AT + 16, true), Some(0xb801_0ca0), &general, &big);
    let mut device = Device::default();
    run_of(plan)
        .complete(&mut general, &mut vectors, &mut device)
        .unwrap();
    assert_eq!(device.asked, [(AT + 16, 4, Some(0x0c0b_0a09))]);
}

/// A device that checks what it is asked.
struct Strict {
    next: u64,
    pieces: usize,
}

impl Strict {
    fn check(&mut self, address: u64, bytes: u8) {
        assert_eq!(address, self.next);
        assert!(matches!(bytes, 1 | 2 | 4 | 8));
        assert_eq!(address % u64::from(bytes), 0);
        self.next = self.next.wrapping_add(bytes.into());
        self.pieces += 1;
    }
}

impl Bus for Strict {
    fn load(&mut self, address: u64, bytes: u8) -> Option<u64> {
        self.check(address, bytes);
        Some(u64::MAX)
    }

    fn store(&mut self, address: u64, bytes: u8, value: u64) -> Option<()> {
        self.check(address, bytes);
        assert!(bytes == 8 || value >> (u32::from(bytes) * 8) == 0);
        Some(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn pieces_are_aligned_and_cover_the_access_without_gap(
        word in any::<u32>(),
        base in any::<u64>(),
        normal in any::<bool>(),
        big_endian in any::<bool>(),
    ) {
        let word = word & !(1 << 25) | 1 << 27;
        let Some(access) = instruction::decode(word) else { return Ok(()) };
        let (mut general, mut vectors) = guest();
        general.x = [base; 31];
        general.sp = base;
        vectors.0 = [u128::MAX; 32];
        let write = access.operation == Operation::Store;
        // Where it faults is where it begins.
        let there = Situation {
            memory: if normal { Memory::Normal } else { Memory::Device },
            big_endian,
            ..situation(Memory::Normal)
        };
        let start = Run::new(access, &fault_at(base, write), &general, &there).address();
        let Plan::Run(run) = plan(&fault_at(start, write), Some(word), &general, &there) else {
            return Ok(());
        };
        let mut device = Strict { next: start, pieces: 0 };
        prop_assert!(run.complete(&mut general, &mut vectors, &mut device).is_ok());
        prop_assert_eq!(device.next, start.wrapping_add(access.length().into()));
        prop_assert!(device.pieces <= MAX_PIECES);
    }
}
