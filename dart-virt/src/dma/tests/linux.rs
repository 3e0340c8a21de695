//! What Linux's apple-dart driver does, in its own order (dart reference 3.1).

use crate::testing::*;

const IOVA: u64 = 0xffff_c000;
/// L1 entry and L2 entry of [`IOVA`].
const L1: u64 = 127;
const L2: u64 = 2047;
const ROOT: u64 = 10;
const LEAVES: u64 = 11;

fn probed() -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.read(0x00) >> 24 & 0xf, 14, "16 KiB pages");
    assert_eq!(bench.read(0x04) & 1, 0, "no bypass");
    assert_eq!(bench.read(0x60) & 0x8000, 0, "not locked");
    for stream in 0..16 {
        bench.write(0x100 + 4 * stream, 0);
    }
    for index in 0..4 {
        for stream in 0..16 {
            bench.write(0x200 + 16 * stream + 4 * index, 0);
        }
    }
    bench.write(0xfc, 0xffff_ffff);
    let error = bench.read(0x40);
    bench.write(0x40, error);
    bench.invalidate(0xffff);
    bench
}

/// Probed, attached, and one page mapped.
fn mapped() -> Bench {
    let mut bench = probed();
    bench.attach(STREAM, ROOT);
    bench.entry(LEAVES, L2, leaf(20));
    bench.entry(ROOT, L1, table(LEAVES));
    bench.invalidate(1 << 1);
    bench
}

#[test]
fn linux_apple_dart_probe_sequence() {
    let bench = probed();
    assert_eq!(bench.dma.counters().flushes, 1);
    assert_eq!(
        bench.iommu.asked,
        [
            Asked::Open(crate::iommu::ContextId(1)),
            Asked::Attach(DEVICE, crate::iommu::ContextId(1)),
        ]
    );
    bench.finish();
}

#[test]
fn what_was_mapped_is_published_before_the_store_retires() {
    let mut bench = mapped();
    let published = |asked: &Asked| matches!(asked, Asked::Publish(_));
    assert!(bench.iommu.asked.last().is_some_and(published));
    bench.iommu.asked.clear();
    bench.entry(LEAVES, L2, 0);
    bench.invalidate(1 << 1);
    assert!(
        !bench.iommu.asked.iter().any(published),
        "nothing was added"
    );
    bench.finish();
}

#[test]
fn a_mapped_page_is_reached_at_its_host_address() {
    let mut bench = mapped();
    assert_eq!(
        bench.iommu.access(DEVICE, IOVA + 8, true),
        host_page(20).checked_add(8)
    );
    assert_eq!(bench.iommu.access(DEVICE, IOVA - PAGE, false), None);
    let counters = bench.dma.counters();
    assert_eq!((counters.pages_mapped, counters.pages_pinned), (1, 1));
    assert_eq!((counters.translations_moved, counters.tables), (1, 2));
    assert_eq!(counters.host_invalidations, 0, "nothing was taken back");
    bench.check();
    bench.finish();
}

#[test]
fn a_page_is_unpinned_only_after_the_iommu_forgot_it() {
    let mut bench = mapped();
    bench.entry(LEAVES, L2, 0);
    // The mock checks at the invalidation that what it remembers is still pinned.
    bench.invalidate(1 << 1);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, false), None);
    let counters = bench.dma.counters();
    assert_eq!((counters.pages_unmapped, counters.pages_pinned), (1, 0));
    assert_eq!(counters.pages_pinned_peak, 1);
    assert_eq!(counters.host_invalidations, 1);
    bench.check();
    bench.finish();
}

#[test]
fn a_scatter_list_costs_one_host_invalidation_to_unmap() {
    let mut bench = mapped();
    for index in 0..40 {
        bench.entry(LEAVES, index * 3, leaf(20 + index % 30));
        bench.entry(LEAVES + 1, index, leaf(20 + index % 30));
    }
    bench.entry(ROOT, 3, table(LEAVES + 1));
    bench.invalidate(1 << 1);
    assert_eq!(bench.dma.counters().pages_mapped, 81);
    for index in 0..40 {
        bench.entry(LEAVES, index * 3, 0);
        bench.entry(LEAVES + 1, index, 0);
    }
    bench.invalidate(1 << 1);
    assert_eq!(bench.dma.counters().host_invalidations, 1);
    assert_eq!(bench.dma.counters().pages_pinned, 1);
    bench.check();
    bench.finish();
}

#[test]
fn a_page_that_changes_its_target_is_broken_before_it_is_made() {
    let mut bench = mapped();
    bench.entry(LEAVES, L2, leaf(21));
    // The mock refuses a translation that changes while it remembers the old one.
    bench.invalidate(1 << 1);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), Some(host_page(21)));
    assert_eq!(bench.dma.counters().host_invalidations, 1);
    bench.check();
    bench.finish();
}

