//! The CPU interface in software, for machines on which every `ICC_*` access traps (IHI 0069, chapter 12.2 and 4.8).
//!
//! The state of interrupts is the same as with list registers; a vCPU uses one or the other.

use super::Vgic;
use super::bank::PRIORITY_MASK;
use super::distributor::low;
use super::select::Candidate;
use crate::trap::Encoding;

/// "Nothing to acknowledge".
const SPURIOUS: u64 = 1023;
/// INTIDs from here on to 1023 are special, and no interrupt.
const SPECIAL: u64 = 1020;
/// Nothing is active.
const IDLE: u8 = 0xff;
/// The smallest binary point of Group 1 with five bits of preemption.
const MIN_BINARY_POINT: u8 = 3;

const CTLR_EOIMODE: u64 = 1 << 1;
/// Five bits of priority, 16 of INTID, Aff3 in SGIs.
const CTLR_FIXED: u64 = (4 << 8) | (1 << 15);
/// System registers, no bypass of FIQ and IRQ: nothing else is there.
const SRE: u64 = 0b111;

/// A register of the CPU interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IccRegister {
    /// `ICC_PMR_EL1`
    Pmr,
    /// `ICC_IAR0_EL1`, `ICC_HPPIR0_EL1`: Group 0 never has anything.
    Nothing0,
    /// `ICC_EOIR0_EL1`
    Eoir0,
    /// `ICC_BPR0_EL1`, `ICC_AP0R0_EL1`, `ICC_IGRPEN0_EL1`: zero for good.
    Zero0,
    /// `ICC_IAR1_EL1`
    Iar1,
    /// `ICC_EOIR1_EL1`
    Eoir1,
    /// `ICC_HPPIR1_EL1`
    Hppir1,
    /// `ICC_BPR1_EL1`
    Bpr1,
    /// `ICC_AP1R0_EL1`
    Ap1r0,
    /// `ICC_CTLR_EL1`
    Ctlr,
    /// `ICC_SRE_EL1`
    Sre,
    /// `ICC_IGRPEN1_EL1`
    Igrpen1,
    /// `ICC_DIR_EL1`
    Dir,
    /// `ICC_RPR_EL1`
    Rpr,
    /// `ICC_SGI1R_EL1`
    Sgi1r,
    /// `ICC_SGI0R_EL1`, `ICC_ASGI1R_EL1`: to groups that nobody has.
    OtherSgi,
}

impl IccRegister {
    /// Names a trapped register; `None` for those that five bits of priority do not have, and for all others.
    pub const fn decode(encoding: Encoding) -> Option<Self> {
        Some(match encoding {
            Encoding(3, 0, 4, 6, 0) => Self::Pmr,
            Encoding(3, 0, 12, 8, 0 | 2) => Self::Nothing0,
            Encoding(3, 0, 12, 8, 1) => Self::Eoir0,
            Encoding(3, 0, 12, 8, 3 | 4) | Encoding(3, 0, 12, 12, 6) => Self::Zero0,
            Encoding(3, 0, 12, 9, 0) => Self::Ap1r0,
            Encoding(3, 0, 12, 11, 1) => Self::Dir,
            Encoding(3, 0, 12, 11, 3) => Self::Rpr,
            Encoding(3, 0, 12, 11, 5) => Self::Sgi1r,
            Encoding(3, 0, 12, 11, 6 | 7) => Self::OtherSgi,
            Encoding(3, 0, 12, 12, 0) => Self::Iar1,
            Encoding(3, 0, 12, 12, 1) => Self::Eoir1,
            Encoding(3, 0, 12, 12, 2) => Self::Hppir1,
            Encoding(3, 0, 12, 12, 3) => Self::Bpr1,
            Encoding(3, 0, 12, 12, 4) => Self::Ctlr,
            Encoding(3, 0, 12, 12, 5) => Self::Sre,
            Encoding(3, 0, 12, 12, 7) => Self::Igrpen1,
            _ => return None,
        })
    }
}

/// A vCPU's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    mask: u8,
    binary_point: u8,
    enabled: bool,
    /// `EOImode`: an end drops the priority, `ICC_DIR_EL1` deactivates.
    split: bool,
    /// `ICC_AP1R0_EL1`: a bit for each of the 32 priorities that runs.
    active: u32,
}

impl Interface {
    pub(super) const RESET: Self = Self {
        mask: 0,
        binary_point: MIN_BINARY_POINT,
        enabled: false,
        split: false,
        active: 0,
    };

    /// The part of a priority that decides about preemption.
    const fn group(self, priority: u8) -> u8 {
        // A binary point is 3 to 7.
        priority & (0xff << self.binary_point)
    }

    fn running(self) -> u8 {
        match u8::try_from(self.active.trailing_zeros()) {
            Ok(n @ 0..32) => n << 3,
            _ => IDLE,
        }
    }

    fn admits(self, priority: u8) -> bool {
        self.enabled && priority < self.mask && self.group(priority) < self.running()
    }
}

impl Vgic {
    /// The CPU interface of `vcpu` as after a reset of its core (with list registers: its hardware registers are the
    /// caller's to reset).
    pub fn reset_interface(&mut self, vcpu: usize) {
        if let Some(core) = self.cores.get_mut(vcpu) {
            core.interface = Interface::RESET;
        }
    }

