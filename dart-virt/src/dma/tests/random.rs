//! Any sequence of table edits and register writes agrees with a naive reading of the tables.

extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use hv_core::Frame;
use hv_core::layout::V2M_BASE;
use proptest::prelude::*;

use crate::dma::Settings;
use crate::iommu::HostStream;
use crate::seams::GuestMemory;
use crate::space::Widening;
use crate::testing::*;

/// Pages that serve as tables: two roots, four tables of leaves.
const ROOTS: u64 = 10;
const TABLES: u64 = 12;
const OTHER: HostStream = HostStream(0x20);
/// Entries in use per table, so that edits meet.
const WIDTH: u64 = 6;

#[derive(Clone, Debug)]
enum Step {
    Entry { table: u64, index: u64, word: u64 },
    Flush(u32),
    Root { stream: u8, index: u64, value: u32 },
    Tcr { stream: u8, value: u32 },
    Dry(Option<usize>),
}

fn word() -> impl Strategy<Value = u64> {
    let page = prop_oneof![
        8 => (ROOTS..30).prop_map(|page| ram(page).get()),
        1 => Just(FOREIGN_FRAME * PAGE),
        1 => Just(RAM + RAM_FRAMES * PAGE),
        1 => Just(1 << 36 | RAM),
        1 => Just(V2M_BASE.get()),
        1 => Just(V2M_BASE.get() + PAGE),
    ];
    prop_oneof![
        3 => Just(0),
        6 => (page.clone(), 0..4_u64).prop_map(|(page, rights)| leaf_at(page) | rights << 7),
        6 => (TABLES..TABLES + 4).prop_map(table),
        1 => (ROOTS..ROOTS + 2).prop_map(table),
        1 => any::<u64>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let root = prop_oneof![
        1 => Just(0_u32),
        6 => (ROOTS..TABLES).prop_map(|page| 0x8000_0000 | (ram(page).get() >> 12) as u32),
        1 => Just(0x8000_0000 | ((FOREIGN_FRAME * PAGE) >> 12) as u32),
    ];
    let tcr = prop_oneof![6 => Just(0x80), 1 => Just(0), 1 => Just(0x100), 1 => Just(0x180)];
    prop_oneof![
        12 => (ROOTS..TABLES + 4, 0..WIDTH, word())
            .prop_map(|(table, index, word)| Step::Entry { table, index, word }),
        6 => (0..8_u32).prop_map(Step::Flush),
        2 => (1..3_u8, 0..2_u64, root)
            .prop_map(|(stream, index, value)| Step::Root { stream, index, value }),
        2 => (1..3_u8, tcr).prop_map(|(stream, value)| Step::Tcr { stream, value }),
        1 => prop::option::of(0..4_usize).prop_map(Step::Dry),
    ]
}

/// Where the tables lead, read as simply as can be: no type of the crate has a part in it.
fn naive(bench: &Bench, roots: &[u32], iova: u64) -> Option<(Frame, bool)> {
    let root = roots[(iova >> 36) as usize];
    if root >> 31 == 0 || root & 0x7f00_0003 != 0 {
        return None;
    }
    let load = |table: u64, index: u64| bench.memory.load_u64((table + index * 8).into_ipa()).ok();
    let l1 = load(u64::from(root & 0xff_ffff) << 12, (iova >> 25) & 0x7ff)?;
    if l1 & 1 == 0 || l1 & 0xffff_fff0_0000_3000 != 0 {
        return None;
    }
    let l2 = load(l1 & 0xf_ffff_c000, (iova >> 14) & 0x7ff)?;
    if l2 & 1 == 0 || l2 & 0xf0_0000_3000 != 0 {
        return None;
    }
    let (no_read, no_write) = (l2 >> 8 & 1 != 0, l2 >> 7 & 1 != 0);
    let window_empty = l2 & 2 == 0 && (l2 >> 52) > (l2 >> 40 & 0xfff);
    let page = l2 & 0xf_ffff_c000;
    let doorbell = (page == V2M_BASE.get()).then_some(DOORBELL);
    let frame = doorbell.or_else(|| bench.memory.frame_of(page.into_ipa()))?;
    (!(no_read && no_write || window_empty)).then_some((frame, !no_write))
}

trait IntoIpa {
    fn into_ipa(self) -> hv_core::Ipa;
}

impl IntoIpa for u64 {
    fn into_ipa(self) -> hv_core::Ipa {
        hv_core::Ipa::new(self)
    }
}

fn agrees(bench: &Bench, roots: &[[u32; 4]; 3], tcr: &[u32; 3]) -> Result<(), TestCaseError> {
    // Each space by its roots; streams that agree share one.
    let mut wanted: Vec<[u32; 4]> = Vec::new();
    for stream in 1..3 {
        let normal = roots[stream].map(|root| if root >> 31 == 0 { 0 } else { root });
        let on = tcr[stream] == 0x80 && normal != [0; 4];
        if on && !wanted.contains(&normal) {
            wanted.push(normal);
        }
    }
    let mut expected: BTreeMap<(u64, Frame, bool), usize> = BTreeMap::new();
    for roots in &wanted {
        for ttbr in 0..2_u64 {
            for l1 in 0..WIDTH {
                for l2 in 0..WIDTH {
                    let iova = ttbr << 36 | l1 << 25 | l2 << 14;
                    if let Some((frame, write)) = naive(bench, roots, iova) {
                        *expected.entry((iova, frame, write)).or_default() += 1;
                    }
                }
            }
        }
    }
    let mut found: BTreeMap<(u64, Frame, bool), usize> = BTreeMap::new();
    bench.dma.for_each_leaf(bench.arena, |leaf| {
        let key = (
            leaf.input,
            Frame::containing(leaf.output),
            leaf.attributes.access().write,
        );
        *found.entry(key).or_default() += 1;
    });
    prop_assert_eq!(found, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn after_each_flush_the_host_walks_as_the_guest_wrote(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut bench = Bench::with(Settings { widening: Widening::Widen, ..settings() }, 512);
        bench.give_doorbell(GUEST);
        bench.call(|dma, host| dma.assign(host, stream(2), OTHER)).unwrap();
        let mut roots = [[0_u32; 4]; 3];
        let mut tcr = [0_u32; 3];
        let mut dry = false;
        for step in steps {
            match step {
                Step::Entry { table, index, word } => bench.entry(table, index, word),
                Step::Flush(streams) => bench.invalidate(streams),
                Step::Root { stream, index, value } => {
                    roots[usize::from(stream)][index as usize] = value;
                    bench.write(0x200 + 16 * u64::from(stream) + 4 * index, value);
                }
                Step::Tcr { stream, value } => {
                    tcr[usize::from(stream)] = value;
                    bench.write(0x100 + 4 * u64::from(stream), value);
                }
                Step::Dry(left) => {
                    bench.arena.fail_after(left);
                    dry = left.is_some();
                }
            }
            // At any time: pins are leaves, and only of the guest's frames.
            bench.check();
            if !dry {
                bench.invalidate(0xffff);
                agrees(&bench, &roots, &tcr)?;
                bench.check();
            }
        }
        bench.arena.fail_after(None);
        bench.invalidate(0xffff);
        agrees(&bench, &roots, &tcr)?;
        bench.finish();
    }
}
