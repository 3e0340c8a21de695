use hv_core::Iova;

use super::*;
use crate::testing::*;
use crate::variant::T8103;

const ROOTS: [u32; 4] = [0x8080_0000, 0, 0x8080_0000 | 4, 0x8100_0000];

fn find(bench: &Bench, iova: u64) -> Result<Leaf, Missing> {
    walk(&bench.memory, &T8103, Roots::new(ROOTS), Iova::new(iova))
}

#[test]
fn a_walk_ends_where_the_hardware_would() {
    let bench = Bench::new();
    bench.entry(0, 5, table(2));
    bench.entry(0, 6, (RAM_FRAME * PAGE) | 1);
    bench.entry(1, 2047, table(2));
    bench.entry(2, 9, leaf(7));
    bench.entry(2, 10, leaf(7) | 1 << 36);
    let iova = 5 << 25 | 9 << 14;
    assert_eq!(find(&bench, iova | 0x3fff).unwrap().frame, ram(7));
    assert_eq!(
        find(&bench, iova + PAGE),
        Err(Missing::Leaf),
        "an address out of range"
    );
    assert_eq!(find(&bench, iova + 2 * PAGE), Err(Missing::Leaf));
    assert_eq!(find(&bench, 4 << 25), Err(Missing::Table));
    assert_eq!(
        find(&bench, 6 << 25),
        Err(Missing::Leaf),
        "its table is not there"
    );
    assert_eq!(find(&bench, 1 << 36), Err(Missing::Ttbr));
    let third = 2 << 36 | 2047 << 25 | 9 << 14;
    assert_eq!(find(&bench, third).unwrap().frame, ram(7));
    assert_eq!(
        find(&bench, 3 << 36),
        Err(Missing::Ttbr),
        "a root out of range"
    );
    assert_eq!(find(&bench, 1 << 38), Err(Missing::Ttbr));
    assert_eq!(find(&bench, u64::MAX), Err(Missing::Ttbr));
    bench.finish();
}
