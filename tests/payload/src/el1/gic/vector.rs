//! IRQs by the vector: acknowledged, recorded, handled, ended.

use core::mem;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::icc;
use crate::el1::cores;

/// INTIDs that are counted.
pub(in crate::el1) const INTIDS: usize = 512;
/// Acknowledgements whose order is kept.
const KEPT: usize = 64;

/// Acknowledgements of one check at most: no check has so many, and one that never ends would starve what looks at the
/// time.
const LIMIT: u32 = 200_000;

/// What to do between acknowledgement and end.
pub(in crate::el1) type Handler = fn(u32);

/// A core's record.
pub(in crate::el1) struct Record {
    handler: AtomicPtr<()>,
    counts: [AtomicU32; INTIDS],
    order: [AtomicU32; KEPT],
    taken: AtomicU32,
    spurious: AtomicU32,
}

static RECORDS: [Record; cores::MAX] = [const {
    Record {
        handler: AtomicPtr::new(core::ptr::null_mut()),
        counts: [const { AtomicU32::new(0) }; INTIDS],
        order: [const { AtomicU32::new(0) }; KEPT],
        taken: AtomicU32::new(0),
        spurious: AtomicU32::new(0),
    }
}; cores::MAX];

/// The record of a core.
pub(in crate::el1) fn record(core: usize) -> &'static Record {
    &RECORDS[core]
}

impl Record {
    /// From now on this handles the interrupts of the core.
    pub(in crate::el1) fn arm(&self, handler: Handler) {
        for counter in self.counts.iter().chain([&self.taken, &self.spurious]) {
            counter.store(0, Ordering::Relaxed);
        }
        self.handler.store(handler as *mut (), Ordering::Release);
    }

    /// From now on an IRQ is one that nobody expected.
    pub(in crate::el1) fn disarm(&self) {
        self.handler.store(core::ptr::null_mut(), Ordering::Release);
    }

    fn handler(&self) -> Option<Handler> {
        let handler = self.handler.load(Ordering::Acquire);
        // SAFETY: `arm` alone stores what is not null, and that was a `Handler`.
        (!handler.is_null()).then(|| unsafe { mem::transmute::<*mut (), Handler>(handler) })
    }

    /// How often an interrupt was acknowledged.
    pub(in crate::el1) fn count(&self, intid: u32) -> u32 {
        self.counts[intid as usize % INTIDS].load(Ordering::Acquire)
    }

    /// How many were acknowledged.
    pub(in crate::el1) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Acquire)
    }

    /// How often an IRQ came with nothing to acknowledge: it was withdrawn on the way.
    pub(in crate::el1) fn spurious(&self) -> u32 {
        self.spurious.load(Ordering::Acquire)
    }

    /// The number of the acknowledgement at `index`, of the last 64.
    pub(in crate::el1) fn order(&self, index: u32) -> u32 {
        self.order[index as usize % KEPT].load(Ordering::Acquire)
    }
}

/// Handles an IRQ; `false` if nobody expects one on this core. It is masked, unless the handler lets others through.
pub(in crate::el1) fn take() -> bool {
    let record = record(cores::this());
    let Some(handler) = record.handler() else {
        return false;
    };
    let intid = icc::acknowledge();
    if (1020..=super::SPURIOUS).contains(&intid) {
        let spurious = record.spurious.fetch_add(1, Ordering::Relaxed);
        assert!(spurious < LIMIT, "an IRQ without an interrupt does not end");
        return true;
    }
    let at = record.taken.fetch_add(1, Ordering::AcqRel);
    assert!(at < LIMIT, "INTID {intid} comes again and again");
    record.order[at as usize % KEPT].store(intid, Ordering::Release);
    record.counts[intid as usize % INTIDS].fetch_add(1, Ordering::AcqRel);
    handler(intid);
    icc::end(intid);
    true
}

/// For interrupts that need nothing but to be counted.
pub(in crate::el1) fn ignore(_: u32) {}
