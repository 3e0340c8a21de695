//! `ESR_EL2` to a closed enum (Arm ARM D24.2.40, ISS encodings).

use crate::addr::Ipa;

use super::sysreg::SysReg;

/// Why a guest left for EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// `HVC`: the program counter already points behind it.
    Hvc,
    /// `SMC`, trapped by `HCR_EL2.TSC`: the program counter points at it.
    Smc,
    /// `WFI` or `WFE`.
    Wait,
    /// `MSR`, `MRS` or a system instruction.
    SystemRegister(SysReg),
    /// A load or a store that stage 2 does not allow.
    Data(DataAccess),
    /// An instruction fetch that stage 2 does not allow.
    Instruction(InstructionFault),
    /// SVE, SME, PAuth, MTE and the like: something that the guest was told is not there.
    Hidden,
    /// None of the above; the number is the exception class.
    Unknown(u8),
}

/// Which rule of stage 2 an access broke (DFSC/IFSC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageTwoCause {
    /// Nothing is mapped there.
    Translation,
    /// Mapped, but not for this kind of access.
    Permission,
    /// The access flag, the address size, an external abort, or something newer.
    Other(u8),
}

impl StageTwoCause {
    const fn of(fault_status: u64) -> Self {
        match fault_status & 0x3f {
            0b00_0100..=0b00_0111 => Self::Translation,
            0b00_1100..=0b00_1111 => Self::Permission,
            other => Self::Other((other & 0x3f) as u8),
        }
    }
}

/// A trapped data access; [`super::access::Fault`] has the rest of its syndrome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataAccess {
    /// Where, as far as `HPFAR_EL2` and `FAR_EL2` tell.
    pub ipa: Ipa,
    /// Which rule was broken.
    pub cause: StageTwoCause,
    /// A store.
    pub write: bool,
}

/// What a single-register load or store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// 1, 2, 4 or 8.
    pub bytes: u8,
    /// The general register; 31 is the zero register.
    pub register: u8,
    /// A load extends its sign.
    pub sign_extend: bool,
    /// The register is 64 bits wide.
    pub wide: bool,
}

impl Transfer {
    /// What a load puts into its register when the device answered `value`.
    pub const fn loaded(self, value: u64) -> u64 {
        let bits = self.bytes as u32 * 8;
        let value = if bits == 64 {
            value
        } else {
            value & ((1 << bits) - 1)
        };
        if !self.sign_extend || bits == 64 {
            return value;
        }
        let shift = 64 - bits;
        let extended = (((value << shift) as i64) >> shift) as u64;
        if self.wide {
            extended
        } else {
            extended & 0xffff_ffff
        }
    }
}

/// A trapped instruction fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionFault {
    /// Where; meaningless for a permission fault, where `HPFAR_EL2` need not be written.
    pub ipa: Ipa,
    /// Which rule was broken.
    pub cause: StageTwoCause,
}

/// Decodes a synchronous exception from a lower level: the values of `ESR_EL2`, `FAR_EL2` and `HPFAR_EL2`.
pub fn decode(esr: u64, far: u64, hpfar: u64) -> Exit {
    let iss = esr & 0x1ff_ffff;
    // HPFAR_EL2.FIPA holds IPA[51:12] at bit 4; the offset inside 4 KiB comes from the virtual address.
    let ipa = Ipa::new(((hpfar & 0x0fff_ffff_fff0) << 8) | (far & 0xfff));
    match (esr >> 26) & 0x3f {
        0x01 => Exit::Wait,
        0x16 => Exit::Hvc,
        0x17 => Exit::Smc,
        0x18 => Exit::SystemRegister(SysReg::of_syndrome(iss)),
        // From AArch32: coprocessor accesses and VMRS.
        0x03..=0x06 | 0x08 | 0x0c => Exit::Hidden,
        // FP/SIMD (never trapped by us), PAuth, LD64B and friends, 128-bit registers, SVE, ERET, TSTART, SME.
        0x07 | 0x09 | 0x0a | 0x14 | 0x19..=0x1b | 0x1d => Exit::Hidden,
        0x20 => Exit::Instruction(InstructionFault {
            ipa,
            cause: StageTwoCause::of(iss),
        }),
        0x24 => Exit::Data(DataAccess {
            ipa,
            cause: StageTwoCause::of(iss),
            write: iss & (1 << 6) != 0,
        }),
        class => Exit::Unknown((class & 0x3f) as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap::access::Fault;

    /// A stage-2 data abort's syndrome.
    fn abort(size: u64, sign: bool, register: u64, wide: bool, write: bool, status: u64) -> u64 {
        (0x24 << 26)
            | (1 << 25)
            | (1 << 24)
            | (size << 22)
            | (u64::from(sign) << 21)
            | (register << 16)
            | (u64::from(wide) << 15)
            | (u64::from(write) << 6)
            | status
    }

    #[test]
    fn a_word_store_to_a_device_is_decoded_from_its_syndrome() {
        let exit = decode(
            abort(2, false, 7, false, true, 0b000111),
            0xffff_0000_1020,
            0x0001_0000 << 4,
        );
        let Exit::Data(access) = exit else {
            panic!("{exit:?}")
        };
        assert_eq!(access.ipa, Ipa::new(0x1000_0020));
        assert_eq!(access.cause, StageTwoCause::Translation);
        assert!(access.write);
        let fault = Fault::of(abort(2, false, 7, false, true, 0b000111), 0xffff_0000_1020);
        assert!(fault.write && !fault.walk && fault.long);
        let transfer = fault.described.unwrap();
        assert_eq!(
            (transfer.bytes, transfer.register, transfer.wide),
            (4, 7, false)
        );
    }

    #[test]
    fn a_syndrome_without_isv_has_no_transfer() {
        let Exit::Data(access) = decode((0x24 << 26) | 0b001111, 0, 0) else {
            panic!()
        };
        assert_eq!(Fault::of((0x24 << 26) | 0b001111, 0).described, None);
        assert_eq!(access.cause, StageTwoCause::Permission);
    }

    #[test]
    fn loads_extend_as_the_instruction_says() {
        let byte = Transfer {
            bytes: 1,
            register: 0,
            sign_extend: true,
            wide: false,
        };
        assert_eq!(byte.loaded(0x80), 0xffff_ff80);
        assert_eq!(
            Transfer { wide: true, ..byte }.loaded(0x80),
            0xffff_ffff_ffff_ff80
        );
        assert_eq!(
            Transfer {
                sign_extend: false,
                ..byte
            }
            .loaded(0x1ff),
            0xff
        );
        let double = Transfer {
            bytes: 8,
            register: 0,
            sign_extend: false,
            wide: true,
        };
        assert_eq!(double.loaded(u64::MAX), u64::MAX);
    }

    #[test]
    fn calls_waits_and_hidden_features_have_their_own_names() {
        assert_eq!(decode(0x16 << 26, 0, 0), Exit::Hvc);
        assert_eq!(decode(0x17 << 26, 0, 0), Exit::Smc);
        assert_eq!(decode(0x01 << 26, 0, 0), Exit::Wait);
        assert_eq!(decode(0x19 << 26, 0, 0), Exit::Hidden);
        assert_eq!(decode(0x05 << 26, 0, 0), Exit::Hidden, "CP14 from AArch32");
        assert_eq!(decode(0x3c << 26, 0, 0), Exit::Unknown(0x3c));
    }
}
