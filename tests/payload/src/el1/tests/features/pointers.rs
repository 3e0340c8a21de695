//! Pointer authentication: its fields are alternatives, and most of its instructions are hints.

use core::arch::asm;

use super::registers::Registers;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::exceptions::expecting;

/// SCTLR_EL1.EnIA
const ENABLE: u64 = 1 << 31;

/// Signs and authenticates with two keys, or meets undefined instructions.
pub(super) fn sign(bench: &mut Bench, registers: &Registers) -> Result<(), Failure> {
    let address = [(6, 1, 4), (6, 1, 8), (6, 2, 12)];
    let generic = [(6, 1, 24), (6, 1, 28), (6, 2, 8)];
    let shown = |places: [(u8, u8, u32); 3]| {
        places
            .iter()
            .any(|&(crm, op2, low)| registers.field(crm, op2, low) != 0)
    };
    let (address, generic) = (shown(address), shown(generic));
    fact!(
        bench,
        "pointer authentication: addresses {address}, generic {generic}"
    );
    must(
        address == generic,
        "half of pointer authentication is shown",
    )?;
    let ((), keys) = expecting(|| set_keys(1));
    if !address {
        let (_, sum) = expecting(checksum);
        return must(
            [keys, sum]
                .iter()
                .all(|it| it.is_some_and(|it| it.is_undefined())),
            "pointer authentication is there, but not shown",
        );
    }
    must(keys.is_none(), "the keys are shown, but not there")?;
    let (first, first_sum) = (expecting(round_trip), expecting(checksum));
    set_keys(2);
    let (second, second_sum) = (expecting(round_trip), expecting(checksum));
    for (_, syndrome) in [first, second] {
        must(syndrome.is_none(), "a pointer could not be signed")?;
    }
    for ((signed, back), _) in [first, second] {
        must(
            back == POINTER && signed & 0x7f_ffff_ffff == POINTER,
            "a signed pointer does not come back",
        )?;
    }
    must(
        first.0.0 != POINTER && first.0.0 != second.0.0,
        "a signature does not depend on the key",
    )?;
    must(
        first_sum.1.is_none() && second_sum.1.is_none() && first_sum.0 != second_sum.0,
        "a generic signature does not depend on the key",
    )
}

/// An address of the lower half, in the 39 bits that the payload's tables span.
const POINTER: u64 = 0x12_3456_7890;

/// `APIAKey_EL1` and `APGAKey_EL1`.
fn set_keys(seed: u64) {
    // SAFETY: the payload signs nothing else.
    unsafe {
        asm!(
            ".arch_extension pauth",
            "msr apiakeylo_el1, {seed}",
            "msr apiakeyhi_el1, {seed}",
            "msr apgakeylo_el1, {seed}",
            "msr apgakeyhi_el1, {seed}",
            "isb",
            seed = in(reg) seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            options(nostack)
        );
    }
}

/// The signed pointer, and what authenticating it gives.
fn round_trip() -> (u64, u64) {
    let (signed, back): (u64, u64);
    // SAFETY: signing is turned on for these few instructions, and they use the result as a number.
    unsafe {
        asm!(
            ".arch_extension pauth",
            "mrs {control}, sctlr_el1",
            "orr {on}, {control}, {enable}",
            "msr sctlr_el1, {on}",
            "isb",
            "pacia {signed}, {enable}",
            "mov {back}, {signed}",
            "autia {back}, {enable}",
            "msr sctlr_el1, {control}",
            "isb",
            control = out(reg) _,
            on = out(reg) _,
            enable = in(reg) ENABLE,
            signed = inout(reg) POINTER => signed,
            back = out(reg) back,
            options(nostack)
        );
    }
    (signed, back)
}

/// `PACGA`, which has no enable.
fn checksum() -> u64 {
    let sum: u64;
    // SAFETY: registers alone.
    unsafe {
        asm!(".arch_extension pauth", "pacga {0}, {1}, {1}", inout(reg) 0_u64 => sum, in(reg) POINTER, options(nostack))
    };
    sum
}
