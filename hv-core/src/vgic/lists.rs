//! List registers: which interrupts go into them, and what the guest did to them there.

use arrayvec::ArrayVec;

use super::bank::{NOBODY, Taken};
use super::lr::{self, MAX_LIST_REGISTERS, State, Tie};
use super::select::Candidate;
use super::{BankId, DirTrap, Linking, Slot, VcpuSet, Vgic};

/// An interrupt that was put into a list register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    pub(super) slot: Slot,
    pub(super) state: State,
    pub(super) priority: u8,
    /// The `HW` bit.
    pub(super) hardware: bool,
    /// Its number.
    pub(super) intid: u32,
    /// Pending, and no maintenance interrupt says when the guest is done with it: the same word serves again.
    pub(super) plain: bool,
    /// The list register as it was written.
    pub(super) word: u64,
}

/// One step of the hardware that can be told from a list register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Acknowledged,
    Deactivated,
}

/// What must have happened to a list register that was `was` and is `now`. A list register only ever leaves the
/// pending state by an acknowledgement and the active state by a deactivation (IHI 0069, 4.8), so this is exact.
const fn events(was: State, now: State) -> &'static [Event] {
    use Event::{Acknowledged, Deactivated};
    match (was, now) {
        (State::Pending, State::Active) => &[Acknowledged],
        (State::Pending, State::Invalid) => &[Acknowledged, Deactivated],
        (State::Active, State::Invalid) | (State::PendingActive, State::Pending) => &[Deactivated],
        (State::PendingActive, State::Active) => &[Deactivated, Acknowledged],
        (State::PendingActive, State::Invalid) => &[Deactivated, Acknowledged, Deactivated],
        // Unchanged, or nothing that hardware does.
        _ => &[],
    }
}

/// What [`Vgic::load`] asks of the hardware beside the list registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Controls {
    /// For `ICH_HCR_EL2`; its `EOIcount` is 0.
    pub hcr: u64,
    /// How many list registers are in use, from the first one. Only these need to be read before the next store.
    pub used: usize,
}

impl Vgic {
    /// Chooses what lies in the list registers of `vcpu` while it runs, and writes all of `lrs`, of which a machine
    /// has at most [`MAX_LIST_REGISTERS`]. Once the guest has run, a [`Vgic::store`] comes before the next load; a
    /// load without one takes it that the list registers are as the last load left them.
    ///
    /// The most urgent ones go in; when there is no room for all, the most urgent *pending* one goes in all the same
    /// (active ones that the guest has dropped in priority but not deactivated must not shut it out). What stays
    /// outside is come back for: pending ones when no list register is pending any longer, active ones when the
    /// guest deactivates one that it does not find.
    pub fn load(&mut self, vcpu: usize, lrs: &mut [u64]) -> Controls {
        lrs.fill(0);
        self.unload(vcpu);
        let mut controls = Controls {
            hcr: lr::HCR_EN
                | match self.platform.dir_trap {
                    DirTrap::Own => lr::HCR_TDIR,
                    DirTrap::Common => lr::HCR_TC,
                    DirTrap::Never => 0,
                },
            used: 0,
        };
        let room = lrs.len().min(MAX_LIST_REGISTERS);
        let chosen = self.choose(vcpu, room, &mut controls);
        let Ok(holder) = u8::try_from(vcpu) else {
            return controls;
        };
        let mut loaded = ArrayVec::new();
        for (candidate, lr) in chosen.iter().zip(lrs.iter_mut()) {
            let Some((word, entry)) = self.fill(vcpu, candidate) else {
                continue;
            };
            *lr = word;
            loaded.push(entry);
            if let Some(bank) = self.bank_mut(candidate.slot.bank) {
                bank.resident |= 1 << candidate.slot.bit;
                bank.holder[candidate.slot.bit] = holder;
            }
        }
        controls.used = loaded.len();
        if let Some(core) = self.cores.get_mut(vcpu) {
            core.disturbed = false;
            core.crowded = controls.hcr & (lr::HCR_NPIE | lr::HCR_LRENPIE) != 0;
            core.loaded = loaded;
        }
        controls
    }

    /// Takes back list registers that the guest has not touched.
    fn unload(&mut self, vcpu: usize) {
        let Some(core) = self.cores.get_mut(vcpu) else {
            return;
        };
        let nobody = Taken {
            by: NOBODY,
            turn: 0,
        };
        for entry in core::mem::take(&mut core.loaded) {
            if let Some(bank) = self.bank_mut(entry.slot.bank) {
                bank.take_back(entry.slot.bit, &entry, &[], nobody);
            }
        }
    }

