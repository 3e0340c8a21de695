//! Tables that no driver would write.

use crate::dma::{Refused, Settings, SetupError};
use crate::iommu::HostStream;
use crate::space::{TABLES_PER_GUEST, Widening};
use crate::testing::*;

const ROOT: u64 = 10;
const LEAVES: u64 = 11;

fn attached() -> Bench {
    let mut bench = Bench::new();
    bench.entry(ROOT, 0, table(LEAVES));
    bench.attach(STREAM, ROOT);
    bench
}

#[test]
fn a_leaf_outside_the_guests_memory_is_not_installed_and_faults() {
    let mut bench = attached();
    let past = RAM + RAM_FRAMES * PAGE;
    let host_ram = FOREIGN_FRAME * PAGE;
    // The machine's address of a frame that is the guest's own: still not an address of the guest.
    let own_frame = RAM_FRAME * PAGE;
    let host_table = bench.dma.empty_root().unwrap().base().get();
    for (index, address) in [past, host_ram, own_frame, host_table, 0, 0x1000_0000]
        .into_iter()
        .enumerate()
    {
        bench.entry(LEAVES, index as u64, leaf_at(address));
    }
    for bit in [12, 13, 36, 37, 38, 39] {
        bench.entry(LEAVES, bit, leaf(20) | 1 << bit);
    }
    bench.invalidate(2);
    assert_eq!(bench.dma.counters().pages_mapped, 0);
    assert_eq!(bench.dma.counters().leaves_refused, 12);
    bench.invalidate(2);
    assert_eq!(bench.dma.counters().leaves_refused, 12, "counted once");
    assert_eq!(bench.iommu.access(DEVICE, 0, false), None);
    assert_eq!(
        bench.read(0x40),
        0x8100_0004,
        "to the guest it leads nowhere"
    );
    bench.check();
    bench.finish();
}

#[test]
fn a_table_outside_the_guests_memory_is_not_followed() {
    let mut bench = attached();
    bench.entry(ROOT, 1, (RAM_FRAME * PAGE) | 1);
    bench.entry(ROOT, 2, table(LEAVES) | 1 << 36);
    bench.write(0x214, 0x8000_0000);
    bench.invalidate(2);
    assert_eq!(bench.dma.counters().tables, 2);
    assert!(bench.dma.counters().tables_refused >= 3);
    bench.check();
    bench.finish();
}

#[test]
fn a_table_that_points_at_itself_ends_at_the_table_limit() {
    let mut bench = Bench::new();
    for index in 0..2048 {
        bench.entry(ROOT, index, table(ROOT));
    }
    bench.attach(STREAM, ROOT);
    let counters = bench.dma.counters();
    assert_eq!(counters.tables, TABLES_PER_GUEST);
    assert!(counters.tables_refused >= 2048 - TABLES_PER_GUEST);
    // Below the limit it does what it says: every leaf names the table's own page.
    assert_eq!(bench.iommu.access(DEVICE, 0, true), Some(host_page(ROOT)));
    // One guest page can be named by very many leaves, but by no more than a pin count can count.
    assert_eq!(counters.pages_pinned, 0xffff);
    assert!(counters.leaves_refused > 0);
    bench.finish();
}

#[test]
fn two_entries_may_name_one_table_and_each_page_is_counted_per_entry() {
    let mut bench = attached();
    bench.entry(ROOT, 1, table(LEAVES));
    bench.entry(LEAVES, 7, leaf(20));
    bench.invalidate(2);
    assert_eq!(bench.dma.counters().pages_pinned, 2);
    bench.check();
    bench.entry(ROOT, 0, 0);
    bench.invalidate(2);
    assert_eq!(bench.dma.counters().pages_pinned, 1);
    assert_eq!(
        bench.iommu.access(DEVICE, (1 << 25) + 7 * PAGE, true),
        Some(host_page(20))
    );
    bench.check();
    bench.finish();
}

#[test]
fn what_the_host_cannot_say_is_widened_or_refused_as_configured() {
    let leaves = [
        leaf(20) | 1 << 8,                     // write-only
        0x0100_1f00_0000_0001 | ram(21).get(), // a window
        leaf(22) | 1 << 7 | 1 << 8,            // nothing
        0x0200_1f00_0000_0001 | ram(23).get(), // an empty window
    ];
    for (widening, mapped, widened, refused) in
        [(Widening::Widen, 2, 2, 0), (Widening::Refuse, 0, 0, 2)]
    {
        let mut bench = Bench::with(
            Settings {
                widening,
                ..settings()
            },
            64,
        );
        bench.entry(ROOT, 0, table(LEAVES));
        for (index, &word) in leaves.iter().enumerate() {
            bench.entry(LEAVES, index as u64, word);
        }
        bench.attach(STREAM, ROOT);
        let counters = bench.dma.counters();
        assert_eq!(counters.pages_mapped, mapped);
        assert_eq!(
            (counters.leaves_widened, counters.leaves_refused),
            (widened, refused)
        );
        bench.check();
        bench.finish();
    }
}

#[test]
fn a_locked_dart_keeps_its_mode_but_still_forgets() {
    let mut bench = attached();
    bench.entry(LEAVES, 0, leaf(20));
    bench.invalidate(2);
    bench.write(0x60, 0x8000);
    bench.write(0x104, 0);
    bench.write(0x210, 0);
    bench.write(0xfc, 0);
    bench.write(0x60, 0);
    assert_eq!(bench.iommu.access(DEVICE, 0, true), Some(host_page(20)));
    bench.entry(LEAVES, 0, 0);
    bench.invalidate(2);
    assert_eq!(bench.iommu.access(DEVICE, 0, true), None);
    bench.finish();
}

