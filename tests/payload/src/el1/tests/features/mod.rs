//! CPU features: what the ID registers show works, what they do not show is undefined, and they show no more than a
//! guest of Oche may see.
//!
//! The expectations are written here once more and not taken from Oche's table, so that a slip there is found.

mod debug;
mod hidden;
mod pointers;
mod probes;
mod registers;

use self::probes::{PROBES, WITHOUT_INSTRUCTIONS};
use self::registers::Registers;
use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::exceptions::expecting;

/// Every core here has these, so that a guest which is shown nothing does not pass (Armv8.2, and LSE from Armv8.1).
const AT_LEAST: usize = 15;

/// Reads every ID register and uses everything.
pub(super) fn features(bench: &mut Bench) -> Result<Finding, Failure> {
    let registers = Registers::read();
    for (name, value) in registers.named() {
        fact!(bench, "{name} {value:#018x}");
    }
    registers.check(bench)?;
    enable_vectors(FLOATING_POINT);
    use_instructions(bench, &registers)?;
    pointers::sign(bench, &registers)?;
    debug::breakpoint(bench, &registers)?;
    enable_vectors(FLOATING_POINT | SCALABLE);
    let hidden = hidden::all(bench);
    enable_vectors(FLOATING_POINT);
    hidden?;
    Ok(Finding::Works)
}

/// CPACR_EL1.FPEN
const FLOATING_POINT: u64 = 0b11 << 20;
/// CPACR_EL1.{ZEN,SMEN}: without these a core that has SVE and SME says so to EL1, before it asks EL2.
const SCALABLE: u64 = 0b11 << 16 | 0b11 << 24;

/// The payload itself is built without vector registers, so that any of them may be used up.
fn enable_vectors(which: u64) {
    // SAFETY: nothing of the payload is in a vector register.
    unsafe { core::arch::asm!("msr cpacr_el1, {}", "isb", in(reg) which, options(nostack)) };
}

fn use_instructions(bench: &mut Bench, registers: &Registers) -> Result<(), Failure> {
    let (mut shown, mut absent) = (0, 0);
    let mut right = true;
    for probe in PROBES {
        let (value, syndrome) = expecting(probe.run);
        let is_undefined = syndrome.is_some_and(|it| it.is_undefined());
        let Some(is_shown) = (probe.shown)(registers) else {
            continue;
        };
        let as_it_should = if is_shown {
            shown += 1;
            syndrome.is_none() && value == probe.result
        } else {
            absent += 1;
            is_undefined
        };
        if !as_it_should {
            fact!(
                bench,
                "{}: shown {is_shown}, result {value:#x}, {syndrome:x?}",
                probe.name
            );
            right = false;
        }
    }
    fact!(
        bench,
        "{shown} shown and used, {absent} not shown and undefined"
    );
    must(right, "the ID registers and the instructions do not agree")?;
    must(shown >= AT_LEAST, "hardly anything is shown")?;
    for (crm, op2) in [(6, 0), (6, 1), (6, 2), (6, 3)] {
        let looked_at = PROBES
            .iter()
            .map(|probe| (probe.place, probe.mask))
            .chain(WITHOUT_INSTRUCTIONS.iter().copied())
            .filter(|(place, _)| *place == (crm, op2))
            .fold(0, |all, (_, mask)| all | mask);
        let rest = registers.get(crm, op2) & !looked_at;
        if rest != 0 {
            fact!(
                bench,
                "ID_AA64ISAR{op2}_EL1: {rest:#x} is shown and was not used"
            );
            return Err(Failure::Wrong(
                "a feature is shown that this test does not know",
            ));
        }
    }
    Ok(())
}
