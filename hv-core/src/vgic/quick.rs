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
        let slot = self.slot(vcpu, intid)?;
        if let Some(again) = self.again(vcpu, slot, empty, false) {
            return Some(again);
        }
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
        let slot = self.slot(vcpu, intid)?;
        if let Some(again) = self.again(vcpu, slot, empty, true) {
            return Some(again);
        }
        self.append(vcpu, slot, room, |bank, mask| {
            let plain = bank.forwarded & mask != 0 && bank.line & !bank.edge & mask == 0;
            plain.then(|| {
                bank.latch |= mask;
                bank.linked |= mask;
                Tie::Host(bank.physical[slot.bit])
            })
        })
    }

    /// It lies in a list register, and the guest is done with it there.
    fn again(&self, vcpu: usize, slot: Slot, empty: u32, hardware: bool) -> Option<Written> {
        let core = self.cores.get(vcpu)?;
        let index = core.loaded.iter().position(|entry| entry.slot == slot)?;
        let entry = core.loaded.get(index)?;
        let done = empty & (1 << index) != 0;
        // One that was tied to a maintenance interrupt has more to say than that it is done.
        let plain = entry.state == State::Pending && entry.hardware == hardware && !entry.attended;
        let bank = self.bank(slot.bank)?;
        let mask = 1 << slot.bit;
        let quiet = (bank.again | bank.relinked) & mask == 0;
        (done && plain && quiet).then_some(Written {
            index,
            word: entry.word,
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
        let crowded = self.cores.get(vcpu).is_none_or(|core| core.crowded);
        if !listens || crowded || index >= room.min(lr::MAX_LIST_REGISTERS) {
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
            attended: false,
            word,
        };
        if let BankId::Shared(n) = slot.bank {
            self.busy |= 1 << n;
        }
        self.cores.get_mut(vcpu)?.loaded.try_push(entry).ok()?;
        Some(Written { index, word })
    }
}
