//! Host memory runs dry, and the host IOMMU hangs, at every point where they can.

use crate::dma::Leftover;
use crate::testing::*;

const ROOT: u64 = 10;

/// Three tables of a few pages each.
fn write_tables(bench: &Bench) {
    for child in 0..3 {
        bench.entry(ROOT, child * 5, table(11 + child));
        for index in 0..6 {
            bench.entry(11 + child, index * (child + 1), leaf(20 + index));
        }
    }
}

#[test]
fn memory_that_runs_dry_leaves_things_out_and_the_next_flush_adds_them() {
    for successes in 0..16 {
        let mut bench = Bench::new();
        write_tables(&bench);
        bench.arena.fail_after(Some(successes));
        bench.attach(STREAM, ROOT);
        bench.check();
        let missing = bench.dma.counters().pages_pinned < 18;
        assert_eq!(
            missing,
            bench.dma.counters().out_of_memory > 0,
            "after {successes}"
        );
        bench.arena.fail_after(None);
        bench.invalidate(2);
        bench.check();
        assert_eq!(bench.dma.counters().pages_pinned, 18, "after {successes}");
        bench.finish();
    }
}

#[test]
fn memory_that_runs_dry_while_tables_change_never_keeps_what_was_taken_back() {
    for successes in 0..8 {
        let mut bench = Bench::new();
        write_tables(&bench);
        bench.attach(STREAM, ROOT);
        bench.arena.fail_after(Some(successes));
        bench.entry(ROOT, 5, table(15));
        bench.entry(15, 3, leaf(40));
        bench.entry(ROOT, 9, table(16));
        bench.entry(16, 3, leaf(41));
        bench.entry(11, 0, leaf(42));
        bench.invalidate(2);
        bench.check();
        assert_eq!(
            bench.iommu.access(DEVICE, 5 << 25, false),
            None,
            "taken back"
        );
        assert_eq!(bench.iommu.access(DEVICE, 0, false), Some(host_page(42)));
        bench.arena.fail_after(None);
        bench.invalidate(2);
        bench.check();
        assert_eq!(
            bench.iommu.access(DEVICE, (9 << 25) + 3 * PAGE, true),
            Some(host_page(41))
        );
        bench.finish();
    }
}

#[test]
fn a_host_iommu_that_hangs_blocks_the_stream_and_keeps_its_pages_pinned() {
    for answers in 0..4 {
        let mut bench = Bench::new();
        write_tables(&bench);
        bench.attach(STREAM, ROOT);
        bench.check();
        bench.iommu.hang_after = Some(answers);
        bench.entry(11, 0, 0);
        bench.invalidate(2);
        bench.write(0x104, 0);
        bench.write(0x104, 0x80);
        bench.entry(11, 1, leaf(50));
        bench.invalidate(2);
        // Whatever the IOMMU may still remember is pinned: the mock has checked that at each step.
        bench.iommu.check_pins();
        let left = bench.call(|dma, host| dma.shutdown(host));
        bench.iommu.check_pins();
        let Leftover { pins, spaces } = left.unwrap_err();
        assert_eq!(pins, bench.dma.counters().pages_pinned);
        assert!(spaces > 0);
    }
}

#[test]
fn a_guest_that_goes_on_after_a_hang_changes_nothing_any_more() {
    let mut bench = Bench::new();
    write_tables(&bench);
    bench.attach(STREAM, ROOT);
    bench.iommu.hang_after = Some(0);
    bench.entry(11, 0, 0);
    bench.invalidate(2);
    let asked = bench.iommu.asked.len();
    let pinned = bench.dma.counters().pages_pinned;
    bench.entry(11, 1, 0);
    bench.invalidate(2);
    bench.write(0x104, 0);
    assert_eq!(bench.iommu.asked.len(), asked, "the IOMMU is left alone");
    assert_eq!(bench.dma.counters().pages_pinned, pinned);
    assert_eq!(pinned, 18);
}
