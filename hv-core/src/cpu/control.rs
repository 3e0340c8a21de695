//! The bits of EL2 that make the table true.

use super::table::TABLE;

/// A register of EL2 that says what a guest may do, in its layout with `HCR_EL2.E2H` = 1 (Arm ARM D24.2, D24.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapRegister {
    /// `HCR_EL2`
    Hcr,
    /// `HCRX_EL2`, with FEAT_HCX
    Hcrx,
    /// `CPTR_EL2`
    Cptr,
    /// `MDCR_EL2`
    Mdcr,
    /// `MPAM2_EL2`, with FEAT_MPAM
    Mpam2,
    /// `HFGRTR_EL2`, with FEAT_FGT, as are the next four
    Hfgrtr,
    /// `HFGWTR_EL2`
    Hfgwtr,
    /// `HFGITR_EL2`
    Hfgitr,
    /// `HDFGRTR_EL2`
    Hdfgrtr,
    /// `HDFGWTR_EL2`
    Hdfgwtr,
    /// `HFGRTR2_EL2`, with FEAT_FGT2, as are the next four
    Hfgrtr2,
    /// `HFGWTR2_EL2`
    Hfgwtr2,
    /// `HFGITR2_EL2`
    Hfgitr2,
    /// `HDFGRTR2_EL2`
    Hdfgrtr2,
    /// `HDFGWTR2_EL2`
    Hdfgwtr2,
}

const REGISTERS: usize = TrapRegister::Hdfgwtr2 as usize + 1;

/// What makes a row of the table true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// These bits have this value.
    Bits {
        /// As the Arm ARM calls them.
        name: &'static str,
        /// Where they are.
        register: TrapRegister,
        /// Which they are.
        mask: u64,
        /// All ones, or all zeros.
        set: bool,
    },
    /// What the field describes is undefined, or does nothing, below EL2.
    AboveEl1,
    /// There is neither trap nor enable: what it adds stays usable and reaches nothing but the guest's own state.
    Untrapped,
}

impl Control {
    pub(super) const fn set(register: TrapRegister, mask: u64, name: &'static str) -> Self {
        Self::Bits {
            name,
            register,
            mask,
            set: true,
        }
    }

    pub(super) const fn clear(register: TrapRegister, mask: u64, name: &'static str) -> Self {
        Self::Bits {
            name,
            register,
            mask,
            set: false,
        }
    }
}

/// The value of every [`TrapRegister`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapControls {
    values: [u64; REGISTERS],
}

impl TrapControls {
    /// What to write to `register`, if the CPU has it. A bit whose feature a CPU lacks is RES0 there and has no effect.
    pub const fn get(&self, register: TrapRegister) -> u64 {
        self.values[register as usize]
    }

    const fn of_table() -> Self {
        let mut values = [0; REGISTERS];
        let mut n = 0;
        while n < BASE.len() {
            apply(&mut values, BASE[n]);
            n += 1;
        }
        let mut row = 0;
        while row < TABLE.len() {
            let fields = TABLE[row].fields;
            let mut field = 0;
            while field < fields.len() {
                let controls = fields[field].controls;
                let mut n = 0;
                while n < controls.len() {
                    apply(&mut values, controls[n]);
                    n += 1;
                }
                field += 1;
            }
            row += 1;
        }
        Self { values }
    }
}

const fn apply(values: &mut [u64; REGISTERS], control: Control) {
    if let Control::Bits {
        register,
        mask,
        set: true,
        ..
    } = control
    {
        values[register as usize] |= mask;
    }
}

/// What every guest runs with: computed from [`TABLE`] and what no ID register speaks of.
pub const CONTROLS: TrapControls = TrapControls::of_table();

/// Traps that no field of an ID register stands for.
pub(super) const BASE: &[Control] = &[
    Control::set(TrapRegister::Hcr, 1 << 0, "HCR.VM"),
    // Cache invalidation by the guest also cleans: it cannot bring back stale bytes of somebody else's.
    Control::set(TrapRegister::Hcr, 1 << 1, "HCR.SWIO"),
    // REVIDR, AIDR: answered; SMIDR: hidden.
    Control::set(TrapRegister::Hcr, 1 << 16, "HCR.TID1"),
    Control::set(TrapRegister::Hcr, 1 << 18, "HCR.TID3"),
    Control::set(TrapRegister::Hcr, 1 << 19, "HCR.TSC"),
    // Implementation-defined registers.
    Control::set(TrapRegister::Hcr, 1 << 20, "HCR.TIDCP"),
    Control::set(TrapRegister::Hcr, 1 << 21, "HCR.TACR"),
    Control::set(TrapRegister::Hcr, 1 << 31, "HCR.RW"),
    Control::set(TrapRegister::Hcr, 1 << 34, "HCR.E2H"),
    // The address of the debug ROM table, which is the host's.
    Control::set(TrapRegister::Mdcr, 1 << 11, "MDCR.TDRA"),
];
