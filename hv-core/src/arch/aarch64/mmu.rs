//! Oche's own translation: the EL2&0 regime, lower half only, identity-mapped.

use super::{barrier, read_register};
use crate::addr::{Frame, Pa};
use crate::table::{Entry, Format, Geometry};

/// What the four registers of the regime hold; laid out as `entry.S` loads them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MmuRegisters {
    mair: u64,
    tcr: u64,
    ttbr0: u64,
    sctlr: u64,
}

/// MAIR_EL2: attribute 0 is Device-nGnRE, attribute 1 normal write-back memory.
const MAIR: u64 = 0xff04;
/// Bits of virtual address: three levels of 16 KiB tables.
const ADDRESS_BITS: u64 = 47;

/// Oche's geometry: 16 KiB granule, 47 bits, from level 1.
pub const fn geometry() -> Option<Geometry> {
    Geometry::new(14, &[11, 11, 11])
}

impl MmuRegisters {
    /// The regime with the table at `root`.
    pub fn new(root: Frame) -> Self {
        // With E2H the layout of TCR_EL2 is TCR_EL1's (Arm ARM D24.2.190): T0SZ, IRGN0, ORGN0, SH0, TG0 = 16K,
        // EPD1, IPS. 52-bit encodings of IPS need FEAT_LPA2 at this granule, so 48 bits are the most.
        let ips = (read_register!("id_aa64mmfr0_el1") & 0xf).min(5);
        let tcr = (64 - ADDRESS_BITS)
            | (1 << 8)
            | (1 << 10)
            | (3 << 12)
            | (2 << 14)
            | (1 << 23)
            | (ips << 32);
        // SCTLR_EL2 (E2H): M, C, SA, EOS, I, WXN, TSCXT, EIS, SPAN, nTLSMD, LSMAOE.
        let sctlr = 1
            | (1 << 2)
            | (1 << 3)
            | (1 << 11)
            | (1 << 12)
            | (1 << 19)
            | (1 << 20)
            | (0b11 << 22)
            | (0b11 << 28);
        Self {
            mair: MAIR,
            tcr,
            ttbr0: root.base().get(),
            sctlr,
        }
    }

    /// Turns the MMU on.
    ///
    /// # Safety
    /// The table maps, at their own addresses, the running code, its stack and every object in use.
    pub unsafe fn enable(&self) {
        unsafe extern "C" {
            fn oche_enable_mmu(registers: *const MmuRegisters);
        }
        barrier::dsb_sy();
        // SAFETY: the caller's promise; the routine touches nothing but the four registers and the TLB.
        unsafe { oche_enable_mmu(self) }
    }
}

/// How Oche may use a part of its own address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Device registers.
    Device,
    /// Read and write.
    Data,
    /// Read.
    Constants,
    /// Read and execute.
    Code,
}

/// VMSAv8-64 stage 1 of the EL2&0 regime (Arm ARM D8.3).
#[derive(Clone, Copy, Debug)]
pub struct Own;

const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 1 << 1;
const ATTRIBUTE_NORMAL: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESSED: u64 = 1 << 10;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const ADDRESS: u64 = 0x0000_ffff_ffff_c000;

impl Format for Own {
    type Attributes = Use;

    fn table(&self, next: Pa) -> u64 {
        (next.get() & ADDRESS) | VALID | TABLE_OR_PAGE
    }

    fn leaf(&self, output: Pa, attributes: Use, last: bool) -> u64 {
        let kind = VALID | ACCESSED | if last { TABLE_OR_PAGE } else { 0 };
        let rights = match attributes {
            Use::Device => PXN | UXN,
            Use::Data => ATTRIBUTE_NORMAL | INNER_SHAREABLE | PXN | UXN,
            Use::Constants => ATTRIBUTE_NORMAL | INNER_SHAREABLE | PXN | UXN | READ_ONLY,
            Use::Code => ATTRIBUTE_NORMAL | INNER_SHAREABLE | UXN | READ_ONLY,
        };
        (output.get() & ADDRESS) | kind | rights
    }

    fn decode(&self, word: u64, last: bool) -> Entry<Use> {
        let address = Pa::new(word & ADDRESS);
        match (word & VALID != 0, word & TABLE_OR_PAGE != 0) {
            (true, true) if !last => Entry::Table(address),
            (true, page) if page == last => Entry::Leaf {
                output: address,
                attributes: if word & ATTRIBUTE_NORMAL == 0 {
                    Use::Device
                } else if word & READ_ONLY == 0 {
                    Use::Data
                } else if word & PXN != 0 {
                    Use::Constants
                } else {
                    Use::Code
                },
            },
            _ => Entry::Invalid,
        }
    }

    fn allows_block(&self, shift: u32) -> bool {
        shift == 25 // 32 MiB; a 64 GiB block at level 1 needs FEAT_LPA2
    }
}
