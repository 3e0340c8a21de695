extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::frames::test_arena::TestArena;

/// One more format: an attribute of two bits, blocks wherever a table could be.
#[derive(Clone, Copy, Debug)]
struct Tiny;

impl Format for Tiny {
    type Attributes = u8;

    fn table(&self, next: Pa) -> u64 {
        next.get() | 0b11
    }
    fn leaf(&self, output: Pa, attributes: u8, last: bool) -> u64 {
        output.get() | u64::from(attributes & 3) << 2 | if last { 0b11 } else { 0b01 }
    }
    fn decode(&self, word: u64, last: bool) -> Entry<u8> {
        match (word & 0b11, last) {
            (0b11, false) => Entry::Table(Pa::new(word & !0x3fff)),
            (0b11, true) | (0b01, false) => Entry::Leaf {
                output: Pa::new(word & !0x3fff),
                attributes: ((word >> 2) & 3) as u8,
            },
            _ => Entry::Invalid,
        }
    }
    fn allows_block(&self, shift: u32) -> bool {
        shift == 16
    }
}

const PAGE: u64 = 1 << 14;
/// 64 pages: 4 entries per table, three levels.
const TINY: Geometry = match Geometry::new(14, &[2, 2, 2]) {
    Some(geometry) => geometry,
    None => panic!("a geometry"),
};

/// Remembers what was flushed.
#[derive(Default)]
struct Flushes(Vec<(u64, u64)>);

impl Tlb for Flushes {
    fn flush(&mut self, input: u64, bytes: u64) {
        self.0.push((input, bytes));
    }
}

fn run(page: u64, output: u64, pages: u64) -> Run {
    Run {
        input: page * PAGE,
        output: Pa::new(output * PAGE),
        bytes: pages * PAGE,
    }
}

#[test]
fn a_geometry_cuts_addresses_where_the_architecture_does() {
    let smmu = Geometry::new(14, &[2, 11, 11]).unwrap();
    assert_eq!((smmu.shift(0), smmu.shift(1), smmu.shift(2)), (36, 25, 14));
    assert_eq!(
        (smmu.input_bits(), smmu.depth(), smmu.root_order()),
        (38, 3, 0)
    );
    assert_eq!(smmu.index(0, 0x30_0000_0000), 3);
    assert_eq!(smmu.index(1, 0x1_0200_0000), 0x81);
    assert_eq!(smmu.index(2, 0x1_0200_c000), 3);
    assert!(Geometry::new(14, &[16, 11]).is_none());
    assert!(Geometry::new(14, &[15, 12]).is_none());
    assert!(Geometry::new(16, &[2]).is_none());
    assert!(Geometry::new(14, &[]).is_none());
}

#[test]
fn a_run_leads_where_it_should_and_nowhere_else() {
    let arena = TestArena::new(16);
    let table = Table::new(&arena, TINY, Tiny).unwrap();
    table.map(&arena, run(3, 100, 7), 1).unwrap();
    assert_eq!(table.walk(&arena, 2 * PAGE), None);
    let found = table.walk(&arena, 5 * PAGE + 8).unwrap();
    assert_eq!(
        (found.output, found.attributes),
        (Pa::new(102 * PAGE + 8), 1)
    );
    assert_eq!(table.walk(&arena, 10 * PAGE), None);
    assert_eq!(table.walk(&arena, 64 * PAGE), None);
    table.free_all(&arena, |_| {});
    assert_eq!(arena.out(), 0);
}

#[test]
fn an_aligned_run_becomes_a_block_and_a_cut_splits_it() {
    let arena = TestArena::new(16);
    let mut tlb = Flushes::default();
    let table = Table::new(&arena, TINY, Tiny).unwrap();
    table.map(&arena, run(4, 100, 4), 1).unwrap();
    assert_eq!(table.walk(&arena, 5 * PAGE).unwrap().shift, 16);
    assert_eq!(table.clear(&arena, 5 * PAGE, PAGE), Err(EditError::Block));
    table.unmap(&arena, &mut tlb, 5 * PAGE, PAGE).unwrap();
    // Broken, then made: the whole block was flushed in between, then the page that went.
    assert_eq!(tlb.0, [(4 * PAGE, 4 * PAGE), (5 * PAGE, PAGE)]);
    assert_eq!(table.walk(&arena, 5 * PAGE), None);
    let kept = table.walk(&arena, 6 * PAGE).unwrap();
    assert_eq!((kept.output, kept.shift), (Pa::new(102 * PAGE), 14));
    table.free_all(&arena, |_| {});
    assert_eq!(arena.out(), 0);
}