#[test]
fn a_table_that_is_exchanged_takes_all_its_leaves_with_it() {
    let mut bench = mapped();
    bench.entry(LEAVES + 1, 0, leaf(22));
    bench.entry(ROOT, L1, table(LEAVES + 1));
    bench.invalidate(1 << 1);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), None);
    let first = L1 << 25;
    assert_eq!(bench.iommu.access(DEVICE, first, true), Some(host_page(22)));
    assert_eq!(bench.dma.counters().tables, 2);
    bench.check();
    bench.finish();
}

#[test]
fn a_fault_is_told_by_error_and_address_until_it_is_acknowledged() {
    let mut bench = mapped();
    bench.iommu.access(DEVICE, IOVA - PAGE + 0x10, true);
    bench.iommu.access(DEVICE, 0x1_0000_0000, false);
    // FLAG, stream 1, NO_PTE alone.
    assert_eq!(bench.read(0x40), 0x8100_0004);
    assert!(bench.dma.interrupt());
    assert_eq!(bench.read(0x50), 0xffff_8010);
    assert_eq!(bench.read(0x54), 0);
    let counters = bench.dma.counters();
    assert_eq!(
        (counters.faults, counters.faults_unshown),
        (2, 1),
        "the first one stays"
    );
    bench.write(0x40, 0x8100_0004);
    assert_eq!(bench.read(0x40), 0);
    assert!(!bench.dma.interrupt());

    for (iova, write, code) in [
        (0x1_0000_0000, false, 2),  // no L1 entry
        (0x10_0000_0000, false, 1), // no TTBR[1]
        (0x40_0000_0000, true, 1),  // past the last TTBR
    ] {
        bench.iommu.access(DEVICE, iova, write);
        assert_eq!(bench.read(0x40), 0x8100_0000 | code, "{iova:#x}");
        assert_eq!(bench.read(0x54), (iova >> 32) as u32);
        bench.write(0x40, 0xffff_ffff);
    }
    bench.finish();
}

#[test]
fn a_read_only_page_refuses_the_write_with_its_own_code() {
    let mut bench = mapped();
    bench.entry(LEAVES, 0, leaf(22) | 1 << 7);
    bench.invalidate(1 << 1);
    let iova = L1 << 25;
    assert_eq!(bench.iommu.access(DEVICE, iova, false), Some(host_page(22)));
    assert_eq!(bench.iommu.access(DEVICE, iova, true), None);
    assert_eq!(bench.read(0x40), 0x8100_0008);
    bench.finish();
}

#[test]
fn a_new_root_waits_for_the_next_invalidation() {
    let mut bench = mapped();
    bench.write(0x210, 0x8000_0000 | (ram(ROOT + 5).get() >> 12) as u32);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), Some(host_page(20)));
    bench.invalidate(1 << 1);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), None);
    assert_eq!(
        bench.dma.counters().pages_pinned,
        0,
        "the old space is gone"
    );
    bench.check();
    bench.finish();
}

#[test]
fn a_blocked_stream_goes_nowhere_and_says_no_ttbr() {
    let mut bench = mapped();
    bench.write(0x104, 0);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), None);
    assert_eq!(bench.read(0x40), 0x8100_0001);
    assert_eq!(bench.dma.counters().pages_pinned, 0);
    bench.write(0x104, 0x1100);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), None);
    assert_eq!(bench.dma.counters().bypass_refused, 1);
    bench.write(0x104, 0x180);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), None);
    bench.write(0x104, 0x80);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), Some(host_page(20)));
    bench.check();
    bench.finish();
}

#[test]
fn streams_with_the_same_roots_share_one_space() {
    let other = crate::iommu::HostStream(0x10);
    let mut bench = mapped();
    bench
        .call(|dma, host| dma.assign(host, stream(2), other))
        .unwrap();
    assert_eq!(bench.iommu.access(other, IOVA, false), None);
    bench.attach(stream(2), ROOT);
    assert_eq!(bench.iommu.access(other, IOVA, false), Some(host_page(20)));
    assert_eq!(bench.dma.counters().pages_pinned, 1, "one shadow for both");
    bench.write(0x104, 0);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, false), None);
    assert_eq!(bench.iommu.access(other, IOVA, false), Some(host_page(20)));
    bench.entry(LEAVES, L2, 0);
    bench.invalidate(1 << 2);
    assert_eq!(bench.iommu.access(other, IOVA, false), None);
    bench.check();
    bench.finish();
}

#[test]
fn without_the_shadow_nothing_is_ever_reached() {
    let mut bench = Bench::with(
        crate::dma::Settings {
            shadow: false,
            ..settings()
        },
        64,
    );
    bench.entry(LEAVES, L2, leaf(20));
    bench.entry(ROOT, L1, table(LEAVES));
    bench.attach(STREAM, ROOT);
    assert_eq!(bench.iommu.access(DEVICE, IOVA, true), None);
    assert_eq!(bench.dma.counters().pages_mapped, 0);
    bench.finish();
}

#[test]
fn a_guests_dma_may_move_to_another_core() {
    fn is_send<T: Send>(_: &T) {}
    let bench = probed();
    is_send(&bench.dma);
    bench.finish();
}