#[test]
fn accesses_that_no_driver_makes_are_refused() {
    let mut bench = attached();
    for (offset, bytes) in [
        (0x40, 8),
        (0x40, 2),
        (0x41, 1),
        (0x42, 4),
        (0x4000, 4),
        (u64::MAX, 4),
    ] {
        let load = bench.call(|dma, host| dma.load(host, offset, bytes));
        let store = bench.call(|dma, host| dma.store(host, offset, bytes, 0));
        assert_eq!(
            (load, store),
            (Err(Refused), Err(Refused)),
            "{offset:#x}, {bytes} bytes"
        );
    }
    assert_eq!(bench.dma.counters().accesses_refused, 12);
    bench.finish();
}

#[test]
fn a_fault_of_a_strangers_stream_is_not_shown() {
    let mut bench = attached();
    bench.iommu.access(HostStream(0x77), 0, true);
    assert_eq!(bench.read(0x40), 0);
    assert_eq!(bench.dma.counters().faults_stray, 1);
    bench.finish();
}

#[test]
fn a_host_stream_is_assigned_once() {
    let mut bench = attached();
    let again = bench.call(|dma, host| dma.assign(host, stream(2), DEVICE));
    assert_eq!(again, Err(SetupError::Taken));
    for number in 0..15 {
        let device = HostStream(0x100 + number);
        bench
            .call(|dma, host| dma.assign(host, stream(2), device))
            .unwrap();
    }
    let last = bench.call(|dma, host| dma.assign(host, stream(2), HostStream(0x200)));
    assert_eq!(last, Err(SetupError::TooManyDevices));
    bench.finish();
}

#[test]
fn roots_of_streams_without_a_device_cost_nothing() {
    let mut bench = attached();
    let before = bench.arena.out();
    for number in 2..16 {
        bench.entry(ROOT + 1, u64::from(number), table(LEAVES));
        bench.attach(stream(number), 30 + u64::from(number));
    }
    assert_eq!(bench.arena.out(), before);
    bench.finish();
}

#[cfg(feature = "guards-out")]
mod without_guards {
    use super::*;
    use crate::guards::{Guard, Guards};

    fn without(guard: Guard) -> Bench {
        let guards = Guards::default().without(guard);
        let mut bench = Bench::with(
            Settings {
                guards,
                ..settings()
            },
            4096,
        );
        bench.iommu.unguarded = true;
        bench
    }

    #[test]
    fn a_leaf_reaches_any_frame_without_the_ownership_guard() {
        let mut bench = without(Guard::LeafOwnership);
        bench.entry(ROOT, 0, table(LEAVES));
        bench.entry(LEAVES, 0, leaf_at(FOREIGN_FRAME * PAGE));
        bench.entry(LEAVES, 1, leaf(20));
        bench.attach(STREAM, ROOT);
        let foreign = hv_core::Frame::from_number(FOREIGN_FRAME);
        assert_eq!(bench.iommu.access(DEVICE, 0, false), Some(foreign.base()));
        assert_eq!(bench.iommu.access(DEVICE, PAGE, false), Some(host_page(20)));
        bench.finish();
    }

    #[test]
    fn a_table_is_read_anywhere_without_the_table_guard() {
        let mut bench = without(Guard::TableOwnership);
        bench.entry(ROOT, 0, (FOREIGN_FRAME * PAGE) | 1);
        bench.attach(STREAM, ROOT);
        assert_eq!(
            bench.iommu.access(DEVICE, 3 * PAGE, false),
            Some(host_page(5))
        );
        bench.finish();
    }

    #[test]
    fn tables_grow_past_the_limit_without_its_guard() {
        let mut bench = without(Guard::TableLimit);
        for index in 0..600 {
            bench.entry(ROOT, index, table(LEAVES));
        }
        bench.attach(STREAM, ROOT);
        assert_eq!(bench.dma.counters().tables, 601);
        bench.finish();
    }

    #[test]
    fn a_wide_address_is_cut_without_the_width_guard() {
        let mut bench = without(Guard::AddressWidth);
        bench.entry(ROOT, 0, table(LEAVES) | 1 << 36 | 1 << 50);
        bench.entry(LEAVES, 0, leaf(20) | 1 << 36);
        bench.entry(LEAVES, 1, leaf(21) | 1 << 39);
        bench.entry(LEAVES, 2, leaf(22) | 1 << 12);
        bench.attach(STREAM, ROOT);
        assert_eq!(bench.iommu.access(DEVICE, 0, false), Some(host_page(20)));
        assert_eq!(bench.iommu.access(DEVICE, PAGE, false), Some(host_page(21)));
        assert_eq!(
            bench.iommu.access(DEVICE, 2 * PAGE, false),
            None,
            "out of line is another matter"
        );
        bench.invalidate(2);
        assert_eq!(bench.dma.counters().pages_mapped, 2, "what was seen stays");
        bench.finish();
    }

    #[test]
    fn every_guard_has_a_name() {
        for (name, guard) in [
            ("leaf-ownership", Guard::LeafOwnership),
            ("table-ownership", Guard::TableOwnership),
            ("table-limit", Guard::TableLimit),
            ("default-deny", Guard::DefaultDeny),
            ("address-width", Guard::AddressWidth),
        ] {
            assert_eq!(Guard::parse(name), Some(guard));
            let without = Guards::default().without(guard);
            assert!(!without.stands(guard) && Guards::default().stands(guard));
        }
        assert_eq!(Guard::parse("address"), None);
    }

    #[test]
    fn a_fresh_stream_bypasses_without_the_default_deny() {
        let bench = without(Guard::DefaultDeny);
        assert_eq!(bench.iommu.asked.last(), Some(&Asked::Bypass(DEVICE)));
        bench.finish();
    }
}
