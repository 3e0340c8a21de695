//! Trapped system registers: named by their encoding, answered from the CPU policy.

use crate::cpu;

/// A system register's encoding and the direction of the access, from the syndrome of exception class 0x18.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysReg {
    /// op0, op1, CRn, CRm, op2, each in its own byte from the top: `0x03_00_00_04_00` is `ID_AA64PFR0_EL1`.
    pub encoding: Encoding,
    /// The general register that is moved; 31 is the zero register.
    pub register: u8,
    /// `MRS`; otherwise `MSR`.
    pub read: bool,
}

/// op0, op1, CRn, CRm, op2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Encoding(pub u8, pub u8, pub u8, pub u8, pub u8);

impl SysReg {
    pub(super) const fn of_syndrome(iss: u64) -> Self {
        Self {
            encoding: Encoding(
                ((iss >> 20) & 3) as u8,
                ((iss >> 14) & 7) as u8,
                ((iss >> 10) & 15) as u8,
                ((iss >> 1) & 15) as u8,
                ((iss >> 17) & 7) as u8,
            ),
            register: ((iss >> 5) & 31) as u8,
            read: iss & 1 != 0,
        }
    }
}

/// How a trapped access ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulated {
    /// The register reads as this.
    Read(u64),
    /// The write is dropped.
    Ignored,
    /// The register does not exist for this guest.
    Undefined,
}

const ACTLR_EL1: Encoding = Encoding(3, 0, 1, 0, 1);
const REVIDR_EL1: Encoding = Encoding(3, 0, 0, 0, 6);
const AIDR_EL1: Encoding = Encoding(3, 1, 0, 0, 7);
const MDRAR_EL1: Encoding = Encoding(2, 0, 1, 0, 0);
const OSLAR_EL1: Encoding = Encoding(2, 0, 1, 0, 4);
const OSLSR_EL1: Encoding = Encoding(2, 0, 1, 1, 4);
const OSDLR_EL1: Encoding = Encoding(2, 0, 1, 3, 4);
const DBGPRCR_EL1: Encoding = Encoding(2, 0, 1, 4, 4);

/// `OSLSR_EL1`: an OS Lock is implemented (OSLM = 0b10) and open (OSLK = 0).
const OS_LOCK_OPEN: u64 = 1 << 3;

/// Answers a trapped access. `host` gives the machine's own value of an ID register.
pub fn emulate(access: SysReg, host: impl Fn(Encoding) -> u64) -> Emulated {
    if access.read {
        read(access.encoding, host)
    } else {
        write(access.encoding)
    }
}

fn read(register: Encoding, host: impl Fn(Encoding) -> u64) -> Emulated {
    match register {
        Encoding(3, 0, 0, 1..=7, _) => Emulated::Read(cpu::shown(register, host)),
        // Which errata the core has had repaired; MIDR_EL1 is the host's too.
        REVIDR_EL1 | AIDR_EL1 => Emulated::Read(host(register)),
        // Implementation defined, and no guest here knows the implementation.
        ACTLR_EL1 => Emulated::Read(0),
        // There is no debug ROM table, no double lock, and no power to keep.
        MDRAR_EL1 | OSDLR_EL1 | DBGPRCR_EL1 => Emulated::Read(0),
        OSLSR_EL1 => Emulated::Read(OS_LOCK_OPEN),
        // The PMU, trace, SPE, error records, implementation-defined space: hidden, so absent.
        _ => Emulated::Undefined,
    }
}

const fn write(register: Encoding) -> Emulated {
    match register {
        // The lock stays open: it exists for a debugger outside, which is the machine owner's.
        ACTLR_EL1 | OSLAR_EL1 | OSDLR_EL1 | DBGPRCR_EL1 => Emulated::Ignored,
        // ID registers cannot be written; the rest is as for reads.
        _ => Emulated::Undefined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mrs(encoding: Encoding) -> SysReg {
        SysReg {
            encoding,
            register: 0,
            read: true,
        }
    }

    #[test]
    fn the_syndrome_names_the_register() {
        // MRS x5, ID_AA64PFR0_EL1: op0 3, op2 0, op1 0, CRn 0, Rt 5, CRm 4, read.
        let iss = (3 << 20) | (5 << 5) | (4 << 1) | 1;
        assert_eq!(
            SysReg::of_syndrome(iss),
            SysReg {
                encoding: Encoding(3, 0, 0, 4, 0),
                register: 5,
                read: true
            }
        );
    }

    #[test]
    fn sve_is_not_shown() {
        let pfr0 = mrs(Encoding(3, 0, 0, 4, 0));
        assert_eq!(emulate(pfr0, |_| 1 << 32 | 0x11), Emulated::Read(0x11));
    }

    #[test]
    fn a_write_to_an_id_register_is_undefined() {
        let write = SysReg {
            read: false,
            ..mrs(Encoding(3, 0, 0, 4, 0))
        };
        assert_eq!(emulate(write, |_| 0), Emulated::Undefined);
    }

    #[test]
    fn the_performance_monitors_are_absent() {
        assert_eq!(
            emulate(mrs(Encoding(3, 3, 9, 12, 0)), |_| 7),
            Emulated::Undefined
        );
    }

    #[test]
    fn the_auxiliary_control_register_is_zero_and_ignores_writes() {
        assert_eq!(emulate(mrs(ACTLR_EL1), |_| 7), Emulated::Read(0));
        let write = SysReg {
            read: false,
            ..mrs(ACTLR_EL1)
        };
        assert_eq!(emulate(write, |_| 7), Emulated::Ignored);
    }

    #[test]
    fn the_os_lock_is_open_and_stays_so() {
        assert_eq!(emulate(mrs(OSLSR_EL1), |_| 7), Emulated::Read(8));
        assert_eq!(emulate(mrs(OSLAR_EL1), |_| 7), Emulated::Undefined);
        for register in [OSLAR_EL1, OSDLR_EL1, DBGPRCR_EL1] {
            let write = SysReg {
                read: false,
                ..mrs(register)
            };
            assert_eq!(emulate(write, |_| 7), Emulated::Ignored);
        }
    }

    #[test]
    fn the_revision_is_the_machines_and_the_id_of_streaming_vectors_absent() {
        assert_eq!(emulate(mrs(REVIDR_EL1), |_| 7), Emulated::Read(7));
        let smidr = Encoding(3, 1, 0, 0, 6);
        assert_eq!(emulate(mrs(smidr), |_| 7), Emulated::Undefined);
    }
}
