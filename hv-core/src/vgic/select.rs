//! What a vCPU has to do with, and in which order.

use arrayvec::ArrayVec;

use super::bank::{Bank, bits};
use super::lists::Controls;
use super::lr::{self, MAX_LIST_REGISTERS};
use super::{BankId, Slot, Vgic};

/// An interrupt that has business with a vCPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) slot: Slot,
    /// When pending: the present one; when active: the one it was acknowledged at.
    pub(super) priority: u8,
    pub(super) active: bool,
}

impl Candidate {
    /// Most urgent first; an active one before a pending one, then the lower INTID.
    fn key(&self) -> (u8, bool, u32) {
        (self.priority, !self.active, self.slot.intid())
    }
}

impl Vgic {
    /// Calls `each` for everything that `vcpu` may acknowledge or has acknowledged.
    pub(super) fn each_candidate(&self, vcpu: usize, mut each: impl FnMut(Candidate)) {
        let Some(core) = self.cores.get(vcpu) else {
            return;
        };
        let listens = self.listening.contains(vcpu);
        let mut scan = |id: BankId, bank: &Bank| {
            let here = |owner: &[u8; 32], bit: usize| {
                matches!(id, BankId::Private(_)) || usize::from(owner[bit]) == vcpu
            };
            for bit in bits(bank.active & !bank.resident) {
                if here(&bank.holder, bit) {
                    each(Candidate {
                        slot: Slot { bank: id, bit },
                        priority: bank.running[bit],
                        active: true,
                    });
                }
            }
            let deliverable = if listens { bank.deliverable() } else { 0 };
            for bit in bits(deliverable) {
                if here(&bank.target, bit) {
                    each(Candidate {
                        slot: Slot { bank: id, bit },
                        priority: bank.priority[bit],
                        active: false,
                    });
                }
            }
        };
        scan(BankId::Private(vcpu), &core.private);
        for n in bits(self.busy) {
            if let Some(bank) = self.shared.get(n) {
                scan(BankId::Shared(n), bank);
            }
        }
    }

    /// What goes into `room` list registers; into `controls`, what is to be done about the rest.
    pub(super) fn choose(
        &self,
        vcpu: usize,
        room: usize,
        controls: &mut Controls,
    ) -> ArrayVec<Candidate, MAX_LIST_REGISTERS> {
        let mut chosen: ArrayVec<Candidate, MAX_LIST_REGISTERS> = ArrayVec::new();
        let mut first_pending: Option<Candidate> = None;
        let (mut pending, mut active) = (0_usize, 0_usize);
        self.each_candidate(vcpu, |candidate| {
            if candidate.active {
                active = active.saturating_add(1);
            } else {
                pending = pending.saturating_add(1);
                if first_pending.is_none_or(|best| candidate.key() < best.key()) {
                    first_pending = Some(candidate);
                }
            }
            let at = chosen.partition_point(|other| other.key() < candidate.key());
            if at < room {
                if chosen.len() >= room {
                    chosen.pop();
                }
                chosen.insert(at, candidate);
            }
        });
        if let Some(best) = first_pending
            && !chosen.iter().any(|candidate| !candidate.active)
            && chosen.pop().is_some()
        {
            chosen.push(best);
        }
        let held = chosen.iter().filter(|candidate| candidate.active).count();
        if held < active {
            controls.hcr |= lr::HCR_LRENPIE;
        }
        if chosen.len().saturating_sub(held) < pending && !chosen.is_empty() {
            controls.hcr |= lr::HCR_NPIE;
        }
        chosen
    }
}
