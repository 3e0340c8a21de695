//! Which CPU features a guest sees: one table, by ID register. What it hides, `arch` traps.
//!
//! Fields by Arm ARM D24.2 (ID_AA64*_EL1). A field that is hidden reads as the value that means "absent".

use crate::trap::Encoding;

/// Bits of one ID register that guests see as zero.
struct Hidden {
    register: Encoding,
    fields: &'static [u32],
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for readers; a test sees that each row has one")
    )]
    why: &'static str,
}

const fn id(crm: u8, op2: u8) -> Encoding {
    Encoding(3, 0, 0, crm, op2)
}

/// Registers whose fields are hidden in part; every ID register that is not named here shows the host's value,
/// but for those in [`ALL_HIDDEN`].
const HIDDEN: &[Hidden] = &[
    Hidden {
        register: id(4, 0),
        fields: &[8, 12],
        why: "no EL2 and no EL3 for a guest",
    },
    Hidden {
        register: id(4, 0),
        fields: &[32, 36, 40, 44],
        why: "SVE, SEL2, MPAM, AMU: trapped",
    },
    Hidden {
        register: id(4, 0),
        fields: &[52],
        why: "RME: not a guest's",
    },
    Hidden {
        register: id(4, 1),
        fields: &[8, 16, 24, 28, 36, 40, 44, 48, 52, 60],
        why: "MTE, MPAM fraction, SME, RNDR trap, NMI, MTE fraction, GCS, THE, MTEX, PFAR",
    },
    Hidden {
        register: id(5, 0),
        // Not 36 (double lock): there, zero would mean "present".
        fields: &[4, 8, 32, 40, 44, 48, 52, 60],
        why: "trace, PMU, SPE, trace filter, trace buffer, MTPMU, BRBE, HPMN0: trapped",
    },
    Hidden {
        register: id(6, 1),
        fields: &[60],
        why: "LD64B: HCRX_EL2 keeps it off",
    },
    Hidden {
        register: id(6, 2),
        fields: &[16],
        why: "memory copy and set: HCRX_EL2 keeps them off",
    },
    Hidden {
        register: id(7, 0),
        fields: &[56, 60],
        why: "fine-grained traps, counter virtualization: EL2's",
    },
    Hidden {
        register: id(7, 1),
        fields: &[8, 32, 40],
        why: "VHE, WFE delay, HCRX: EL2's",
    },
    Hidden {
        register: id(7, 2),
        fields: &[24, 56],
        why: "nested virtualization, enhanced traps: EL2's",
    },
];

/// Registers that read as zero for a guest: what they describe is hidden as a whole.
const ALL_HIDDEN: &[Encoding] = &[
    id(4, 2), // PFR2
    id(4, 4), // ZFR0: SVE
    id(4, 5), // SMFR0: SME
    id(4, 7), // FPFR0: FP8, behind HCRX_EL2
    id(5, 1), // DFR1
    id(5, 2), // DFR2
    id(7, 3), // MMFR3: TCR2, S1PIE and the rest live behind HCRX_EL2
    id(7, 4), // MMFR4
];

/// What a guest reads from the ID register `register`, whose value on this machine is `host`.
pub fn shown(register: Encoding, host: u64) -> u64 {
    // The space between the named registers is reserved and reads as zero.
    if register.3 > 7 || ALL_HIDDEN.contains(&register) {
        return 0;
    }
    HIDDEN
        .iter()
        .filter(|row| row.register == register)
        .flat_map(|row| row.fields)
        .fold(host, |value, shift| value & !(0xf << shift))
}

/// The rows of the policy, for tests: register, first bit of each hidden field, reason.
#[cfg(test)]
fn policy() -> impl Iterator<Item = (Encoding, &'static [u32], &'static str)> {
    HIDDEN.iter().map(|row| (row.register, row.fields, row.why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_with_several_rows_hides_all_of_them() {
        assert_eq!(shown(id(4, 0), u64::MAX) & (0xf << 32 | 0xf << 8), 0);
        assert_eq!(shown(id(4, 0), 0x11), 0x11);
    }

    #[test]
    fn what_is_not_in_the_table_is_the_hosts() {
        assert_eq!(shown(id(6, 0), 0x1234_5678_9abc), 0x1234_5678_9abc);
    }

    #[test]
    fn every_row_says_why_and_names_whole_fields() {
        for (_, fields, why) in policy() {
            assert!(!why.is_empty());
            assert!(fields.iter().all(|shift| shift % 4 == 0 && *shift < 64));
        }
    }
}