    /// The list register for one interrupt.
    fn fill(&self, vcpu: usize, candidate: &Candidate) -> Option<(u64, Loaded)> {
        let Slot { bank: id, bit } = candidate.slot;
        let bank = self.bank(id)?;
        let mask = 1 << bit;
        let pending = bank.pending() & mask != 0;
        let high = bank.line & !bank.edge & mask != 0;
        let linked = bank.linked & mask != 0;
        let state = if !candidate.active {
            State::Pending
        } else {
            // Pending behind an active one may lie in the same list register if it would also be taken from there:
            // by this vCPU, and at the priority that the end of the active one is matched by.
            let same = self.listening.contains(vcpu)
                && bank.wanted() & mask != 0
                && bank.priority[bit] == bank.running[bit]
                && (matches!(id, BankId::Private(_)) || usize::from(bank.target[bit]) == vcpu);
            if same {
                State::PendingActive
            } else {
                State::Active
            }
        };
        let hardware = linked
            && self.platform.linking == Linking::Hardware
            && !high
            && (!candidate.active || !pending);
        let left_behind = candidate.active && pending && state == State::Active;
        let tie = if hardware {
            Tie::Host(bank.physical[bit])
        } else if linked || high || left_behind {
            Tie::Maintenance
        } else {
            Tie::None
        };
        let word = lr::word(candidate.slot.intid(), state, candidate.priority, tie);
        let loaded = Loaded {
            slot: candidate.slot,
            state,
            priority: candidate.priority,
            hardware,
            intid: candidate.slot.intid(),
            plain: state == State::Pending && !matches!(tie, Tie::Maintenance),
            word,
        };
        Some((word, loaded))
    }

    /// Takes back the list registers of `vcpu`: `lrs` as they are now (those that were in use suffice), `hcr` the
    /// present `ICH_HCR_EL2`. Needed before any other call that the vCPU's own exit causes, or else that call sees
    /// the state of the last load.
    pub fn store(&mut self, vcpu: usize, lrs: &[u64], hcr: u64) {
        let Some(core) = self.cores.get_mut(vcpu) else {
            return;
        };
        let loaded = core::mem::take(&mut core.loaded);
        core.withdrawn = false;
        self.withdrawn.remove(vcpu);
        for _ in 0..lr::eoi_count(hcr) {
            self.end_outside(vcpu);
        }
        // Of several acknowledged in one go the less urgent ones came first: the others preempted them.
        let mut order: ArrayVec<usize, MAX_LIST_REGISTERS> = (0..loaded.len()).collect();
        if order.len() > 1 {
            order.sort_unstable_by_key(|n| core::cmp::Reverse((loaded[*n].priority, *n)));
        }
        for n in order {
            let entry = &loaded[n];
            let now = lrs.get(n).map_or(entry.state, |word| State::of(*word));
            let events = events(entry.state, now);
            let taken = self.taken_by(vcpu);
            self.update(entry.slot.bank, |bank| {
                bank.take_back(entry.slot.bit, entry, events, taken);
                1 << entry.slot.bit
            });
        }
        self.changes.kick.remove(vcpu);
    }

    /// The guest deactivated an interrupt that lay in no list register. With `EOImode` 0 ends come in the reverse
    /// order of acknowledgements, so it is the latest of those that are active outside. (With `EOImode` 1 the order
    /// is free, which is why `ICC_DIR_EL1` is trapped where it can be.)
    fn end_outside(&mut self, vcpu: usize) {
        let mut latest: Option<(u64, Slot)> = None;
        self.each_candidate(vcpu, |Candidate { slot, active, .. }| {
            let turn = self.bank(slot.bank).map_or(0, |bank| bank.taken[slot.bit]);
            if active && latest.is_none_or(|(other, _)| turn > other) {
                latest = Some((turn, slot));
            }
        });
        if let Some((_, slot)) = latest {
            self.end(slot);
        }
    }

    /// Deactivates one interrupt that lies in no list register.
    pub(super) fn end(&mut self, slot: Slot) {
        self.update(slot.bank, |bank| {
            bank.active &= !(1 << slot.bit);
            1 << slot.bit
        });
    }

    /// A trapped write to `ICC_DIR_EL1` while the guest has `EOImode` 1 (with 0 the write is to be ignored). Private
    /// interrupts are the calling vCPU's own, shared ones may be active on any (IHI 0069, `ICC_DIR_EL1`): those in
    /// [`Vgic::deactivate_stale`] must store first.
    pub fn deactivate(&mut self, vcpu: usize, intid: u32) {
        if let Some(slot) = self.slot(vcpu, intid) {
            self.end(slot);
        }
    }

    /// The vCPU that has `intid` in its list registers and must store before [`Vgic::deactivate`], as with
    /// [`Vgic::distributor_stale`].
    pub fn deactivate_stale(&self, vcpu: usize, intid: u32) -> VcpuSet {
        let mut stale = VcpuSet::EMPTY;
        if let Some(slot) = self.slot(vcpu, intid)
            && let Some(bank) = self.bank(slot.bank)
            && bank.resident & (1 << slot.bit) != 0
        {
            stale.insert(bank.holder[slot.bit].into());
        }
        stale
    }
}
