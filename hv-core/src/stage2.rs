//! VMSAv8-64 stage 2: the format, the geometry by address width and granule, and `VTCR_EL2`.

use crate::addr::Pa;
use crate::table::{Entry, Format, Geometry};

#[cfg(test)]
mod tests;

/// The page size of stage 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granule {
    /// 4 KiB: finer tracking.
    K4,
    /// 16 KiB: what an M1 likes, and what a DART page is.
    K16,
}

impl Granule {
    /// log2 of the page size.
    pub const fn shift(self) -> u32 {
        match self {
            Granule::K4 => 12,
            Granule::K16 => 14,
        }
    }
}

/// How a stage 2 for `ipa_bits` (32 to 48) is cut up, `None` for another width.
///
/// It starts as low as concatenating up to 16 root tables allows (Arm ARM D8.2): at 16 KiB up to 40
/// bits at level 2, above at level 1; at 4 KiB up to 34 bits at level 2, up to 43 at level 1, above
/// at level 0. Fewer levels mean cheaper misses, and the architecture *requires* it where the
/// physical range is too small for the higher start level.
pub const fn geometry_for(ipa_bits: u32, granule: Granule) -> Option<Geometry> {
    if ipa_bits < 32 || ipa_bits > 48 {
        return None;
    }
    match granule {
        Granule::K16 if ipa_bits <= 40 => Geometry::new(14, &[ipa_bits - 25, 11]),
        Granule::K16 => Geometry::new(14, &[ipa_bits - 36, 11, 11]),
        Granule::K4 if ipa_bits <= 34 => Geometry::new(12, &[ipa_bits - 21, 9]),
        Granule::K4 if ipa_bits <= 43 => Geometry::new(12, &[ipa_bits - 30, 9, 9]),
        Granule::K4 => Geometry::new(12, &[ipa_bits - 39, 9, 9, 9]),
    }
}

/// `VTCR_EL2` for a table of this geometry; `pa_range` is `ID_AA64MMFR0_EL1.PARange` (Arm ARM
/// D24.2, VTCR_EL2). Walks are inner shareable write-back; 8-bit VMIDs.
pub const fn vtcr(geometry: &Geometry, pa_range: u64) -> u64 {
    const RES1: u64 = 1 << 31;
    const SH0_INNER: u64 = 0b11 << 12;
    const ORGN0_WRITE_BACK: u64 = 0b01 << 10;
    const IRGN0_WRITE_BACK: u64 = 0b01 << 8;
    let t0sz = 64 - geometry.input_bits() as u64;
    let depth = geometry.depth() as u64;
    // TG0: 0b00 = 4 KiB, 0b10 = 16 KiB. SL0 counts from level 2 upwards at 4 KiB (0b00 = start at
    // level 2), from level 3 upwards at 16 KiB (0b01 = start at level 2).
    let (tg0, sl0) = if geometry.granule_shift() == 12 {
        (0b00, depth.saturating_sub(2))
    } else {
        (0b10, depth.saturating_sub(1))
    };
    // PS has the encoding of PARange. Values above 0b101 (48 bits) need FEAT_LPA or later, with
    // which 48 bits are still right for these geometries.
    let ps = if pa_range > 0b101 { 0b101 } else { pa_range };
    RES1 | ps << 16 | tg0 << 14 | SH0_INNER | ORGN0_WRITE_BACK | IRGN0_WRITE_BACK | sl0 << 6 | t0sz
}

/// The memory type that stage 2 asks for; the stricter of both stages wins (Arm ARM D8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Normal, write-back: leaves the type to the guest's stage 1. Right for RAM, and for windows of
    /// devices whose guest knows better whether it wants nGnRnE or nGnRE.
    WriteBack,
    /// Device-nGnRE at least: speculation-proof even if the guest maps the window as normal memory.
    Device,
}

/// At which of the guest's exception levels a page may be executed (`XN[1:0]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execute {
    /// At both.
    Everywhere,
    /// At EL0 only. Needs FEAT_XNX.
    El0Only,
    /// At none.
    Nowhere,
    /// At EL1 only. Needs FEAT_XNX.
    El1Only,
}

