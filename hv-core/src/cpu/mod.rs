//! Which CPU features a guest sees: one table, by field of the ID registers ([`TABLE`]), and the traps that make it
//! true ([`CONTROLS`]). `docs/cpu.md` shows it row by row.
//!
//! It is a list of what is allowed: a register or a field that is not in it reads as zero, so that a core newer than
//! this table shows a guest nothing that nobody thought of.

mod control;
#[cfg(test)]
mod document;
mod field;
mod table;
#[cfg(test)]
mod tests;

pub use control::{CONTROLS, Control, TrapControls, TrapRegister};
pub use field::{Decision, Field, IdRegister};
pub use table::TABLE;

use crate::trap::Encoding;

const ID_AA64PFR0_EL1: Encoding = Encoding(3, 0, 0, 4, 0);

/// What a guest reads from the ID register `register` (op0 3, op1 0, CRn 0, CRm 1 to 7), where `host` gives the
/// machine's own value of each.
///
/// Registers that describe AArch32 are UNKNOWN on a core that has none (Arm ARM D24.2, `ID_PFR0_EL1`), so they read as
/// zero there.
pub fn shown(register: Encoding, host: impl Fn(Encoding) -> u64) -> u64 {
    let Some(row) = TABLE.iter().find(|row| row.encoding == register) else {
        return 0;
    };
    if row.is_aarch32() && host(ID_AA64PFR0_EL1) & 0xf != 2 {
        return 0;
    }
    let value = host(register);
    row.fields
        .iter()
        .fold(0, |shown, field| shown | field.shown(value))
}
