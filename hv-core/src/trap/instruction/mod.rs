//! What an A64 load or store does, from its 32 bits (Arm ARM C4.1, "Loads and Stores", and C6.2, C7.2).
//!
//! Needed where the syndrome of a data abort does not describe the access (ISV = 0): pairs, write-back, SIMD,
//! exclusives, atomics. Pure and total: a word that is no load or store is `None`, whoever wrote it. Whether an
//! access is *carried out* is [`super::access`]'s business.

mod atomic;
mod exclusive;
mod fields;
mod pair;
mod single;
mod structure;
mod types;

pub use types::{
    Address, AtomicOperator, Base, Extend, Layout, MemoryAccess, Offset, Operation, Ordering,
    Registers, Structure, Unsupported, WriteBack,
};

use fields::{bit, bits};

/// `DC ZVA`, `DC GVA` and `DC GZVA` without their register.
const DC_ZVA: u32 = 0xd50b_7420;
const DC_GVA: u32 = 0xd50b_7460;
const DC_GZVA: u32 = 0xd50b_7480;

/// Decodes one A64 instruction. `None`: it is not a load, a store or a `DC ZVA`, or it is not allocated.
///
/// Words whose effect is CONSTRAINED UNPREDICTABLE (a pair that loads one register twice, write-back to the register
/// that is transferred, "should be one" fields that are not) decode as if they were ordinary, which is among the
/// permitted behaviours (Arm ARM K1.2): they did trap, so the core takes them for accesses.
pub fn decode(word: u32) -> Option<MemoryAccess> {
    match word & !0x1f {
        DC_ZVA => {
            return Some(MemoryAccess::bare(
                Operation::ZeroBlock,
                Address::at(Base::Fault),
            ));
        }
        DC_GVA | DC_GZVA => return Some(MemoryAccess::unsupported(Unsupported::MemoryTags)),
        _ => {}
    }
    // op0 = x1x0 (bits 28:25).
    if !bit(word, 27) || bit(word, 25) {
        return None;
    }
    let (vector, bit24, bit21) = (bit(word, 26), bit(word, 24), bit(word, 21));
    match (bits(word, 29, 28), bit24) {
        (0b00, false) if !vector => exclusive::decode(word),
        (0b00, _) if vector => structure::decode(word),
        (0b01, false) => single::literal(word),
        (0b01, true) => atomic::unscaled_or_tags_or_copies(word),
        (0b10, _) => pair::decode(word),
        (0b11, true) => single::unsigned_offset(word),
        (0b11, false) if !bit21 => single::nine_bit_offset(word),
        (0b11, false) => match (bits(word, 11, 10), vector) {
            (0b10, _) => single::register_offset(word),
            (0b00, false) => atomic::decode(word),
            (0b01 | 0b11, false) => single::authenticated(word),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