    fn most_urgent(&self, vcpu: usize) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        self.each_candidate(vcpu, |candidate| {
            if !candidate.active && best.is_none_or(|best| candidate.priority < best.priority) {
                best = Some(candidate);
            }
        });
        best
    }

    /// Is an IRQ signalled to `vcpu`? For `HCR_EL2.VI`, with trapped `ICC_*`.
    pub fn signals(&self, vcpu: usize) -> bool {
        let interface = self.cores.get(vcpu).map(|core| core.interface);
        let best = self.most_urgent(vcpu);
        matches!((interface, best), (Some(i), Some(b)) if i.admits(b.priority))
    }

    /// A trapped read by `vcpu`. `None`: the register cannot be read, which is undefined.
    pub fn icc_read(&mut self, vcpu: usize, register: IccRegister) -> Option<u64> {
        let interface = self.cores.get(vcpu)?.interface;
        Some(match register {
            IccRegister::Pmr => interface.mask.into(),
            IccRegister::Nothing0 => SPURIOUS,
            IccRegister::Zero0 => 0,
            IccRegister::Iar1 => self.acknowledge(vcpu).map_or(SPURIOUS, u64::from),
            IccRegister::Hppir1 => match self.most_urgent(vcpu) {
                Some(best) if interface.enabled => best.slot.intid().into(),
                _ => SPURIOUS,
            },
            IccRegister::Bpr1 => interface.binary_point.into(),
            IccRegister::Ap1r0 => interface.active.into(),
            IccRegister::Ctlr if interface.split => CTLR_FIXED | CTLR_EOIMODE,
            IccRegister::Ctlr => CTLR_FIXED,
            IccRegister::Sre => SRE,
            IccRegister::Igrpen1 => interface.enabled.into(),
            IccRegister::Rpr => interface.running().into(),
            IccRegister::Eoir0
            | IccRegister::Eoir1
            | IccRegister::Dir
            | IccRegister::Sgi1r
            | IccRegister::OtherSgi => return None,
        })
    }

    fn acknowledge(&mut self, vcpu: usize) -> Option<u32> {
        let best = self.most_urgent(vcpu)?;
        let core = self.cores.get_mut(vcpu)?;
        if !core.interface.admits(best.priority) {
            return None;
        }
        let group = core.interface.group(best.priority);
        core.interface.active |= 1 << (group >> 3);
        let taken = self.taken_by(vcpu);
        let bank = self.bank_mut(best.slot.bank)?;
        bank.acknowledge(best.slot.bit, best.priority, taken);
        Some(best.slot.intid())
    }

    /// A trapped write by `vcpu`. `None`: the register cannot be written, which is undefined.
    pub fn icc_write(&mut self, vcpu: usize, register: IccRegister, value: u64) -> Option<()> {
        let interface = &mut self.cores.get_mut(vcpu)?.interface;
        let word = low(value);
        match register {
            IccRegister::Pmr => interface.mask = word.to_le_bytes()[0] & PRIORITY_MASK,
            IccRegister::Bpr1 => {
                interface.binary_point = (word & 7).to_le_bytes()[0].max(MIN_BINARY_POINT);
            }
            IccRegister::Ap1r0 => interface.active = word,
            IccRegister::Ctlr => interface.split = value & CTLR_EOIMODE != 0,
            IccRegister::Igrpen1 => interface.enabled = value & 1 != 0,
            IccRegister::Eoir1 => self.end_of_interrupt(vcpu, value),
            IccRegister::Dir if interface.split => {
                self.deactivate(vcpu, low(value & 0xff_ffff));
            }
            IccRegister::Sgi1r => self.send_sgi(vcpu, value),
            IccRegister::Dir
            | IccRegister::Sre
            | IccRegister::Zero0
            | IccRegister::Eoir0
            | IccRegister::OtherSgi => {}
            IccRegister::Nothing0 | IccRegister::Iar1 | IccRegister::Hppir1 | IccRegister::Rpr => {
                return None;
            }
        }
        Some(())
    }

    /// Drops the running priority; with `EOImode` 0 deactivates the interrupt too, if it is one that runs at this
    /// priority on this vCPU (else the write is UNPREDICTABLE; nothing is deactivated).
    fn end_of_interrupt(&mut self, vcpu: usize, value: u64) {
        let intid = value & 0xff_ffff;
        let slot = self.slot(vcpu, low(intid));
        let Some(core) = self.cores.get_mut(vcpu) else {
            return;
        };
        let interface = &mut core.interface;
        if interface.active == 0 || (SPECIAL..=SPURIOUS).contains(&intid) {
            return;
        }
        let dropped = interface.running();
        interface.active &= interface.active.wrapping_sub(1);
        let interface = *interface;
        let Some(slot) = slot.filter(|_| !interface.split) else {
            return;
        };
        let ends = self.bank(slot.bank).is_some_and(|bank| {
            bank.active & (1 << slot.bit) != 0
                && usize::from(bank.holder[slot.bit]) == vcpu
                && interface.group(bank.running[slot.bit]) == dropped
        });
        if ends {
            self.end(slot);
        }
    }
}
