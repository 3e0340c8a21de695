//! The closed description of a memory access.

use super::super::Transfer;

/// One instruction's access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryAccess {
    /// What is done.
    pub operation: Operation,
    /// Bytes of one element in memory: 1, 2, 4, 8 or 16; 0 where nothing is transferred.
    pub bytes: u8,
    /// Between memory and which registers, in the order in which the elements lie in memory.
    pub registers: Registers,
    /// Where.
    pub address: Address,
    /// How it is ordered with other accesses.
    pub ordering: Ordering,
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Memory to registers.
    Load {
        /// A general register is filled with copies of the element's top bit, not with zeroes.
        sign_extend: bool,
        /// ... up to bit 63; otherwise to bit 31.
        wide: bool,
    },
    /// Registers to memory.
    Store,
    /// `LDXR`, `LDXP` and their acquiring forms.
    LoadExclusive,
    /// `STXR`, `STXP` and their releasing forms.
    StoreExclusive {
        /// The register that says whether it stored.
        status: u8,
    },
    /// `LDADD` and its kin, `SWP`: the registers receive what was there.
    Atomic {
        /// How memory changes.
        operator: AtomicOperator,
        /// The register that holds the operand.
        source: u8,
    },
    /// `CAS`, `CASP`: the registers hold the new value.
    CompareAndSwap {
        /// The register (for `CASP` the first of two) that holds the expected value and receives what was there.
        compare: u8,
    },
    /// `PRFM`: a hint, never faults.
    Prefetch,
    /// `DC ZVA`.
    ZeroBlock,
    /// Recognised, and not carried out on a device.
    Unsupported(Unsupported),
}

/// Why a recognised form is never carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// FEAT_MTE (`LDG`, `STG`, `STGP`, `DC GVA` ...): hidden from guests, and a device holds no tags.
    MemoryTags,
    /// FEAT_MOPS (`CPY*`, `SET*`): undefined for guests while `HCRX_EL2.MSCEn` is 0.
    MemoryCopy,
    /// FEAT_LS64 (`LD64B`, `ST64B*`): trapped for guests while `HCRX_EL2.EnALS` is 0.
    SixtyFourBytes,
}

/// How an atomic operation changes memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomicOperator {
    /// Sum.
    Add,
    /// Clear the operand's bits.
    Clear,
    /// Exclusive or.
    ExclusiveOr,
    /// Set the operand's bits.
    Set,
    /// Larger signed number.
    SignedMaximum,
    /// Smaller signed number.
    SignedMinimum,
    /// Larger unsigned number.
    UnsignedMaximum,
    /// Smaller unsigned number.
    UnsignedMinimum,
    /// The operand itself.
    Swap,
}

/// The registers of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// None.
    None,
    /// One general register; 31 is the zero register.
    General(u8),
    /// Two general registers, the first at the lower address.
    GeneralPair(u8, u8),
    /// One SIMD&FP register, from its lowest bit.
    Vector(u8),
    /// Two of them, the first at the lower address.
    VectorPair(u8, u8),
    /// Elements of one to four consecutive SIMD&FP registers (`LD1` to `LD4`, `ST1` to `ST4`).
    Structure(Structure),
}

/// Elements of consecutive SIMD&FP registers; register 31 is followed by register 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The first register.
    pub first: u8,
    /// How many, 1 to 4.
    pub count: u8,
    /// Which elements of them.
    pub layout: Layout,
}

/// Which elements of its registers a structure access moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All `lanes` of the first register, then all of the next (`LD1`).
    Whole {
        /// Elements of one register.
        lanes: u8,
    },
    /// The first element of each register, then the second of each (`LD2` to `LD4`).
    Interleaved {
        /// Elements of one register.
        lanes: u8,
    },
    /// Element `0` of each register; the others stay.
    Lane(u8),
    /// One element for each register, copied to all its `lanes` (`LD1R` to `LD4R`).
    Replicated {
        /// Elements of one register.
        lanes: u8,
    },
}

