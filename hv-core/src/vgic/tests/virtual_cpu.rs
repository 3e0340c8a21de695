//! The hardware's virtual CPU interface: what a guest's `ICC_*` accesses do to list registers (IHI 0069, 4.8 and the
//! pseudocode of `ICV_IAR1_EL1`, `ICV_EOIR1_EL1`, `ICV_DIR_EL1`). Strict where the architecture leaves a choice.

extern crate std;

use std::vec;
use std::vec::Vec;

use crate::vgic::lr::{self, State};

pub(super) const SPURIOUS: u32 = 1023;

#[derive(Clone, Debug)]
pub(super) struct VirtualCpu {
    pub(super) lrs: Vec<u64>,
    pub(super) hcr: u64,
    pub(super) mask: u8,
    pub(super) binary_point: u8,
    pub(super) split: bool,
    active: u32,
}

pub(super) fn intid(lr: u64) -> u32 {
    (lr & 0xffff_ffff) as u32
}

fn priority(lr: u64) -> u8 {
    lr.to_le_bytes()[6] & 0xf8
}

fn with(lr: u64, state: u64) -> u64 {
    (lr & !(3 << 62)) | (state << 62)
}

impl VirtualCpu {
    pub(super) fn new(lrs: usize) -> Self {
        Self {
            lrs: vec![0; lrs],
            hcr: 0,
            mask: 0xf8,
            binary_point: 3,
            split: false,
            active: 0,
        }
    }

    fn group(&self, priority: u8) -> u8 {
        priority & (0xff << self.binary_point)
    }

    pub(super) fn running(&self) -> u8 {
        if self.active == 0 {
            0xff
        } else {
            u8::try_from(self.active.trailing_zeros()).unwrap() << 3
        }
    }

    /// The most urgent pending one: its list register and priority.
    pub(super) fn best(&self) -> Option<(usize, u8)> {
        let pending = self.lrs.iter().enumerate();
        let pending = pending.filter(|(_, lr)| State::of(**lr) == State::Pending);
        pending
            .map(|(n, lr)| (n, priority(*lr)))
            .min_by_key(|(_, priority)| *priority)
    }

    pub(super) fn acknowledge(&mut self) -> u32 {
        let Some((n, priority)) = self.best() else {
            return SPURIOUS;
        };
        let group = self.group(priority);
        if priority >= self.mask || group >= self.running() {
            return SPURIOUS;
        }
        self.active |= 1 << (group >> 3);
        self.lrs[n] = with(self.lrs[n], 2);
        intid(self.lrs[n])
    }

    /// Returns the host interrupt that was deactivated with it.
    pub(super) fn end(&mut self, id: u32) -> Option<u16> {
        if self.active == 0 {
            return None;
        }
        let dropped = self.running();
        self.active &= self.active - 1;
        let active = |lr: &u64| matches!(State::of(*lr), State::Active | State::PendingActive);
        match self
            .lrs
            .iter()
            .position(|lr| active(lr) && intid(*lr) == id)
        {
            None if !self.split => {
                self.hcr += 1 << 27;
                None
            }
            Some(n) if !self.split && self.group(priority(self.lrs[n])) == dropped => {
                self.deactivate(n)
            }
            _ => None,
        }
    }

    fn deactivate(&mut self, n: usize) -> Option<u16> {
        let lr = self.lrs[n];
        self.lrs[n] = with(lr, u64::from(State::of(lr) == State::PendingActive));
        (lr & lr::HW != 0).then(|| u16::try_from((lr >> 32) & 0x1fff).unwrap())
    }

    /// `ICH_MISR_EL2`.
    pub(super) fn misr(&self) -> u64 {
        let finished = |lr: &u64| *lr >> 62 == 0 && lr & (lr::HW | lr::EOI) == lr::EOI;
        let eoi = self.lrs.iter().any(finished);
        let missed = self.hcr & lr::HCR_LRENPIE != 0 && lr::eoi_count(self.hcr) != 0;
        let drained = self.hcr & lr::HCR_NPIE != 0 && self.best().is_none();
        u64::from(eoi) | (u64::from(missed) << 2) | (u64::from(drained) << 3)
    }

    /// No two list registers may name the same interrupt, a hardware-linked one is not pending and active, and one
    /// host interrupt is in one list register only (IHI 0069, `ICH_LR<n>_EL2`).
    pub(super) fn assert_well_formed(&self) {
        let used: Vec<u64> = self
            .lrs
            .iter()
            .copied()
            .filter(|lr| lr >> 62 != 0)
            .collect();
        for (n, lr) in used.iter().enumerate() {
            assert!(used[..n].iter().all(|other| intid(*other) != intid(*lr)));
            assert!(lr & lr::HW == 0 || State::of(*lr) != State::PendingActive);
            assert!(lr & lr::GROUP1 != 0 && intid(*lr) < 1020);
        }
    }
}
