//! Where the parts of the running image are: the linker script's symbols.

use boot::range::PaRange;
use hv_core::Pa;
use hv_core::addr::FRAME_SIZE;
use hv_core::arch::aarch64::barrier;
use hv_core::arch::aarch64::mmu::Use;

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

/// What each part of it is for. The frames below the stacks are missing on purpose.
pub(super) fn sections() -> [(PaRange, Use); 5] {
    let start = address_of!(__image_start);
    let text = address_of!(__text_end);
    let rodata = address_of!(__rodata_end);
    let primary_guard = address_of!(__stack_guard_primary);
    let emergency_guard = address_of!(__stack_guard_emergency);
    let past = |pa: Pa| pa.checked_add(FRAME_SIZE).unwrap_or(pa);
    [
        (between(start, text), Use::Code),
        (between(text, rodata), Use::Constants),
        (between(rodata, primary_guard), Use::Data),
        (between(past(primary_guard), emergency_guard), Use::Data),
        (
            between(past(emergency_guard), address_of!(__image_end)),
            Use::Data,
        ),
    ]
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