/// How an address is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// What is added to.
    pub base: Base,
    /// What is added; wraps at 64 bits.
    pub offset: Offset,
    /// Whether, and when, the base register receives the sum.
    pub write_back: WriteBack,
}

/// The base of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A general register; 31 is the stack pointer.
    Register(u8),
    /// A general register (31: the stack pointer) that holds a signed pointer (`LDRAA`, `LDRAB`). Only the guest's
    /// own keys turn it into an address, so the address is the one that faulted.
    Authenticated(u8),
    /// The instruction's own address.
    ProgramCounter,
    /// The address that faulted.
    Fault,
}

/// The offset of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// In bytes.
    Immediate(i32),
    /// A general register; 31 is the zero register.
    Register {
        /// Its number.
        register: u8,
        /// How much of it counts.
        extend: Extend,
        /// ... shifted left by so many bits.
        shift: u8,
    },
}

/// How an offset register becomes 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extend {
    /// The lower 32 bits, zero-extended.
    Uxtw,
    /// The lower 32 bits, sign-extended.
    Sxtw,
    /// All of it (`LSL`).
    Uxtx,
    /// All of it (another encoding of the same).
    Sxtx,
}

/// When the sum of base and offset goes to the base register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteBack {
    /// Never.
    None,
    /// The access is at the sum.
    Before,
    /// The access is at the base.
    After,
}

/// How an access is ordered. RCpc and limited-ordering forms count as the stronger plain ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ordering {
    /// Later accesses come after it.
    pub acquire: bool,
    /// It comes after earlier accesses.
    pub release: bool,
}

impl Ordering {
    /// None.
    pub const PLAIN: Self = Self {
        acquire: false,
        release: false,
    };
}

impl Address {
    /// `base` itself.
    pub(crate) const fn at(base: Base) -> Self {
        Self {
            base,
            offset: Offset::Immediate(0),
            write_back: WriteBack::None,
        }
    }

    /// A base register and bytes.
    pub(super) const fn immediate(base: u8, offset: i32, write_back: WriteBack) -> Self {
        Self {
            base: Base::Register(base),
            offset: Offset::Immediate(offset),
            write_back,
        }
    }
}

impl MemoryAccess {
    /// An access that moves nothing through registers.
    pub(super) const fn bare(operation: Operation, address: Address) -> Self {
        Self {
            operation,
            bytes: 0,
            registers: Registers::None,
            address,
            ordering: Ordering::PLAIN,
        }
    }

    /// A form that is recognised only.
    pub(super) const fn unsupported(why: Unsupported) -> Self {
        Self::bare(Operation::Unsupported(why), Address::at(Base::Fault))
    }

    /// The access that a valid syndrome (ISV = 1) describes.
    pub const fn described(transfer: Transfer, write: bool, ordered: bool) -> Self {
        Self {
            operation: if write {
                Operation::Store
            } else {
                Operation::Load {
                    sign_extend: transfer.sign_extend,
                    wide: transfer.wide,
                }
            },
            bytes: transfer.bytes,
            registers: Registers::General(transfer.register),
            address: Address::at(Base::Fault),
            ordering: Ordering {
                acquire: ordered && !write,
                release: ordered && write,
            },
        }
    }

    /// Elements in memory, one after the other without gaps: at most 64.
    pub const fn elements(&self) -> u8 {
        match self.registers {
            Registers::None => 0,
            Registers::General(_) | Registers::Vector(_) => 1,
            Registers::GeneralPair(..) | Registers::VectorPair(..) => 2,
            Registers::Structure(Structure { count, layout, .. }) => match layout {
                Layout::Whole { lanes } | Layout::Interleaved { lanes } => {
                    count.saturating_mul(lanes)
                }
                Layout::Lane(_) | Layout::Replicated { .. } => count,
            },
        }
    }

    /// Bytes in memory: at most 64.
    pub const fn length(&self) -> u8 {
        self.bytes.saturating_mul(self.elements())
    }
}
