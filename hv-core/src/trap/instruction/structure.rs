//! `LD1` to `LD4`, `ST1` to `ST4`, `LD1R` to `LD4R`.

use super::fields::{RN, RS, RT, bit, bits, bytes_of, register};
use super::{
    Address, Base, Extend, Layout, MemoryAccess, Offset, Operation, Ordering, Registers, Structure,
    WriteBack,
};

pub(super) fn decode(word: u32) -> Option<MemoryAccess> {
    let post = bit(word, 23);
    if bit(word, 31) || (!post && bits(word, 20, 16) != 0) {
        return None;
    }
    let (bytes, count, layout) = if bit(word, 24) {
        one_lane(word)?
    } else {
        all_lanes(word)?
    };
    let mut access = MemoryAccess {
        operation: if bit(word, 22) {
            Operation::Load {
                sign_extend: false,
                wide: false,
            }
        } else {
            Operation::Store
        },
        bytes,
        registers: Registers::Structure(Structure {
            first: register(word, RT),
            count,
            layout,
        }),
        address: Address::at(Base::Register(register(word, RN))),
        ordering: Ordering::PLAIN,
    };
    if post {
        access.address.write_back = WriteBack::After;
        access.address.offset = match register(word, RS) {
            // As many bytes as were transferred.
            31 => Offset::Immediate(access.length().into()),
            register => Offset::Register {
                register,
                extend: Extend::Uxtx,
                shift: 0,
            },
        };
    }
    Some(access)
}

/// Elements of a register of 8 (`Q` = 0) or 16 bytes.
fn lanes(word: u32, size: u32) -> u8 {
    let register: u8 = if bit(word, 30) { 16 } else { 8 };
    register >> (size & 3)
}

/// Multiple structures.
fn all_lanes(word: u32) -> Option<(u8, u8, Layout)> {
    if bit(word, 21) {
        return None;
    }
    let size = bits(word, 11, 10);
    let lanes = lanes(word, size);
    let whole = Layout::Whole { lanes };
    let interleaved = Layout::Interleaved { lanes };
    let (count, layout) = match bits(word, 15, 12) {
        0b0000 => (4, interleaved),
        0b0010 => (4, whole),
        0b0100 => (3, interleaved),
        0b0110 => (3, whole),
        0b0111 => (1, whole),
        0b1000 => (2, interleaved),
        0b1010 => (2, whole),
        _ => return None,
    };
    // One 8-byte element per register leaves nothing to interleave: reserved.
    (lanes > 1 || layout == whole).then_some((bytes_of(size), count, layout))
}

/// A single structure: one element of each register, or one replicated.
fn one_lane(word: u32) -> Option<(u8, u8, Layout)> {
    let (size, s) = (bits(word, 11, 10), bit(word, 12));
    let count = ((bits(word, 13, 13) << 1 | bits(word, 21, 21)) & 3) as u8 + 1;
    // Q:S:size is the index of a byte; larger elements use fewer of its bits.
    let index = ((bits(word, 30, 30) << 3 | bits(word, 12, 10)) & 15) as u8;
    let (bytes, layout) = match (bits(word, 15, 14), size) {
        (0, _) => (1, Layout::Lane(index)),
        (1, 0b00 | 0b10) => (2, Layout::Lane(index >> 1)),
        (2, 0b00) => (4, Layout::Lane(index >> 2)),
        (2, 0b01) if !s => (8, Layout::Lane(index >> 3)),
        (3, _) if bit(word, 22) && !s => (
            bytes_of(size),
            Layout::Replicated {
                lanes: lanes(word, size),
            },
        ),
        _ => return None,
    };
    Some((bytes, count, layout))
}
