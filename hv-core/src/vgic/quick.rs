//! The short way into a list register: for an interrupt that nothing stands in the way of, nothing else is looked at.
//!
//! Most interrupts are the one that came last, and find its list register dealt with. What the GIC's state says of such
//! an interrupt is what it was when it was put there, so putting it there again changes nothing of it.

use super::bank::Bank;
use super::lists::Loaded;
use super::lr::{self, State, Tie};
use super::{BankId, Linking, Slot, Vgic};

/// A list register that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Which.
    pub index: usize,
    /// What.
    pub word: u64,
    /// It was not in use.
    pub fresh: bool,
}

impl Vgic {
    /// An edge of the shared `intid`, as [`Vgic::pulse`], taken on the core that runs `vcpu`, with the list registers as
    /// the last load left them: of which `empty` (`ICH_ELRSR_EL2`) are dealt with. `room` are there. `None`: nothing was
    /// done, it has to go the long way.
    pub fn quick_pulse(
        &mut self,
        vcpu: usize,
        intid: u32,
        empty: u32,
        room: usize,
    ) -> Option<Written> {
        if let Some(again) = self.again(vcpu, intid, empty, false) {
            return Some(again);
        }
        let slot = self.slot(vcpu, intid)?;
        self.append(vcpu, slot, room, |bank, mask| {
            (bank.edge & !bank.forwarded & mask != 0).then(|| {
                bank.latch |= mask;
                Tie::None
            })
        })
    }

    /// The same for a host interrupt that was taken there, as [`Vgic::physical`].
    pub fn quick_physical(
        &mut self,
        vcpu: usize,
        intid: u32,
        empty: u32,
        room: usize,
    ) -> Option<Written> {
        if self.platform.linking != Linking::Hardware {
            return None;
        }
        if let Some(again) = self.again(vcpu, intid, empty, true) {
            return Some(again);
        }
        let slot = self.slot(vcpu, intid)?;
        self.append(vcpu, slot, room, |bank, mask| {
            let plain = bank.forwarded & mask != 0 && bank.line & !bank.edge & mask == 0;
            plain.then(|| {
                bank.latch |= mask;
                bank.linked |= mask;
                Tie::Host(bank.physical[slot.bit])
            })
        })
    }

    /// It lies in a list register, the guest is done with it there, and nothing has happened to it elsewhere since.
    fn again(&self, vcpu: usize, intid: u32, empty: u32, hardware: bool) -> Option<Written> {
        let listens = self.listening.contains(vcpu);
        let core = self
            .cores
            .get(vcpu)
            .filter(|core| listens && !core.disturbed)?;
        let index = core.loaded.iter().position(|entry| entry.intid == intid)?;
        let entry = core.loaded.get(index)?;
        let done = empty & (1 << index) != 0;
        (done && entry.plain && entry.hardware == hardware).then_some(Written {
            index,
            word: entry.word,
            fresh: false,
        })
    }

    /// It lies in none, and one was never used.
    fn append(
        &mut self,
        vcpu: usize,
        slot: Slot,
        room: usize,
        take: impl FnOnce(&mut Bank, u32) -> Option<Tie>,
    ) -> Option<Written> {
        let listens = self.listening.contains(vcpu);
        let index = self.cores.get(vcpu).map(|core| core.loaded.len())?;
        let busy = self.cores.get(vcpu);
        let busy = busy.is_none_or(|core| core.crowded || core.disturbed);
        if !listens || busy || index >= room.min(lr::MAX_LIST_REGISTERS) {
            return None;
        }
        let holder = u8::try_from(vcpu).ok()?;
        let bank = self.bank_mut(slot.bank)?;
        let (bit, mask) = (slot.bit, 1 << slot.bit);
        let free = bank.enabled & bank.group1 & !bank.active & !bank.resident & !bank.pending();
        let here = matches!(slot.bank, BankId::Private(_)) || bank.target[bit] == holder;
        if free & mask == 0 || !here {
            return None;
        }
        let tie = take(bank, mask)?;
        bank.resident |= mask;
        bank.holder[bit] = holder;
        let priority = bank.priority[bit];
        let word = lr::word(slot.intid(), State::Pending, priority, tie);
        let entry = Loaded {
            slot,
            state: State::Pending,
            priority,
            hardware: matches!(tie, Tie::Host(_)),
            intid: slot.intid(),
            plain: true,
            word,
        };
        if let BankId::Shared(n) = slot.bank {
            self.busy |= 1 << n;
        }
        self.cores.get_mut(vcpu)?.loaded.try_push(entry).ok()?;
        Some(Written {
            index,
            word,
            fresh: true,
        })
    }
}
