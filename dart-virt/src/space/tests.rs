//! Spaces filled by explicit maps; those that follow a guest's tables are tested from the door
//! (`dma::tests`).

use hv_core::layout::V2M_BASE;
use hv_core::{Iova, Ipa};

use super::*;
use crate::format::Access;
use crate::iommu::Memory;
use crate::testing::*;

const ALL: Access = Access::READ_WRITE;

/// Runs `test` with a space of its own beside the guest's.
fn with(host_frames: usize, test: impl FnOnce(&mut Space, &mut Work<'_, '_>)) {
    let mut bench = Bench::without_device(settings(), host_frames);
    let mut counters = Counters::default();
    with_bench(&mut bench, &mut counters, test);
    assert_eq!(counters.pages_pinned, 0);
    bench.finish();
}

fn with_bench(
    bench: &mut Bench,
    counters: &mut Counters,
    test: impl FnOnce(&mut Space, &mut Work<'_, '_>),
) {
    bench.call(|_, host| {
        let mut work = Work {
            host,
            guest: GUEST,
            variant: &crate::variant::T8103,
            widening: Widening::Refuse,
            guards: Guards::default(),
            counters,
            notices: &mut Notices::default(),
            scratch: &mut Scratch::new().unwrap(),
        };
        let mut space = Space::open(&mut work, Source::Explicit).unwrap();
        test(&mut space, &mut work);
        assert!(space.close(&mut work).is_ok());
    });
}

#[test]
fn an_explicit_run_is_mapped_and_taken_back() {
    with(64, |space, work| {
        let iova = Iova::new(0x4000_0000);
        space.map(work, iova, ram(4), 8 * PAGE, ALL).unwrap();
        assert_eq!(work.counters.pages_pinned, 8);
        let found = space
            .table()
            .walk(work.host.frames, iova.get() + 3 * PAGE + 1)
            .unwrap();
        assert_eq!(found.output, host_page(7).checked_add(1).unwrap());
        space.unmap(work, iova, 3 * PAGE).unwrap();
        assert_eq!(
            (work.counters.pages_pinned, work.counters.host_invalidations),
            (5, 1)
        );
        space
            .map(
                work,
                iova,
                ram(20),
                PAGE,
                Access {
                    read: true,
                    write: false,
                },
            )
            .unwrap();
    });
}

#[test]
fn an_identity_space_holds_the_doorbell_as_well() {
    let mut bench = Bench::without_device(settings(), 64);
    bench.give_doorbell(GUEST);
    let mut counters = Counters::default();
    with_bench(&mut bench, &mut counters, |space, work| {
        let iova = Iova::new(V2M_BASE.get());
        space.map(work, iova, V2M_BASE, PAGE, ALL).unwrap();
        let found = space
            .table()
            .walk(work.host.frames, iova.get() + 0x40)
            .unwrap();
        assert_eq!(found.output, DOORBELL.base().checked_add(0x40).unwrap());
        assert_eq!(found.attributes.memory(), Memory::Device);
        let neighbour = V2M_BASE.checked_add(PAGE).unwrap();
        let refused = space.map(work, Iova::new(0), neighbour, PAGE, ALL);
        assert_eq!(refused, Err(ExplicitError::NotOwned));
    });
    bench.finish();
}

#[test]
fn an_explicit_run_is_mapped_as_a_whole_or_not_at_all() {
    with(64, |space, work| {
        let iova = Iova::new(0);
        space
            .map(work, Iova::new(5 * PAGE), ram(0), PAGE, ALL)
            .unwrap();
        let map = |space: &mut Space, work: &mut Work<'_, '_>, at: Ipa, pages| {
            space.map(work, iova, at, pages * PAGE, ALL)
        };
        assert_eq!(map(space, work, ram(1), 8), Err(ExplicitError::Occupied));
        assert_eq!(
            map(space, work, ram(RAM_FRAMES - 2), 3),
            Err(ExplicitError::NotOwned)
        );
        assert_eq!(
            map(space, work, Ipa::new(RAM + 1), 1),
            Err(ExplicitError::BadRun)
        );
        assert_eq!(work.counters.pages_pinned, 1);
        let far = Iova::new((1 << 38) - PAGE);
        assert_eq!(
            space.map(work, far, ram(1), 2 * PAGE, ALL),
            Err(ExplicitError::BadRun)
        );
        let write = Access {
            read: false,
            write: true,
        };
        assert_eq!(
            space.map(work, iova, ram(1), PAGE, write),
            Err(ExplicitError::Inexpressible)
        );
    });
}

#[test]
fn an_explicit_run_needs_memory_for_its_tables() {
    // One frame each: the guest's empty root and the space's.
    with(2, |space, work| {
        let refused = space.map(work, Iova::new(0), ram(1), PAGE, ALL);
        assert_eq!(refused, Err(ExplicitError::OutOfMemory));
        assert_eq!(work.counters.pages_pinned, 0);
    });
}
