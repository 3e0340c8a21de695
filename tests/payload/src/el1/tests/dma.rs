//! DMA as it is meant: it arrives where the tables say, and stops when they no longer say so.

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::dart::{NO_PAGE, NO_TABLE, NO_TTBR, NO_WRITE, READ_ONLY, VALID, WHOLE_PAGE};
use crate::el1::memory::{PAGE_SIZE, PAGE_WORDS};

/// Pages of one transfer: two TTBRs, three tables, neighbours and not.
const IOVAS: [u64; 6] = [
    0x4000_0000,
    0x4000_4000,
    0x4200_0000,
    0xa_0000_4000,
    0x10_0000_8000,
    0x10_0200_0000,
];

/// The drive alone, with or without a DART before it.
pub(super) fn drive(bench: &mut Bench) -> Result<Finding, Failure> {
    bench.rig()?.round_trip()?;
    Ok(Finding::Works)
}

/// Everything that a driver relies on.
pub(super) fn dma(bench: &mut Bench) -> Result<Finding, Failure> {
    many_pages(bench)?;
    part_of_a_page(bench)?;
    read_only(bench)?;
    taken_away(bench)?;
    levels(bench)?;
    bench.rig()?.round_trip()?;
    Ok(Finding::Works)
}

/// A list of pages goes out through some addresses and comes back through others.
fn many_pages(bench: &mut Bench) -> Result<(), Failure> {
    const SHIFT: u64 = 0x1000_0000;
    const BLOCK: u64 = 256;
    let mut pages = [None; IOVAS.len()];
    for (iova, pair) in IOVAS.iter().zip(&mut pages) {
        let (out, back) = (bench.page()?, bench.page()?);
        let rig = bench.rig()?;
        let seed = rig.seed();
        out.fill(seed);
        let dart = rig.dart()?;
        must(out.address() != *iova, "an address is its own IOVA")?;
        dart.map(*iova, out)?;
        dart.map(*iova + SHIFT, back)?;
        *pair = Some((seed, back));
    }
    let rig = bench.rig()?;
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    rig.nvme.device_reads_pages(&IOVAS, BLOCK)?;
    rig.nvme
        .device_writes_pages(&IOVAS.map(|iova| iova + SHIFT), BLOCK)?;
    for (seed, back) in pages.into_iter().flatten() {
        must(
            back.holds(seed, PAGE_WORDS),
            "a page of several does not arrive",
        )?;
    }
    let dart = rig.dart()?;
    must(
        dart.take_fault().is_none(),
        "legal DMA is reported as a fault",
    )?;
    for iova in IOVAS {
        dart.unmap(iova)?;
        dart.unmap(iova + SHIFT)?;
    }
    dart.invalidate();
    fact!(bench, "{} pages went out and came back", IOVAS.len());
    Ok(())
}

/// A transfer that starts inside a page changes that part and no more.
fn part_of_a_page(bench: &mut Bench) -> Result<(), Failure> {
    const IOVA: u64 = 0x5000_0000;
    let page = bench.page()?;
    let rig = bench.rig()?;
    rig.dart()?.map(IOVA, page)?;
    rig.dart()?.invalidate();
    let (before, after) = (rig.seed(), rig.seed());
    page.fill(after);
    rig.nvme.device_reads(IOVA, 128, PAGE_SIZE)?;
    page.fill(before);
    // Block 129 holds what was in words 64 to 127; it goes to words 256 to 319.
    rig.nvme.device_writes(IOVA + 0x800, 129, 512)?;
    let expected = |index: usize| match index {
        256..320 => u64::from(after) << 32 | (index - 192) as u64,
        _ => u64::from(before) << 32 | index as u64,
    };
    let right = (0..PAGE_WORDS).all(|index| page.read(index) == expected(index));
    rig.dart()?.unmap(IOVA)?;
    rig.dart()?.invalidate();
    must(right, "a part of a page does not arrive where it should")
}

/// Through a read-only leaf a device reads, and does not write.
fn read_only(bench: &mut Bench) -> Result<(), Failure> {
    const IOVA: u64 = 0x5000_4000;
    let page = bench.page()?;
    let rig = bench.rig()?;
    let seed = rig.seed();
    page.fill(seed);
    rig.dart()?
        .set_leaf(IOVA, page.address() | VALID | WHOLE_PAGE | READ_ONLY)?;
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    must(
        rig.look(IOVA, PAGE_SIZE)?.page.holds(seed, PAGE_WORDS),
        "a read-only page is not read",
    )?;
    must(
        rig.dart()?.take_fault().is_none(),
        "reading a read-only page is reported as a fault",
    )?;
    rig.strike(IOVA)?;
    must(page.holds(seed, PAGE_WORDS), "a read-only page is written")?;
    let fault = rig.fault_at(IOVA)?;
    must(
        fault.code == NO_WRITE,
        "writing to a read-only page has another code",
    )?;
    rig.dart()?.unmap(IOVA)?;
    rig.dart()?.invalidate();
    Ok(())
}

/// What is unmapped is out of reach when the invalidation is over, and the guest hears of it.
fn taken_away(bench: &mut Bench) -> Result<(), Failure> {
    const IOVA: u64 = 0x5000_8000;
    let page = bench.page()?;
    let rig = bench.rig()?;
    let seed = rig.seed();
    page.fill(seed);
    rig.dart()?.map(IOVA, page)?;
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    must(
        rig.look(IOVA, PAGE_SIZE)?.page.holds(seed, PAGE_WORDS),
        "a mapped page is not read",
    )?;
    rig.dart()?.unmap(IOVA)?;
    rig.dart()?.invalidate();
    let seen = rig.look(IOVA, PAGE_SIZE)?;
    must(seen.is_nothing(), "an unmapped page is still read")?;
    let read = rig.fault_at(IOVA)?;
    rig.forget_faults()?;
    rig.strike(IOVA)?;
    must(
        page.holds(seed, PAGE_WORDS),
        "an unmapped page is still written",
    )?;
    let written = rig.fault_at(IOVA)?;
    must(
        read.code == NO_PAGE && written.code == NO_PAGE,
        "an unmapped page has another code",
    )?;
    rig.dart()?.map(IOVA, page)?;
    rig.dart()?.invalidate();
    must(
        rig.look(IOVA, PAGE_SIZE)?.page.holds(seed, PAGE_WORDS),
        "a page is not mapped again",
    )?;
    rig.dart()?.unmap(IOVA)?;
    rig.dart()?.invalidate();
    fact!(bench, "an unmapped page faults: {read}; {written}");
    Ok(())
}

/// Each level at which a walk can end has its own code.
fn levels(bench: &mut Bench) -> Result<(), Failure> {
    let rig = bench.rig()?;
    for (iova, code) in [(0x7000_4000, NO_TABLE), (0x30_0000_4000, NO_TTBR)] {
        rig.forget_faults()?;
        must(
            rig.look(iova, PAGE_SIZE)?.is_nothing(),
            "an address that nobody mapped is read",
        )?;
        must(
            rig.fault_at(iova)?.code == code,
            "a missing table or TTBR has another code",
        )?;
    }
    rig.forget_faults()
}
