//! Exclusives, load-acquire and store-release, compare and swap.

use super::fields::{RN, RS, RT, RT2, bit, bits, bytes_of, register};
use super::{Address, Base, MemoryAccess, Operation, Ordering, Registers};

pub(super) fn decode(word: u32) -> Option<MemoryAccess> {
    let size = bits(word, 31, 30);
    let (ordered, load, o1, o0) = (bit(word, 23), bit(word, 22), bit(word, 21), bit(word, 15));
    let (rt, rt2, rs) = (register(word, RT), register(word, RT2), register(word, RS));
    let exclusive = if load {
        Operation::LoadExclusive
    } else {
        Operation::StoreExclusive { status: rs }
    };
    // For all but compare and swap, the direction says which half of the ordering bit 15 asks for.
    let one_way = |asked: bool| Ordering {
        acquire: asked && load,
        release: asked && !load,
    };
    let (operation, bytes, registers, ordering) = match (ordered, o1) {
        (false, false) => (
            exclusive,
            bytes_of(size),
            Registers::General(rt),
            one_way(o0),
        ),
        (false, true) if size >= 2 => (
            exclusive,
            bytes_of(size),
            Registers::GeneralPair(rt, rt2),
            one_way(o0),
        ),
        (true, false) => {
            // LDLAR and STLLR (o0 = 0) order within LORegions only: taken as the stronger LDAR and STLR.
            let operation = if load {
                Operation::Load {
                    sign_extend: false,
                    wide: size == 3,
                }
            } else {
                Operation::Store
            };
            (
                operation,
                bytes_of(size),
                Registers::General(rt),
                one_way(true),
            )
        }
        (pair, true) => {
            let pair = !pair;
            // Pairs begin at an even register; x31 ends the last one and is the zero register.
            if rt2 != 31 || (pair && (rs | rt) & 1 != 0) {
                return None;
            }
            let (bytes, registers) = if pair {
                (4 << size, Registers::GeneralPair(rt, rt | 1))
            } else {
                (bytes_of(size), Registers::General(rt))
            };
            let ordering = Ordering {
                acquire: load,
                release: o0,
            };
            (
                Operation::CompareAndSwap { compare: rs },
                bytes,
                registers,
                ordering,
            )
        }
    };
    Some(MemoryAccess {
        operation,
        bytes,
        registers,
        address: Address::at(Base::Register(register(word, RN))),
        ordering,
    })
}
