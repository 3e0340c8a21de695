//! Table pointers to where no table is.

use super::Finding;
use crate::el1::bench::{Bench, Failure, Seen, fact, must};
use crate::el1::console::say;
use crate::el1::dart::{VALID, WHOLE_PAGE};
use crate::el1::memory::{PAGE_SIZE, PAGE_WORDS};

/// The TTBR that the floods use, and nothing else.
const ROOT: usize = 2;

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
        let reached = seen.page.read(7) & 0xffff_ffff == IMAGE_MAGIC;
        if reached {
            fact!(bench, "{table:#x} was taken for a table");
        } else {
            must(seen.is_nothing(), "the drive read something")?;
            let fault = rig.fault_at(IOVA)?;
            fact!(bench, "{table:#x} is no table: {fault}");
        }
        let rig = bench.rig()?;
        rig.dart()?.set_table(IOVA, 0)?;
        rig.dart()?.invalidate();
        rig.forget_faults()?;
        rig.round_trip()?;
        if reached {
            return Ok(Finding::Reached);
        }
    }
    Ok(Finding::Contained)
}

/// A TTBR that names no memory of the guest's: nothing can be reached through it.
pub(super) fn root_outside_ram(bench: &mut Bench) -> Result<Finding, Failure> {
    /// A TTBR that no other test uses.
    const OTHER: usize = 3;
    let foreign = bench.target("oche,target-table")?;
    let registers = bench.machine.dart.ok_or(Failure::NoDart)?;
    let iova = (OTHER as u64) << 36 | IOVA;
    for root in [foreign, registers, 0, 0xf_ffff_c000] {
        let rig = bench.rig()?;
        rig.dart()?.set_ttbr(OTHER, root);
        rig.dart()?.invalidate();
        rig.forget_faults()?;
        let seen = rig.look(iova, PAGE_SIZE)?;
        must(seen.is_nothing(), "the drive read something")?;
        let fault = rig.fault_at(iova)?;
        fact!(bench, "{root:#x} is no root: {fault}");
        let rig = bench.rig()?;
        rig.dart()?.clear_ttbr(OTHER);
        rig.dart()?.invalidate();
        rig.forget_faults()?;
        rig.round_trip()?;
    }
    Ok(Finding::Contained)
}

/// A first-level table whose every entry points to itself: 2048 second-level tables, each of which
/// is a page of 2048 leaves to itself. The first of them lead to that page, which is the guest's own;
/// past Oche's limit they are not followed, and lead nowhere.
pub(super) fn to_itself(bench: &mut Bench) -> Result<Finding, Failure> {
    let rig = bench.rig()?;
    let root = rig.dart()?.root(ROOT)?;
    let word = root.address() | VALID;
    for index in 0..PAGE_WORDS {
        root.write(index, word);
    }
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    let at = |index: u64| (ROOT as u64) << 36 | index << 25 | PAGE_SIZE;
    let is_itself = |seen: &Seen| (0..PAGE_WORDS).all(|index| seen.page.read(index) == word);
    let first = is_itself(&rig.look(at(0), PAGE_SIZE)?);
    let seen = rig.look(at(2047), PAGE_SIZE)?;
    let last = is_itself(&seen);
    if !last {
        must(seen.is_nothing(), "the drive read something else")?;
        let fault = rig.fault_at(at(2047))?;
        fact!(bench, "past the limit it leads nowhere: {fault}");
    }
    let rig = bench.rig()?;
    rig.forget_faults()?;
    // What is mapped honestly must not suffer.
    rig.round_trip()?;
    for index in 0..PAGE_WORDS {
        root.write(index, 0);
    }
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    rig.round_trip()?;
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
    must(first, "the first leaf does not lead to the table itself")?;
    Ok(if last {
        Finding::Reached
    } else {
        Finding::Contained
    })
}

/// A first-level table whose every entry points to one honest table, so that a page appears 2048
/// times over: one table as often is as many tables. Past Oche's limit they are not followed, and
/// the last of them leads nowhere.
pub(super) fn too_many(bench: &mut Bench) -> Result<Finding, Failure> {
    let (table, page) = (bench.page()?, bench.page()?);
    let rig = bench.rig()?;
    let root = rig.dart()?.root(ROOT)?;
    let seed = rig.seed();
    page.fill(seed);
    table.write(1, page.address() | VALID | WHOLE_PAGE);
    for index in 0..PAGE_WORDS {
        root.write(index, table.address() | VALID);
    }
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    let at = |index: u64| (ROOT as u64) << 36 | index << 25 | PAGE_SIZE;
    let first = rig.look(at(0), PAGE_SIZE)?.page.holds(seed, PAGE_WORDS);
    let seen = rig.look(at(2047), PAGE_SIZE)?;
    let last = seen.page.holds(seed, PAGE_WORDS);
    if !last {
        must(seen.is_nothing(), "the drive read something")?;
        let fault = rig.fault_at(at(2047))?;
        fact!(bench, "the last table is not followed: {fault}");
    }
    let rig = bench.rig()?;
    for index in 0..PAGE_WORDS {
        root.write(index, 0);
    }
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    rig.round_trip()?;
    must(first, "the first table is not followed either")?;
    Ok(if last {
        Finding::Reached
    } else {
        Finding::Contained
    })
}
