//! The fault that is answered, and the abort that answers it.

use crate::addr::Ipa;

use super::super::Transfer;

/// A data abort from a guest, taken to EL2 by stage 2 (Arm ARM D24.2.40, "ISS encoding for an exception from a Data
/// Abort").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The lowest virtual address at which stage 2 stopped the access (`FAR_EL2`).
    pub address: u64,
    /// A store (WnR).
    pub write: bool,
    /// The access was one of the translation-table walker (S1PTW).
    pub walk: bool,
    /// The access was a cache maintenance instruction (CM); `DC ZVA` is none.
    pub maintenance: bool,
    /// Register and width, where the syndrome has them (ISV).
    pub described: Option<Transfer>,
    /// ... and whether it was a load-acquire or store-release (AR).
    pub ordered: bool,
    /// The instruction has 32 bits (IL).
    pub long: bool,
}

const PAGE_MASK: u64 = 0xfff;

impl Fault {
    /// From `ESR_EL2` and `FAR_EL2` of exception class 0x24.
    pub const fn of(esr: u64, far: u64) -> Self {
        let described = if esr & (1 << 24) != 0 {
            Some(Transfer {
                bytes: 1 << ((esr >> 22) & 3),
                register: ((esr >> 16) & 0x1f) as u8,
                sign_extend: esr & (1 << 21) != 0,
                wide: esr & (1 << 15) != 0,
            })
        } else {
            None
        };
        Self {
            address: far,
            write: esr & (1 << 6) != 0,
            walk: esr & (1 << 7) != 0,
            maintenance: esr & (1 << 8) != 0,
            described,
            ordered: described.is_some() && esr & (1 << 14) != 0,
            long: esr & (1 << 25) != 0,
        }
    }

    /// The syndrome does not say what the access was.
    pub const fn needs_instruction(&self) -> bool {
        self.described.is_none() && !self.walk && !self.maintenance
    }

    /// The access may have begun on the page before: the fault is at the first byte of a page, and the syndrome does
    /// not tell "the access is here" from "its second part is here". Only an unaligned access can be the latter, and
    /// stage 1 lets that through only where it says Normal memory: the instruction is worth fetching there alone.
    pub const fn may_straddle(&self) -> bool {
        match self.described {
            Some(Transfer { bytes, .. }) => bytes > 1 && self.address & PAGE_MASK == 0,
            None => false,
        }
    }

    /// Where a virtual address lies that is in the same 4 KiB as the faulting one, which is at `ipa`; elsewhere the
    /// guest's translation must be asked.
    pub fn ipa_of(&self, address: u64, ipa: Ipa) -> Option<Ipa> {
        ((address ^ self.address) & !PAGE_MASK & super::run::ADDRESS_MASK == 0)
            .then(|| Ipa::new((ipa.get() & !PAGE_MASK) | (address & PAGE_MASK)))
    }

    pub(super) const fn abort(&self, cause: Cause) -> Abort {
        Abort {
            cause,
            address: self.address,
            write: self.write,
        }
    }
}

/// The memory type of stage 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Any kind of Device memory: what drivers use for registers, and what everything is while the MMU is off.
    Device,
    /// Normal memory, cacheable or not.
    Normal,
}

impl Memory {
    /// From `PAR_EL1` after `AT S1E1R`; `None` if the translation failed (Arm ARM D24.2.150: ATTR is laid out as a
    /// byte of `MAIR_EL1`, where 0b0000xxxx is Device).
    pub const fn of_par(par: u64) -> Option<Self> {
        if par & 1 != 0 {
            None
        } else if (par >> 60) & 0xf == 0 {
            Some(Self::Device)
        } else {
            Some(Self::Normal)
        }
    }
}

/// A data abort that the guest takes at EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// What it says.
    pub cause: Cause,
    /// For `FAR_EL1`.
    pub address: u64,
    /// It was a store.
    pub write: bool,
}

/// The cause of an injected abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing answered: synchronous External abort.
    External,
    /// ... while walking translation tables.
    Walk,
    /// Alignment fault.
    Alignment,
    /// Unsupported Exclusive or Atomic access.
    UnsupportedAtomic,
}

impl Cause {
    /// The data fault status code (DFSC) for `ESR_EL1`.
    pub const fn fault_status(self) -> u8 {
        match self {
            Self::External => 0b01_0000,
            // The level is not in EL2's syndrome; 3 exists for every granule and address size.
            Self::Walk => 0b01_0111,
            Self::Alignment => 0b10_0001,
            Self::UnsupportedAtomic => 0b11_0101,
        }
    }
}

/// Tells a race from a disagreement. An instruction that was changed between its trap and Oche's look at it is simply
/// executed again ([`super::Plan::Again`]); if the very same word traps at the very same place once more, it was not
/// a race, and executing it for ever would help nobody: an External abort ends it. One per vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    last: Option<(u64, Option<u32>, u64)>,
}

impl Repeats {
    /// No instruction was executed again so far.
    pub const NONE: Self = Self { last: None };

    /// The plan for `word` at `pc` was "again": is that the second time in a row?
    pub fn is_repeated(&mut self, pc: u64, word: Option<u32>, fault: &Fault) -> bool {
        let this = Some((pc, word, fault.address));
        let repeated = self.last == this;
        self.last = if repeated { None } else { this };
        repeated
    }

    /// An access came to an end.
    pub const fn forget(&mut self) {
        self.last = None;
    }
}
