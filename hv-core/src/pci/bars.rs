//! Base address registers: how large they are, and where they are put.

use super::{ConfigSpace, Function, offset};
use crate::addr::{FRAME_SIZE, Pa};

/// A memory BAR in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Which of the six words it starts in.
    pub index: u8,
    /// Where it is as the bus counts.
    pub bus: u64,
    /// Where it is as the processor counts.
    pub pa: Pa,
    /// Bytes that the device decodes: a power of two. The pages it lies on are its own.
    pub size: u64,
    /// Does it take two words?
    pub wide: bool,
    /// May reads be repeated and merged?
    pub prefetchable: bool,
}

impl Bar {
    /// Bytes from the BAR's start to the end of its last page of 16 KiB.
    pub const fn span(&self) -> u64 {
        if self.size < FRAME_SIZE {
            FRAME_SIZE
        } else {
            self.size
        }
    }
}

/// What sizing a BAR found.
pub(super) enum Sized {
    /// Nothing, or nothing that could be used.
    None,
    /// I/O ports: so many bytes.
    Io(u32),
    /// Memory, not placed yet.
    Memory(Bar),
}

impl Sized {
    /// How many words the BAR takes.
    pub(super) fn words(&self) -> u8 {
        match self {
            Sized::Memory(bar) if bar.wide => 2,
            _ => 1,
        }
    }
}

pub(super) fn bar_offset(index: u8) -> u16 {
    offset::BARS + 4 * u16::from(index)
}

/// Writes all ones and sees which bits stick (PCI Local Bus 3.0, 6.2.5.1). Decoding is off.
/// `count` is how many BARs the header has: 6, or 2 of a bridge.
pub(super) fn size(config: &impl ConfigSpace, function: Function, index: u8, count: u8) -> Sized {
    let probe = |index| {
        let at = bar_offset(index);
        let before = config.read32(function, at);
        config.write32(function, at, u32::MAX);
        let mask = config.read32(function, at);
        config.write32(function, at, before);
        mask
    };
    let low = probe(index);
    if low & 1 != 0 {
        // The upper half may be hardwired to zero: 64 KiB of ports are all there are.
        let mask = low & 0xfffc;
        return match mask & mask.wrapping_neg() {
            0 => Sized::None,
            size => Sized::Io(size),
        };
    }
    if low == 0 {
        return Sized::None;
    }
    let wide = low & 0b111 == 0b100 && index + 1 < count;
    let high = if wide { probe(index + 1) } else { u32::MAX };
    let mask = u64::from(high) << 32 | u64::from(low & !0xf);
    // The lowest bit that sticks is the size. None does: not a BAR that could be used.
    match mask & mask.wrapping_neg() {
        0 => Sized::None,
        size => Sized::Memory(Bar {
            index,
            bus: 0,
            pa: Pa::new(0),
            size,
            wide,
            prefetchable: low & 1 << 3 != 0,
        }),
    }
}

/// Tells the device where its BAR is.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves of the address are written"
)]
pub(super) fn program(config: &impl ConfigSpace, function: Function, bar: &Bar) {
    config.write32(function, bar_offset(bar.index), bar.bus as u32);
    if bar.wide {
        config.write32(function, bar_offset(bar.index + 1), (bar.bus >> 32) as u32);
    }
}
