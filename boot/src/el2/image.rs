//! Where the parts of the running image are: the linker script's symbols.

use core::iter;

use boot::range::PaRange;
use hv_core::Pa;
use hv_core::addr::FRAME_SIZE;
use hv_core::arch::aarch64::barrier;
use hv_core::arch::aarch64::mmu::Use;

use super::stack;

macro_rules! address_of {
    ($symbol:ident) => {{
        unsafe extern "C" {
            static $symbol: u8;
        }
        // Only the address is taken.
        Pa::new(&raw const $symbol as u64)
    }};
}

/// The whole image, stacks included.
pub(super) fn range() -> PaRange {
    between(address_of!(__image_start), address_of!(__image_end))
}

/// What each part of it is for. The guard frames below the stacks are missing on purpose.
pub(super) fn sections() -> impl Iterator<Item = (PaRange, Use)> {
    let start = address_of!(__image_start);
    let text = address_of!(__text_end);
    let rodata = address_of!(__rodata_end);
    let end = address_of!(__image_end);
    let past = |pa: Pa| pa.checked_add(FRAME_SIZE).unwrap_or(pa);
    // The data end below the first guard; the stack above each guard ends below the next.
    let starts = iter::once(rodata).chain(stack::guards().map(past));
    let ends = stack::guards().chain(iter::once(end));
    let data = starts
        .zip(ends)
        .map(|(from, to)| (between(from, to), Use::Data));
    [
        (between(start, text), Use::Code),
        (between(text, rodata), Use::Constants),
    ]
    .into_iter()
    .chain(data)
}

/// Oche's code: where return addresses lie.
pub(super) fn code() -> PaRange {
    between(address_of!(__image_start), address_of!(__text_end))
}

/// The boot core's stack with its guard.
pub(super) fn stacks_primary() -> PaRange {
    between(address_of!(__stack_primary), address_of!(__stacks_started))
}

/// Those of cores that are started later.
pub(super) fn stacks_started() -> PaRange {
    between(
        address_of!(__stacks_started),
        address_of!(__stacks_emergency),
    )
}

/// Those that a failure is reported from.
pub(super) fn stacks_emergency() -> PaRange {
    between(address_of!(__stacks_emergency), address_of!(__stacks_end))
}

/// Where the boot core's stack begins.
pub(super) fn stack_top() -> Pa {
    address_of!(__stack_primary_top)
}

/// Where a core that the platform starts begins.
pub(super) fn secondary_entry() -> Pa {
    address_of!(oche_secondary_entry)
}

fn between(start: Pa, end: Pa) -> PaRange {
    match PaRange::between(start, end) {
        Some(range) => range,
        None => barrier::halt(), // `image.ld` has them in this order
    }
}
