//! Atomic memory operations (LSE), `LDAPR`, `LDAPUR`, `STLUR`; memory tags, memory copies and 64-byte accesses.

use super::fields::{RN, RS, RT, bit, bits, bytes_of, register, signed};
use super::{
    Address, AtomicOperator, Base, MemoryAccess, Operation, Ordering, Registers, Unsupported,
    WriteBack,
};

/// Bits 29:28 = 11, 24 = 0, 21 = 1, 11:10 = 00.
pub(super) fn decode(word: u32) -> Option<MemoryAccess> {
    let size = bits(word, 31, 30);
    let (acquire, release) = (bit(word, 23), bit(word, 22));
    let (source, rt) = (register(word, RS), register(word, RT));
    let operator = match (bit(word, 15), bits(word, 14, 12)) {
        (false, 0) => AtomicOperator::Add,
        (false, 1) => AtomicOperator::Clear,
        (false, 2) => AtomicOperator::ExclusiveOr,
        (false, 3) => AtomicOperator::Set,
        (false, 4) => AtomicOperator::SignedMaximum,
        (false, 5) => AtomicOperator::SignedMinimum,
        (false, 6) => AtomicOperator::UnsignedMaximum,
        (false, _) => AtomicOperator::UnsignedMinimum,
        (true, 0) => AtomicOperator::Swap,
        // LDAPR
        (true, 4) if acquire && !release && source == 31 => {
            return Some(MemoryAccess {
                operation: Operation::Load {
                    sign_extend: false,
                    wide: size == 3,
                },
                bytes: bytes_of(size),
                registers: Registers::General(rt),
                address: Address::at(Base::Register(register(word, RN))),
                ordering: Ordering {
                    acquire: true,
                    release: false,
                },
            });
        }
        (true, opc @ (1 | 2 | 3 | 5)) if size == 3 && !acquire && !release => {
            // ST64B and LD64B have no status register; eight registers begin at an even one up to x22.
            let status = matches!(opc, 2 | 3) || source == 31;
            return (status && rt & 1 == 0 && rt < 24)
                .then_some(MemoryAccess::unsupported(Unsupported::SixtyFourBytes));
        }
        _ => return None,
    };
    Some(MemoryAccess {
        operation: Operation::Atomic { operator, source },
        bytes: bytes_of(size),
        registers: Registers::General(rt),
        address: Address::at(Base::Register(register(word, RN))),
        ordering: Ordering { acquire, release },
    })
}

/// Bits 29:28 = 01, 24 = 1.
pub(super) fn unscaled_or_tags_or_copies(word: u32) -> Option<MemoryAccess> {
    let (size, vector, minor) = (bits(word, 31, 30), bit(word, 26), bits(word, 11, 10));
    match (bit(word, 21), minor, vector) {
        (false, 0b00, false) => unscaled(word),
        (false, 0b01, _) if size == 0 => {
            is_copy(word).then_some(MemoryAccess::unsupported(Unsupported::MemoryCopy))
        }
        (true, 0b00, false) if size == 3 => {
            // LDG has an offset; STZGM, STGM and LDGM have none.
            let exists = bits(word, 23, 22) == 0b01 || bits(word, 20, 12) == 0;
            exists.then_some(MemoryAccess::unsupported(Unsupported::MemoryTags))
        }
        (true, _, false) if size == 3 => Some(MemoryAccess::unsupported(Unsupported::MemoryTags)),
        _ => None,
    }
}

/// `CPY*` and `SET*` want three different registers, none of them 31; `SET*` may take its byte from the zero register.
fn is_copy(word: u32) -> bool {
    let (d, n, s) = (register(word, RT), register(word, RN), register(word, RS));
    // Bits 23:22 = 11 are the SET forms, whose stage (prologue, main, epilogue) is in bits 15:14.
    let set = bits(word, 23, 22) == 0b11;
    let stage = !set || bits(word, 15, 14) != 0b11;
    stage && d != n && d != s && n != s && d != 31 && n != 31 && (set || s != 31)
}

/// `LDAPUR`, `STLUR` and their kin.
fn unscaled(word: u32) -> Option<MemoryAccess> {
    let size = bits(word, 31, 30);
    let operation = match (bits(word, 23, 22), size) {
        (0, _) => Operation::Store,
        (1, _) => Operation::Load {
            sign_extend: false,
            wide: size == 3,
        },
        (2, 0..=2) => Operation::Load {
            sign_extend: true,
            wide: true,
        },
        (3, 0 | 1) => Operation::Load {
            sign_extend: true,
            wide: false,
        },
        _ => return None,
    };
    let release = operation == Operation::Store;
    Some(MemoryAccess {
        operation,
        bytes: bytes_of(size),
        registers: Registers::General(register(word, RT)),
        address: Address::immediate(register(word, RN), signed(word, 20, 12), WriteBack::None),
        ordering: Ordering {
            acquire: !release,
            release,
        },
    })
}
