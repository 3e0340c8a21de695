//! Loads and stores of one register: immediate, register and literal offsets.

use super::fields::{RN, RS, RT, bit, bits, bytes_of, register, signed};
use super::{
    Address, Base, Extend, MemoryAccess, Offset, Operation, Ordering, Registers, WriteBack,
};

/// Bytes, direction and register from `size` (31:30), `V` (26) and `opc` (23:22); `None` where unallocated.
fn transfer(word: u32, address: Address) -> Option<MemoryAccess> {
    let (size, opc) = (bits(word, 31, 30), bits(word, 23, 22));
    let rt = register(word, RT);
    let load = |sign_extend, wide| Operation::Load { sign_extend, wide };
    let (operation, bytes, registers) = if bit(word, 26) {
        // The upper bit of opc is the size's third.
        let bytes = match (opc, size) {
            (0 | 1, _) => bytes_of(size),
            (_, 0) => 16,
            _ => return None,
        };
        let operation = if opc & 1 != 0 {
            load(false, false)
        } else {
            Operation::Store
        };
        (operation, bytes, Registers::Vector(rt))
    } else {
        let operation = match (opc, size) {
            (0, _) => Operation::Store,
            (1, _) => load(false, size == 3),
            (2, 3) => {
                return (address.write_back == WriteBack::None)
                    .then_some(MemoryAccess::bare(Operation::Prefetch, address));
            }
            (2, _) => load(true, true),
            (_, 0 | 1) => load(true, false),
            _ => return None,
        };
        (operation, bytes_of(size), Registers::General(rt))
    };
    Some(MemoryAccess {
        operation,
        bytes,
        registers,
        address,
        ordering: Ordering::PLAIN,
    })
}

/// log2 of the bytes, by which immediates and offset registers are scaled.
fn scale(word: u32) -> u32 {
    if bit(word, 26) && bit(word, 23) {
        4
    } else {
        bits(word, 31, 30)
    }
}

/// `LDR Xt, [Xn, #imm12]`: the offset is scaled.
pub(super) fn unsigned_offset(word: u32) -> Option<MemoryAccess> {
    let offset = (bits(word, 21, 10) << scale(word)).cast_signed();
    transfer(
        word,
        Address::immediate(register(word, RN), offset, WriteBack::None),
    )
}

/// `LDUR`, post-index, `LDTR` (unprivileged), pre-index: bits 11:10 tell them apart.
///
/// The unprivileged forms need no word of their own: stage 1 has let them through before stage 2 stopped them.
pub(super) fn nine_bit_offset(word: u32) -> Option<MemoryAccess> {
    let unprivileged = bits(word, 11, 10) == 0b10;
    let write_back = match bits(word, 11, 10) {
        0b01 => WriteBack::After,
        0b11 => WriteBack::Before,
        _ => WriteBack::None,
    };
    let address = Address::immediate(register(word, RN), signed(word, 20, 12), write_back);
    // There is neither an unprivileged SIMD&FP access nor an unprivileged prefetch.
    transfer(word, address)
        .filter(|access| !unprivileged || matches!(access.registers, Registers::General(_)))
}

/// `LDR Xt, [Xn, Wm, SXTW #s]`.
pub(super) fn register_offset(word: u32) -> Option<MemoryAccess> {
    let extend = match bits(word, 15, 13) {
        0b010 => Extend::Uxtw,
        0b011 => Extend::Uxtx,
        0b110 => Extend::Sxtw,
        0b111 => Extend::Sxtx,
        _ => return None,
    };
    let shift = if bit(word, 12) { scale(word) } else { 0 };
    let address = Address {
        base: Base::Register(register(word, RN)),
        offset: Offset::Register {
            register: register(word, RS),
            extend,
            shift: (shift & 7) as u8,
        },
        write_back: WriteBack::None,
    };
    transfer(word, address)
}

/// `LDR Xt, label`.
pub(super) fn literal(word: u32) -> Option<MemoryAccess> {
    let address = Address {
        offset: Offset::Immediate(signed(word, 23, 5) * 4),
        ..Address::at(Base::ProgramCounter)
    };
    let opc = bits(word, 31, 30);
    let rt = register(word, RT);
    let load = |bytes, sign_extend, wide, registers| MemoryAccess {
        operation: Operation::Load { sign_extend, wide },
        bytes,
        registers,
        address,
        ordering: Ordering::PLAIN,
    };
    match (bit(word, 26), opc) {
        (false, 0) => Some(load(4, false, false, Registers::General(rt))),
        (false, 1) => Some(load(8, false, true, Registers::General(rt))),
        (false, 2) => Some(load(4, true, true, Registers::General(rt))),
        (false, _) => Some(MemoryAccess::bare(Operation::Prefetch, address)),
        (true, 0..=2) => Some(load(4 << opc, false, false, Registers::Vector(rt))),
        (true, _) => None,
    }
}

/// `LDRAA`, `LDRAB`.
pub(super) fn authenticated(word: u32) -> Option<MemoryAccess> {
    if bits(word, 31, 30) != 0b11 {
        return None;
    }
    let sign = if bit(word, 22) { -512 } else { 0 };
    let offset = (bits(word, 20, 12).cast_signed() + sign) * 8;
    Some(MemoryAccess {
        operation: Operation::Load {
            sign_extend: false,
            wide: true,
        },
        bytes: 8,
        registers: Registers::General(register(word, RT)),
        address: Address {
            base: Base::Authenticated(register(word, RN)),
            offset: Offset::Immediate(offset),
            write_back: if bit(word, 11) {
                WriteBack::Before
            } else {
                WriteBack::None
            },
        },
        ordering: Ordering::PLAIN,
    })
}
