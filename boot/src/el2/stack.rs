//! Stacks of cores that are started later; the boot core's is in the image.

use hv_core::Pa;
use hv_core::addr::FRAME_SIZE;
use hv_core::frames::Frames;

use super::allocator::FRAMES;

/// log2 of the frames of a started core's stack.
const STACK_ORDER: u32 = 2;

/// The stack of a core that is started later. What it is to do then lies at the bottom.
#[derive(Clone, Copy)]
pub(super) struct Stack {
    bottom: Pa,
}

impl Stack {
    /// A stack that is never given back: a core that sleeps may still stand on it.
    pub(super) fn new() -> Option<Self> {
        Some(Self {
            bottom: FRAMES.allocate_contiguous(STACK_ORDER)?.base(),
        })
    }

    /// Its lowest address.
    pub(super) const fn bottom(&self) -> Pa {
        self.bottom
    }

    /// The first address above it, which a stack pointer starts from.
    pub(super) const fn top(&self) -> Pa {
        // Cannot wrap: the allocator gave all of it.
        Pa::new(self.bottom.get().wrapping_add(FRAME_SIZE << STACK_ORDER))
    }
}