#[test]
fn permissions_of_part_of_a_block_change_alone() {
    let arena = TestArena::new(16);
    let mut tlb = Flushes::default();
    let table = Table::new(&arena, TINY, Tiny).unwrap();
    table.map(&arena, run(4, 100, 8), 1).unwrap();
    table
        .protect(&arena, &mut tlb, 7 * PAGE, 2 * PAGE, |_| 2)
        .unwrap();
    let attributes: Vec<_> = (4..12)
        .map(|page| table.walk(&arena, page * PAGE).unwrap().attributes)
        .collect();
    assert_eq!(attributes, [1, 1, 1, 2, 2, 1, 1, 1]);
    assert_eq!(tlb.0.last(), Some(&(7 * PAGE, 2 * PAGE)));
    table.free_all(&arena, |_| {});
}

#[test]
fn nothing_is_mapped_over_what_is_mapped_or_not_swept() {
    let arena = TestArena::new(16);
    let table = Table::new(&arena, TINY, Tiny).unwrap();
    table.map(&arena, run(2, 100, 1), 1).unwrap();
    let over = run(1, 200, 3);
    assert_eq!(
        table.map(&arena, over, 1),
        Err(MapError::Occupied { mapped: PAGE })
    );
    assert_eq!(table.clear(&arena, 2 * PAGE, PAGE), Ok(1));
    assert_eq!(table.walk(&arena, 2 * PAGE), None);
    assert_eq!(
        table.map(&arena, run(2, 200, 1), 1),
        Err(MapError::Occupied { mapped: 0 }),
        "a tombstone keeps its place"
    );
    let mut released = Vec::new();
    table
        .sweep(&arena, 2 * PAGE, PAGE, |gone| released.push(gone))
        .unwrap();
    let leaf = Leaf {
        input: 2 * PAGE,
        output: Pa::new(100 * PAGE),
        attributes: 1,
        shift: 14,
    };
    assert_eq!(released, [Swept::Leaf(leaf)]);
    table.map(&arena, run(2, 200, 1), 1).unwrap();
    table.free_all(&arena, |_| {});
}

#[test]
fn a_detached_table_is_freed_with_all_its_leaves_when_it_is_swept() {
    let arena = TestArena::new(16);
    let table = Table::new(&arena, TINY, Tiny).unwrap();
    table.map(&arena, run(0, 100, 3), 1).unwrap();
    table.map(&arena, run(20, 200, 1), 1).unwrap();
    let before = arena.out();
    assert!(!table.detach(&arena, 40 * PAGE, 1), "there is none");
    assert!(table.detach(&arena, 0, 2));
    assert_eq!(table.walk(&arena, 0), None);
    assert_eq!(arena.out(), before, "freed only by the sweep");
    let mut leaves = 0;
    let count = |gone| leaves += u32::from(matches!(gone, Swept::Leaf(_)));
    table.sweep(&arena, 0, 4 * PAGE, count).unwrap();
    assert_eq!((leaves, before - arena.out()), (3, 1));
    assert!(table.walk(&arena, 20 * PAGE).is_some());
    table.free_all(&arena, |_| {});
    assert_eq!(arena.out(), 0);
}

#[test]
fn a_run_that_is_odd_or_too_far_is_refused() {
    let arena = TestArena::new(16);
    let table = Table::new(&arena, TINY, Tiny).unwrap();
    for bad in [
        Run {
            input: 1,
            output: Pa::new(0),
            bytes: PAGE,
        },
        Run {
            input: 0,
            output: Pa::new(1),
            bytes: PAGE,
        },
        Run {
            input: 0,
            output: Pa::new(0),
            bytes: 1,
        },
        run(63, 0, 2),
        Run {
            input: u64::MAX - PAGE + 1,
            output: Pa::new(0),
            bytes: PAGE,
        },
        Run {
            input: 0,
            output: Pa::new(u64::MAX - PAGE + 1),
            bytes: 2 * PAGE,
        },
    ] {
        assert_eq!(table.map(&arena, bad, 0), Err(MapError::BadRun), "{bad:?}");
    }
    table.free_all(&arena, |_| {});
}

