//! Table pointers to where no table is.

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::dart::VALID;
use crate::el1::memory::{PAGE_SIZE, PAGE_WORDS};

/// Where the attacks look through: a table entry that nothing else uses.
const IOVA: u64 = 0x6200_0000;

/// The low bits with which U-Boot and OpenBSD write a table entry; Linux writes only the first.
const TABLE: u64 = 0b11;

/// The magic number of an arm64 `Image` is the lower half of the eighth word.
const IMAGE_MAGIC: u64 = 0x644d_5241;

/// A table that the guest does not own: nothing in it counts.
///
/// Oche keeps a frame for this test whose every word is a leaf to the guest's first page, where the
/// payload's own header is: it arrives if the frame was taken for a table.
pub(super) fn outside_ram(bench: &mut Bench) -> Result<Finding, Failure> {
    let foreign = bench.target("oche,target-table")?;
    let registers = bench.machine.dart.ok_or(Failure::NoDart)?;
    let mut found = Finding::Contained;
    for table in [
        foreign,
        registers,
        0,
        0xf_ffff_c000,
        1 << 36,
        0xff_ffff_c000,
    ] {
        let rig = bench.rig()?;
        rig.dart()?
            .set_table(IOVA, table & !(PAGE_SIZE - 1) | TABLE)?;
        rig.dart()?.invalidate();
        rig.forget_faults()?;
        let seen = rig.look(IOVA, PAGE_SIZE)?;
        if seen.page.read(7) & 0xffff_ffff == IMAGE_MAGIC {
            fact!(bench, "{table:#x} was taken for a table");
            found = Finding::Reached;
        } else {
            must(seen.is_nothing(), "the drive read something")?;
            let fault = rig.fault_at(IOVA)?;
            fact!(bench, "{table:#x} is no table: {fault:?}");
        }
        let rig = bench.rig()?;
        rig.dart()?.set_table(IOVA, 0)?;
        rig.dart()?.invalidate();
        rig.forget_faults()?;
        rig.round_trip()?;
    }
    Ok(found)
}

/// A first-level table whose every entry points to itself: 2048 second-level tables, each of which
/// is a page of 2048 leaves to itself. Oche takes as many as its limit allows, and goes on.
pub(super) fn to_itself(bench: &mut Bench) -> Result<Finding, Failure> {
    /// Under the third TTBR, which nothing else uses.
    const ROOT: usize = 2;
    let rig = bench.rig()?;
    let root = rig.dart()?.root(ROOT)?;
    for index in 0..PAGE_WORDS {
        root.write(index, root.address() | VALID);
    }
    rig.dart()?.invalidate();
    // What is mapped honestly must not suffer.
    rig.round_trip()?;
    rig.dart()?.invalidate();
    for index in 0..PAGE_WORDS {
        root.write(index, 0);
    }
    rig.dart()?.invalidate();
    rig.round_trip()?;
    rig.forget_faults()?;
    // The room that it took is free again: an honest table under the same root.
    let page = bench.page()?;
    let rig = bench.rig()?;
    let (seed, iova) = (rig.seed(), (ROOT as u64) << 36 | 0x4000);
    page.fill(seed);
    rig.dart()?.map(iova, page)?;
    rig.dart()?.invalidate();
    let arrived = rig.look(iova, PAGE_SIZE)?.page.holds(seed, PAGE_WORDS);
    rig.dart()?.unmap(iova)?;
    rig.dart()?.invalidate();
    must(
        arrived,
        "after the tables were taken back an honest one is refused",
    )?;
    Ok(Finding::Contained)
}
