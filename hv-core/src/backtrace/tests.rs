extern crate std;

use std::collections::HashMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const STACK: Stack = Stack {
    bottom: 0x1000,
    top: 0x2000,
};

/// Walks a chain of `(address, caller, return address)` records.
fn walk(from: u64, records: &[(u64, u64, u64)]) -> (Vec<u64>, Option<End>) {
    let mut words = HashMap::new();
    for (at, caller, address) in records {
        words.insert(*at, *caller);
        words.insert(at + 8, *address);
    }
    let mut walk = Backtrace::new(from, [STACK], |at| words.get(&at).copied());
    let found = walk.by_ref().collect();
    (found, walk.end())
}

#[test]
fn a_chain_is_followed_to_its_end() {
    let records = [
        (0x1100, 0x1200, 0xa),
        (0x1200, 0x1ff0, 0xb),
        (0x1ff0, 0, 0xc),
    ];
    let (found, end) = walk(0x1100, &records);
    assert_eq!(found, [0xa, 0xb, 0xc]);
    assert_eq!(end, Some(End::Complete));
}

#[test]
fn a_damaged_pointer_ends_the_walk_before_it_is_read() {
    for (caller, why) in [
        (0x1204, End::Unaligned),
        (0x0ff8, End::Outside),
        (0x1ff8, End::Outside), // its second word is past the top
        (!7, End::Outside),
        (0x1100, End::Downwards),
        (0x1108, End::Downwards),
        (0x1080, End::Downwards),
        (0x1300, End::Unreadable),
    ] {
        let (found, end) = walk(0x1100, &[(0x1100, caller, 0xa)]);
        assert_eq!(found, [0xa], "{caller:#x}");
        assert_eq!(end, Some(why), "{caller:#x}");
    }
}

#[test]
fn a_walk_stays_in_the_stack_it_began_in() {
    let other = Stack {
        bottom: 0x8000,
        top: 0x9000,
    };
    let mut walk = Backtrace::new(0x1100, [other, STACK], |at| {
        Some(if at == 0x1100 { 0x8100 } else { 0xa })
    });
    assert_eq!(walk.by_ref().count(), 1);
    assert_eq!(walk.end(), Some(End::Outside));
}

#[test]
fn a_long_chain_is_cut() {
    let huge = Stack {
        bottom: 0x1000,
        top: 1 << 40,
    };
    let mut walk = Backtrace::new(0x1000, [huge], |at| Some(at + 16));
    assert_eq!(walk.by_ref().count(), MOST_RECORDS);
    assert_eq!(walk.end(), Some(End::TooMany));
}

proptest! {
    #[test]
    fn no_memory_makes_a_walk_endless_or_leave_its_stack(
        from in prop_oneof![any::<u64>(), (0x1000_u64 / 8..0x2000 / 8).prop_map(|n| n * 8)],
        words in proptest::collection::vec(
            prop_oneof![any::<u64>(), 0xff0_u64..0x2010, (0x1000_u64 / 8..0x2000 / 8).prop_map(|n| n * 8)],
            512,
        ),
    ) {
        // Records of 16 bytes that do not overlap.
        const MOST: usize = 0x1000 / 16;
        let mut reads = 0;
        let mut walk = Backtrace::new(from, [STACK], |at: u64| {
            reads += 1;
            assert!(at.is_multiple_of(8) && (STACK.bottom..STACK.top).contains(&at), "read at {at:#x}");
            words.get(usize::try_from((at - STACK.bottom) / 8).unwrap()).copied()
        });
        prop_assert!(walk.by_ref().count() <= MOST);
        prop_assert!(walk.end().is_some());
        prop_assert!(walk.next().is_none());
        prop_assert!(reads <= 2 * MOST);
    }
}
