//! `LDP`, `STP`, `LDPSW`, `LDNP`, `STNP`; and `STGP`, which is recognised only.

use super::fields::{RN, RT, RT2, bit, bits, register, signed};
use super::{Address, MemoryAccess, Operation, Ordering, Registers, Unsupported, WriteBack};

pub(super) fn decode(word: u32) -> Option<MemoryAccess> {
    let (opc, load) = (bits(word, 31, 30), bit(word, 22));
    let (non_temporal, write_back) = match bits(word, 24, 23) {
        0b00 => (true, WriteBack::None),
        0b01 => (false, WriteBack::After),
        0b10 => (false, WriteBack::None),
        _ => (false, WriteBack::Before),
    };
    let (first, second) = (register(word, RT), register(word, RT2));
    let (bytes, sign_extend, registers): (u8, bool, Registers) = match (bit(word, 26), opc, load) {
        (false, 0, _) => (4, false, Registers::GeneralPair(first, second)),
        (false, 1, true) if !non_temporal => (4, true, Registers::GeneralPair(first, second)),
        (false, 1, false) if !non_temporal => {
            return Some(MemoryAccess::unsupported(Unsupported::MemoryTags));
        }
        (false, 2, _) => (8, false, Registers::GeneralPair(first, second)),
        (true, 0..=2, _) => (4 << opc, false, Registers::VectorPair(first, second)),
        _ => return None,
    };
    let offset = signed(word, 21, 15) * i32::from(bytes);
    Some(MemoryAccess {
        operation: if load {
            Operation::Load {
                sign_extend,
                wide: sign_extend || opc == 2,
            }
        } else {
            Operation::Store
        },
        bytes,
        registers,
        address: Address::immediate(register(word, RN), offset, write_back),
        ordering: Ordering::PLAIN,
    })
}