/// What a stage 2 leaf says beside its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2Attributes {
    /// Memory type.
    pub memory: Memory,
    /// May the guest read?
    pub read: bool,
    /// May the guest write?
    pub write: bool,
    /// May the guest execute?
    pub execute: Execute,
}

impl Stage2Attributes {
    /// A guest's RAM.
    pub const RAM: Self = Self {
        memory: Memory::WriteBack,
        read: true,
        write: true,
        execute: Execute::Everywhere,
    };
    /// A guest's RAM in which EL0 may execute nothing, so that its first instruction there is
    /// noticed. Needs FEAT_XNX.
    pub const RAM_EL1_EXECUTES: Self = Self {
        execute: Execute::El1Only,
        ..Self::RAM
    };
    /// A device's registers.
    pub const DEVICE: Self = Self {
        memory: Memory::Device,
        read: true,
        write: true,
        execute: Execute::Nowhere,
    };
}

/// The VMSAv8-64 stage 2 descriptor format (Arm ARM D8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2;

const TABLE_OR_PAGE: u64 = 0b11;
const BLOCK: u64 = 0b01;
const MEM_ATTR_SHIFT: u32 = 2;
const MEM_ATTR_WRITE_BACK: u64 = 0b1111;
const MEM_ATTR_DEVICE_NGNRE: u64 = 0b0001;
const READ: u64 = 1 << 6;
const WRITE: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESS_FLAG: u64 = 1 << 10;
const XN_SHIFT: u32 = 53;
/// Output address bits 47:12, which holds 47:14 too.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

impl Format for Stage2 {
    type Attributes = Stage2Attributes;

    fn table(&self, next: Pa) -> u64 {
        (next.get() & ADDRESS) | TABLE_OR_PAGE
    }

    fn leaf(&self, output: Pa, attributes: Stage2Attributes, last: bool) -> u64 {
        let kind = if last { TABLE_OR_PAGE } else { BLOCK };
        let memory = match attributes.memory {
            Memory::WriteBack => MEM_ATTR_WRITE_BACK,
            Memory::Device => MEM_ATTR_DEVICE_NGNRE,
        };
        // Arm ARM D8.4, stage 2 instruction execution: 00 both, 01 EL0, 10 none, 11 EL1.
        let xn: u64 = match attributes.execute {
            Execute::Everywhere => 0b00,
            Execute::El0Only => 0b01,
            Execute::Nowhere => 0b10,
            Execute::El1Only => 0b11,
        };
        let mut word = (output.get() & ADDRESS) | kind | memory << MEM_ATTR_SHIFT;
        word |= INNER_SHAREABLE | ACCESS_FLAG | xn << XN_SHIFT;
        if attributes.read {
            word |= READ;
        }
        if attributes.write {
            word |= WRITE;
        }
        word
    }

    fn decode(&self, word: u64, last: bool) -> Entry<Stage2Attributes> {
        match (word & 0b11, last) {
            (TABLE_OR_PAGE, false) => return Entry::Table(Pa::new(word & ADDRESS)),
            (TABLE_OR_PAGE, true) | (BLOCK, false) => {}
            _ => return Entry::Invalid,
        }
        let memory = match (word >> MEM_ATTR_SHIFT) & 0b1111 {
            MEM_ATTR_WRITE_BACK => Memory::WriteBack,
            _ => Memory::Device,
        };
        let execute = match (word >> XN_SHIFT) & 0b11 {
            0b00 => Execute::Everywhere,
            0b01 => Execute::El0Only,
            0b10 => Execute::Nowhere,
            _ => Execute::El1Only,
        };
        let (read, write) = (word & READ != 0, word & WRITE != 0);
        Entry::Leaf {
            output: Pa::new(word & ADDRESS),
            attributes: Stage2Attributes {
                memory,
                read,
                write,
                execute,
            },
        }
    }

    /// 32 MiB at 16 KiB; 2 MiB and 1 GiB at 4 KiB (Arm ARM D8.3, block descriptors).
    fn allows_block(&self, shift: u32) -> bool {
        matches!(shift, 21 | 25 | 30)
    }
}
