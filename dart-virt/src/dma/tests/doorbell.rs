//! The frame that a device writes its messages to.

use hv_core::layout::V2M_BASE;
use hv_core::ownership::{AssignmentError, GuestId};

use crate::dma::Settings;
use crate::space::Widening;
use crate::testing::*;

const ROOT: u64 = 10;
const LEAVES: u64 = 11;
/// Linux maps a doorbell write-only (`iommu_dma_get_msi_page`).
const WRITE_ONLY: u64 = 1 << 8;

/// A device that is attached to a table whose first leaf names the doorbell.
fn attached(mut bench: Bench) -> Bench {
    bench.entry(ROOT, 0, table(LEAVES));
    bench.entry(LEAVES, 0, leaf_at(V2M_BASE.get()) | WRITE_ONLY);
    bench.attach(STREAM, ROOT);
    bench
}

fn with_doorbell(settings: Settings) -> Bench {
    let mut bench = Bench::with(settings, 4096);
    bench.give_doorbell(GUEST);
    bench
}

#[test]
fn a_leaf_to_the_guests_doorbell_leads_to_the_hosts() {
    let mut bench = attached(with_doorbell(settings()));
    let translater = DOORBELL.base().checked_add(0x40);
    assert_eq!(bench.iommu.access(DEVICE, 0x40, true), translater);
    assert_eq!(bench.ownership.register_pins(DOORBELL, GUEST), Some(1));
    let counters = bench.dma.counters();
    assert_eq!((counters.pages_pinned, counters.leaves_widened), (1, 1));
    bench.entry(LEAVES, 5, leaf_at(V2M_BASE.get()));
    bench.entry(LEAVES, 6, leaf(20));
    bench.invalidate(2);
    assert_eq!(bench.ownership.register_pins(DOORBELL, GUEST), Some(2));
    bench.check();
    bench.finish();
}

#[test]
fn a_doorbell_that_was_unmapped_is_not_reached_and_not_pinned() {
    let mut bench = attached(with_doorbell(settings()));
    let back = |bench: &Bench| bench.ownership.withdraw_registers(DOORBELL, GUEST);
    assert_eq!(back(&bench), Err(AssignmentError::Pinned(1)));
    bench.entry(LEAVES, 0, 0);
    bench.invalidate(2);
    assert_eq!(bench.iommu.access(DEVICE, 0x40, true), None);
    assert_eq!(bench.ownership.register_pins(DOORBELL, GUEST), Some(0));
    bench.check();
    bench.call(|dma, host| dma.shutdown(host)).unwrap();
    assert_eq!(back(&bench), Ok(()));
}

#[test]
fn what_lies_beside_the_doorbell_is_refused() {
    let mut bench = attached(with_doorbell(settings()));
    let doorbell = V2M_BASE.get();
    let neighbours = [doorbell - PAGE, doorbell + PAGE, doorbell + 0x1_0000];
    // The machine's own address of the doorbell is no address of the guest.
    let addresses = neighbours.into_iter().chain([DOORBELL.base().get()]);
    for (index, address) in (1..).zip(addresses) {
        bench.entry(LEAVES, index, leaf_at(address));
    }
    bench.invalidate(2);
    let counters = bench.dma.counters();
    assert_eq!((counters.leaves_refused, counters.pages_mapped), (4, 1));
    bench.check();
    bench.finish();
}

#[test]
fn without_a_doorbell_the_leaf_is_refused() {
    let mut bench = attached(Bench::new());
    assert_eq!(bench.dma.counters().leaves_refused, 1);
    assert_eq!(bench.iommu.access(DEVICE, 0x40, true), None);
    bench.check();
    bench.finish();
}

#[test]
fn another_guests_doorbell_is_refused_even_where_the_address_leads_to_it() {
    let mut bench = Bench::new();
    bench.give_doorbell(GuestId::new(9).unwrap());
    let mut bench = attached(bench);
    assert_eq!(bench.dma.counters().leaves_refused, 1);
    assert_eq!(bench.iommu.access(DEVICE, 0x40, true), None);
    bench.check();
    bench.finish();
}

#[test]
fn the_doorbell_is_no_table() {
    let mut bench = attached(with_doorbell(settings()));
    bench.entry(ROOT, 1, V2M_BASE.get() | 1);
    bench.invalidate(2);
    assert_eq!(bench.dma.counters().tables_refused, 1);
    bench.check();
    bench.finish();
}

#[test]
fn a_doorbell_cannot_be_had_write_only_where_nothing_may_be_widened() {
    let widening = Widening::Refuse;
    let settings = Settings {
        widening,
        ..settings()
    };
    let mut bench = attached(with_doorbell(settings));
    assert_eq!(bench.dma.counters().leaves_refused, 1);
    bench.entry(LEAVES, 1, leaf_at(V2M_BASE.get()));
    bench.invalidate(2);
    let at = DOORBELL.base().checked_add(0x40);
    assert_eq!(bench.iommu.access(DEVICE, PAGE + 0x40, true), at);
    bench.check();
    bench.finish();
}
