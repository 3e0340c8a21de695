//! Exits by reason.

use core::sync::atomic::{AtomicU64, Ordering};

use guest_abi::summary::Exits;

macro_rules! counters {
    ($($name:ident),*) => {
        /// How often the guest left for Oche, and why.
        #[derive(Default)]
        pub(in crate::el2) struct Counters { $(pub(in crate::el2) $name: Counter),* }

        impl Counters {
            /// As they stand.
            pub(in crate::el2) fn exits(&self) -> Exits {
                Exits { total: 0 $(+ self.$name.get())*, $($name: self.$name.get()),* }
            }
        }
    };
}

counters!(
    irq,
    fiq,
    hvc,
    smc,
    sysreg,
    dart,
    gic,
    uart,
    pci,
    wfx,
    stage2_other,
    other
);

/// A number that any core may raise.
#[derive(Default)]
pub(in crate::el2) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(in crate::el2) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