#[test]
fn concatenated_root_tables_lie_in_contiguous_frames() {
    let arena = TestArena::new(32);
    let geometry = Geometry::new(14, &[15, 11]).unwrap();
    let table = Table::new(&arena, geometry, Tiny).unwrap();
    assert_eq!(arena.out(), 16);
    let input = 0xff_ffff_c000;
    table
        .map(
            &arena,
            Run {
                input,
                output: Pa::new(PAGE),
                bytes: PAGE,
            },
            0,
        )
        .unwrap();
    assert_eq!(table.walk(&arena, input).unwrap().output, Pa::new(PAGE));
    let last = Frame::from_number(table.root().number() + 15);
    assert_ne!(arena.load(last, 2047), 0);
    table.free_all(&arena, |_| {});
    assert_eq!(arena.out(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Map(u64, u64, u64, u8),
    Unmap(u64, u64),
    Protect(u64, u64, u8),
    Dry(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let stretch = || (0..64_u64).prop_flat_map(|at| (Just(at), 1..=(64 - at).min(12)));
    prop_oneof![
        4 => (stretch(), 0..32_u64, 0..4_u8)
            .prop_map(|((at, pages), output, a)| Step::Map(at, output * 4 + at % 4, pages, a)),
        2 => stretch().prop_map(|(at, pages)| Step::Unmap(at, pages)),
        1 => (stretch(), 0..4_u8).prop_map(|((at, pages), a)| Step::Protect(at, pages, a)),
        1 => (0..4_usize).prop_map(Step::Dry),
    ]
}

proptest! {
    #[test]
    fn any_sequence_of_edits_agrees_with_a_map_of_pages(steps in prop::collection::vec(step(), 1..40)) {
        let arena = TestArena::new(64);
        let mut tlb = Flushes::default();
        let table = Table::new(&arena, TINY, Tiny).unwrap();
        let mut model: BTreeMap<u64, (u64, u8)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Map(at, output, pages, attributes) => {
                    let free = (at..at + pages).take_while(|page| !model.contains_key(page)).count();
                    let free = free as u64;
                    let mapped = match table.map(&arena, run(at, output, pages), attributes) {
                        Ok(()) => pages,
                        Err(MapError::Occupied { mapped }) => {
                            prop_assert_eq!(mapped / PAGE, free);
                            free
                        }
                        Err(MapError::NoFrames { mapped }) => mapped / PAGE,
                        Err(MapError::BadRun) => return Err(TestCaseError::fail("bad run")),
                    };
                    prop_assert!(mapped <= free);
                    for page in 0..mapped {
                        model.insert(at + page, (output + page, attributes));
                    }
                }
                Step::Unmap(at, pages) => {
                    if table.unmap(&arena, &mut tlb, at * PAGE, pages * PAGE).is_ok() {
                        model.retain(|page, _| !(at..at + pages).contains(page));
                    }
                }
                Step::Protect(at, pages, new) => {
                    let done = table.protect(&arena, &mut tlb, at * PAGE, pages * PAGE, |_| new);
                    if done.is_ok() {
                        for (_, (_, attributes)) in model.range_mut(at..at + pages) {
                            *attributes = new;
                        }
                    }
                }
                Step::Dry(left) => arena.fail_after(if left == 3 { None } else { Some(left) }),
            }
            for page in 0..64 {
                let walked = table.walk(&arena, page * PAGE)
                    .map(|found| (found.output.get() / PAGE, found.attributes));
                prop_assert_eq!(walked, model.get(&page).copied(), "page {}", page);
            }
            let mut pages = 0;
            table.for_each_leaf(&arena, |leaf| pages += 1_usize << (leaf.shift - 14));
            prop_assert_eq!(pages, model.len());
        }
        table.free_all(&arena, |_| {});
        prop_assert_eq!(arena.out(), 0);
    }
}

/// Looks, at each flush, whether the first address flushed leads anywhere at that moment.
struct Watch<'a>(&'a TestArena, &'a Table<Tiny>, Vec<bool>);

impl Tlb for Watch<'_> {
    fn flush(&mut self, input: u64, _bytes: u64) {
        self.2.push(self.1.walk(self.0, input).is_some());
    }
}

#[test]
fn a_block_is_broken_before_it_is_made_anew_in_pages() {
    let arena = TestArena::new(16);
    let table = Table::new(&arena, TINY, Tiny).unwrap();
    table.map(&arena, run(4, 100, 4), 1).unwrap();
    let mut watch = Watch(&arena, &table, Vec::new());
    table
        .protect(&arena, &mut watch, 5 * PAGE, PAGE, |_| 2)
        .unwrap();
    // Nothing there while the block is flushed; the page with its new rights at the end.
    assert_eq!(watch.2, [false, true]);
    watch.2.clear();
    table.unmap(&arena, &mut watch, 5 * PAGE, PAGE).unwrap();
    assert_eq!(watch.2, [false]);
    table.free_all(&arena, |_| {});
}
