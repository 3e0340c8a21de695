//! What the generated table (`tests/decode`) does not say; the words are GNU as's.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_no_load_or_store_does_not_decode() {
    let nop_and_others = [
        0xd503_201f, // nop
        0xd50b_7a23, // dc cvac, x3: told by the syndrome
        0x9100_0000, // add
        0x1400_0000, // b
        0xa400_0000, // SVE's ld1rqb: trapped by CPTR_EL2
        0x0000_0000,
        0xffff_ffff,
    ];
    for word in nop_and_others {
        assert_eq!(decode(word), None, "{word:#x}");
    }
}

#[test]
fn the_zeroing_of_a_block_is_told_from_that_of_its_tags() {
    let operation = |word| decode(word).unwrap().operation;
    assert_eq!(operation(0xd50b_7423), Operation::ZeroBlock);
    let tags = Operation::Unsupported(Unsupported::MemoryTags);
    assert_eq!(operation(0xd50b_7463), tags);
    assert_eq!(operation(0xd50b_7483), tags);
}

#[test]
fn a_pair_that_loads_one_register_twice_decodes() {
    // ldp x1, x1, [x2] and ldpsw x1, x1, [x2]
    assert_eq!(
        decode(0xa940_0441).unwrap().registers,
        Registers::GeneralPair(1, 1)
    );
    assert_eq!(
        decode(0x6940_0441).unwrap().registers,
        Registers::GeneralPair(1, 1)
    );
}

#[test]
fn sixty_four_bytes_come_from_eight_registers_that_exist() {
    let ld64b = |register: u32| decode(0xf83f_d020 | register).is_some();
    assert!(ld64b(0) && ld64b(22));
    assert!(!ld64b(1) && !ld64b(24) && !ld64b(31));
}

#[test]
fn fields_that_should_be_one_are_not_looked_at_in_exclusives() {
    // ldxr w0, [x1], stlr w1, [x2]
    assert_eq!(decode(0x885f_7c20), decode(0x8840_0020));
    assert_eq!(decode(0x889f_fc41), decode(0x8880_8041));
}

#[test]
fn a_valid_syndrome_is_an_access_like_any_other() {
    let transfer = crate::trap::Transfer {
        bytes: 2,
        register: 5,
        sign_extend: true,
        wide: false,
    };
    let load = MemoryAccess::described(transfer, false, true);
    assert_eq!(load.registers, Registers::General(5));
    assert!(load.ordering.acquire && !load.ordering.release);
    assert_eq!(
        load.operation,
        Operation::Load {
            sign_extend: true,
            wide: false
        }
    );
    assert_eq!(
        MemoryAccess::described(transfer, true, false).operation,
        Operation::Store
    );
}

/// Words of the load/store group half of the time: most others do not decode.
fn any_word() -> impl Strategy<Value = u32> {
    (any::<u32>(), any::<bool>()).prop_map(|(word, group)| {
        if group {
            word & !(1 << 25) | 1 << 27
        } else {
            word
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn whatever_decodes_is_within_its_bounds(word in any_word()) {
        let Some(access) = decode(word) else { return Ok(()) };
        let moves = matches!(
            access.operation,
            Operation::Load { .. } | Operation::Store
        );
        prop_assert!(!moves || matches!(access.bytes, 1 | 2 | 4 | 8 | 16));
        prop_assert!(!moves || access.length() >= 1);
        // No saturation has hidden a longer one.
        prop_assert!(access.length() <= 64);
        prop_assert!(u16::from(access.bytes) * u16::from(access.elements()) <= 64);
        match access.registers {
            Registers::None => {}
            Registers::General(n) | Registers::Vector(n) => prop_assert!(n < 32),
            Registers::GeneralPair(n, m) | Registers::VectorPair(n, m) => {
                prop_assert!(n < 32 && m < 32);
            }
            Registers::Structure(Structure { first, count, layout }) => {
                prop_assert!(first < 32 && (1..=4).contains(&count));
                let lanes = match layout {
                    Layout::Whole { lanes } | Layout::Interleaved { lanes } => lanes,
                    Layout::Lane(lane) => lane + 1,
                    Layout::Replicated { lanes } => lanes,
                };
                prop_assert!(lanes >= 1 && lanes * access.bytes <= 16);
            }
        }
        if let Offset::Register { register, shift, .. } = access.address.offset {
            prop_assert!(register < 32 && shift <= 4);
        }
    }
}
