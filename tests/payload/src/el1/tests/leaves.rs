//! Leaves that name what the guest does not own.

use super::Finding;
use crate::el1::bench::{Bench, Failure, Seen, fact, must};
use crate::el1::console::say;
use crate::el1::dart::{VALID, WHOLE_PAGE};
use crate::el1::memory::{PAGE_SIZE, PAGE_WORDS};

/// Where the attacks look through.
const IOVA: u64 = 0x6000_0000;

/// The magic number of an arm64 `Image` is the lower half of the eighth word.
const IMAGE_MAGIC: u64 = 0x644d_5241;

/// What Oche fills a frame of its own with for this test, word by word.
const CANARY: u64 = 0x0c4e_0c4e_ca4a_7135;

/// Another owner's frame: neither read nor written.
pub(super) fn foreign(bench: &mut Bench) -> Result<Finding, Failure> {
    let target = bench.target("oche,target-free-ram")?;
    let read = look_through(bench, target, 0, PAGE_SIZE, is_canary)?;
    if read == Finding::Reached {
        fact!(bench, "the frame was read");
    }
    // Written is what reads back through the same leaf.
    aim(bench, target)?;
    let rig = bench.rig()?;
    let seed = rig.strike(IOVA)?;
    let written = rig.look(IOVA, PAGE_SIZE)?.page.holds(seed, PAGE_WORDS);
    clear(bench)?;
    if written {
        fact!(bench, "the frame was written");
    }
    Ok(if written { Finding::Reached } else { read })
}

fn is_canary(seen: &Seen) -> bool {
    (0..64).all(|index| seen.page.read(index) == CANARY)
}

/// Oche's own image, by its magic number.
pub(super) fn image(bench: &mut Bench) -> Result<Finding, Failure> {
    let target = bench.target("oche,target-image")?;
    look_through(bench, target, 0, PAGE_SIZE, |seen| {
        seen.page.read(7) & 0xffff_ffff == IMAGE_MAGIC
    })
}

/// A table of Oche's: anything but nothing.
pub(super) fn host_table(bench: &mut Bench) -> Result<Finding, Failure> {
    let target = bench.target("oche,target-host-table")?;
    look_through(bench, target, 0, PAGE_SIZE, |seen| !seen.is_nothing())
}

/// Registers of the machine's PL011, by its identification (PL011 TRM 3.3.17 to 3.3.24).
pub(super) fn mmio(bench: &mut Bench) -> Result<Finding, Failure> {
    const IDENTIFICATION: [u64; 4] = [0x10_0000_0011, 0x14, 0xf0_0000_000d, 0xb1_0000_0005];
    let target = bench.target("oche,target-mmio")?;
    // The last of 512 bytes that have no side effects: words 60 to 63.
    look_through(bench, target, 0xe00, 512, |seen| {
        let words = [60, 61, 62, 63].map(|index| seen.page.read(index));
        // The second pair's upper half is a revision.
        words[0] == IDENTIFICATION[0] && words[2..] == IDENTIFICATION[2..]
    })
}

/// An own page, with address bits beyond those that a guest has.
pub(super) fn high_address(bench: &mut Bench) -> Result<Finding, Failure> {
    let page = bench.page()?;
    let seed = bench.rig()?.seed();
    page.fill(seed);
    for bit in 36..40 {
        let target = page.address() | 1 << bit;
        let found = look_through(bench, target, 0, PAGE_SIZE, |seen| {
            seen.page.holds(seed, 64)
        })?;
        if found == Finding::Reached {
            fact!(bench, "bit {bit} of the address was cut off");
            return Ok(found);
        }
    }
    Ok(Finding::Contained)
}

/// Maps a target, has the drive read it, and judges by what arrived. If nothing did the guest must
/// have been told.
pub(super) fn look_through(
    bench: &mut Bench,
    target: u64,
    offset: u64,
    bytes: u64,
    is_target: impl Fn(&Seen) -> bool,
) -> Result<Finding, Failure> {
    aim(bench, target)?;
    let rig = bench.rig()?;
    let seen = rig.look(IOVA + offset, bytes)?;
    let reached = is_target(&seen);
    if !reached {
        let fault = rig.fault_at(IOVA)?;
        must(
            seen.is_nothing(),
            "the drive read something that is not the target",
        )?;
        fact!(bench, "{target:#x} is out of reach: {fault}");
    }
    clear(bench)?;
    bench.rig()?.round_trip()?;
    Ok(if reached {
        Finding::Reached
    } else {
        Finding::Contained
    })
}

fn aim(bench: &mut Bench, target: u64) -> Result<(), Failure> {
    let rig = bench.rig()?;
    rig.dart()?
        .set_leaf(IOVA, target & !(PAGE_SIZE - 1) | VALID | WHOLE_PAGE)?;
    rig.dart()?.invalidate();
    rig.forget_faults()
}

fn clear(bench: &mut Bench) -> Result<(), Failure> {
    let rig = bench.rig()?;
    rig.dart()?.unmap(IOVA)?;
    rig.dart()?.invalidate();
    rig.forget_faults()
}
