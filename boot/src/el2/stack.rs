//! The cores' stacks. All of them are in the image, each behind a guard frame that is mapped nowhere (`image.ld`): a
//! stack that runs over meets it, and the report comes from the core's emergency stack.

use boot::range::PaRange;
use hv_core::Pa;
use hv_core::addr::FRAME_SIZE;
use hv_core::arch::aarch64::failure::CORE_SLOTS;
use hv_core::backtrace;
use hv_core::psci::MAX_VCPUS;

use super::image;

// A started core gets the slot of its vCPU's number, and `image.ld` has room for eight of each kind.
const _: () = assert!(MAX_VCPUS <= CORE_SLOTS && CORE_SLOTS == 8);

/// Bytes of a started core's stack.
const STARTED: u64 = 4 * FRAME_SIZE;
/// Bytes of an emergency stack.
const EMERGENCY: u64 = FRAME_SIZE;

/// A core's stack. What a core that is started is to do lies at the bottom.
#[derive(Clone, Copy)]
pub(super) struct Stack {
    bottom: Pa,
    top: Pa,
}

impl Stack {
    /// The stack of the core with this slot. A core that sleeps may still stand on it when it is started again.
    pub(super) fn of_core(slot: usize) -> Option<Self> {
        let after_guard = |guard: Pa, size: u64| {
            let bottom = guard.checked_add(FRAME_SIZE)?;
            let top = bottom.checked_add(size)?;
            Some(Self { bottom, top })
        };
        match slot.checked_sub(1) {
            None => {
                let primary = image::stacks_primary();
                after_guard(primary.start(), primary.size().checked_sub(FRAME_SIZE)?)
            }
            Some(nth) => {
                let all = image::stacks_started();
                let guard = all
                    .start()
                    .checked_add((STARTED + FRAME_SIZE).checked_mul(nth as u64)?)?;
                after_guard(guard, STARTED).filter(|stack| stack.top <= all.end())
            }
        }
    }

    /// Its lowest address.
    pub(super) const fn bottom(&self) -> Pa {
        self.bottom
    }

    /// The first address above it, which a stack pointer starts from.
    pub(super) const fn top(&self) -> Pa {
        self.top
    }

    /// Its addresses, for a walk through it.
    pub(super) const fn addresses(&self) -> backtrace::Stack {
        backtrace::Stack {
            bottom: self.bottom.get(),
            top: self.top.get(),
        }
    }
}

/// The guard frames: the lowest frame of each stack's room.
pub(super) fn guards() -> impl Iterator<Item = Pa> {
    let every = |range: PaRange, step: u64| {
        let start = range.start();
        (0..range.size() / step).filter_map(move |nth| start.checked_add(nth * step))
    };
    let primary = image::stacks_primary();
    every(primary, primary.size())
        .chain(every(image::stacks_started(), STARTED + FRAME_SIZE))
        .chain(every(image::stacks_emergency(), EMERGENCY + FRAME_SIZE))
}
