//! One field of an ID register, and what becomes of it.

use super::control::Control;
use crate::trap::Encoding;

/// An ID register and the fields of it that the table knows.
#[derive(Clone, Copy, Debug)]
pub struct IdRegister {
    /// How `MRS` names it.
    pub encoding: Encoding,
    /// Its name in the Arm ARM.
    pub name: &'static str,
    /// From the top, as the Arm ARM lists them.
    pub fields: &'static [Field],
}

impl IdRegister {
    pub(super) const fn new(
        name: &'static str,
        crm: u8,
        op2: u8,
        fields: &'static [Field],
    ) -> Self {
        Self {
            encoding: Encoding(3, 0, 0, crm, op2),
            name,
            fields,
        }
    }

    /// Does it describe AArch32 state (CRm 1 to 3)?
    pub const fn is_aarch32(&self) -> bool {
        self.encoding.3 < 4
    }
}

/// What a guest reads in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The machine's value: a quantity, or an enumeration that asks nothing of EL2.
    Show,
    /// The machine's value, or this one if it is less. Values of a feature field grow with the feature and contain all
    /// smaller ones (Arm ARM D24.1.3).
    UpTo(i8),
    /// The value that means "absent".
    Hide,
}

/// A field of an ID register.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the Arm ARM.
    pub name: &'static str,
    /// Its lowest bit.
    pub low: u32,
    /// Its number of bits.
    pub width: u32,
    /// A negative value means "less than zero does": "absent" where zero means "present".
    pub signed: bool,
    /// The bits that mean "absent".
    pub absent: u64,
    /// What a guest reads.
    pub decision: Decision,
    /// For a field that is hidden, what makes that true; for one that is shown, what EL2 gives so that it works.
    pub controls: &'static [Control],
    /// Why, in a few words.
    pub why: &'static str,
}

impl Field {
    /// A field of four bits that is hidden until it is said to be otherwise.
    pub(super) const fn new(name: &'static str, low: u32) -> Self {
        Self {
            name,
            low,
            width: 4,
            signed: false,
            absent: 0,
            decision: Decision::Hide,
            controls: &[],
            why: "",
        }
    }

    pub(super) const fn hide(self, controls: &'static [Control], why: &'static str) -> Self {
        Self {
            decision: Decision::Hide,
            controls,
            why,
            ..self
        }
    }

    pub(super) const fn up_to(self, most: i8, why: &'static str) -> Self {
        Self {
            decision: Decision::UpTo(most),
            why,
            ..self
        }
    }

    pub(super) const fn show(self, why: &'static str) -> Self {
        Self {
            decision: Decision::Show,
            why,
            ..self
        }
    }

    /// What EL2 gives so that a shown field is true.
    pub(super) const fn given(self, controls: &'static [Control]) -> Self {
        Self { controls, ..self }
    }

    pub(super) const fn wide(self, width: u32) -> Self {
        Self { width, ..self }
    }

    /// Zero means "present", all ones "absent".
    pub(super) const fn signed(self) -> Self {
        Self {
            signed: true,
            absent: 0xf,
            ..self
        }
    }

    /// The bits of the register that the field has.
    pub const fn mask(&self) -> u64 {
        (u64::MAX >> (64 - self.width)) << self.low
    }

    /// The field as a guest sees it, in its place, where the register's value is `host`.
    pub fn shown(&self, host: u64) -> u64 {
        let bits = (host & self.mask()) >> self.low;
        let value = match self.decision {
            Decision::Show => bits,
            Decision::Hide => self.absent,
            Decision::UpTo(most) if self.number(bits) > i64::from(most) => {
                i64::from(most).cast_unsigned()
            }
            Decision::UpTo(_) => bits,
        };
        (value << self.low) & self.mask()
    }

    /// The number that `bits` of this field stand for.
    const fn number(&self, bits: u64) -> i64 {
        if self.signed {
            let unused = 64 - self.width;
            (bits << unused).cast_signed() >> unused
        } else {
            bits.cast_signed()
        }
    }
}
