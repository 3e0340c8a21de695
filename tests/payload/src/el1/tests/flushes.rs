//! Many small changes, each with its invalidation.

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::cpu::{nanoseconds, ticks};
use crate::el1::memory::{PAGE_SIZE, PAGE_WORDS};

/// Rounds of one map and one unmap.
const ROUNDS: u64 = 500;

/// Maps and unmaps a page over and over, at addresses that wander over several tables.
pub(super) fn many(bench: &mut Bench) -> Result<Finding, Failure> {
    const IOVA: u64 = 0x2_0000_0000;
    let page = bench.page()?;
    let rig = bench.rig()?;
    let seed = rig.seed();
    page.fill(seed);
    let start = ticks();
    for round in 0..ROUNDS {
        let iova = IOVA + round % 3 * 0x200_0000 + round % 1000 * PAGE_SIZE;
        rig.dart()?.map(iova, page)?;
        rig.dart()?.invalidate();
        if round % 50 == 0 {
            must(
                rig.look(iova, PAGE_SIZE)?.page.holds(seed, PAGE_WORDS),
                "a page is not mapped",
            )?;
        }
        rig.dart()?.unmap(iova)?;
        rig.dart()?.invalidate();
        if round % 50 == 0 {
            must(
                rig.look(iova, PAGE_SIZE)?.is_nothing(),
                "a page is still mapped",
            )?;
        }
    }
    let each = nanoseconds(ticks() - start) / (2 * ROUNDS);
    rig.forget_faults()?;
    fact!(
        bench,
        "{} invalidations, {each} ns each with what lies between",
        2 * ROUNDS
    );
    Ok(Finding::Works)
}
