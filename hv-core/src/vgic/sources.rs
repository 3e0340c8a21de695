//! Where interrupts come from: virtual devices, messages, the host.

use super::Vgic;
use super::bank::Bank;

impl Vgic {
    /// The wire of a virtual device's level interrupt is `high`, or no longer. On a forwarded interrupt `false`
    /// says that the host's wire is known to have fallen: an interrupt not yet acknowledged is taken back.
    pub fn raise(&mut self, vcpu: usize, intid: u32, high: bool) {
        self.source(vcpu, intid, |bank, mask| {
            let before = (bank.line, bank.pending());
            if high {
                bank.latch(mask & bank.edge & !bank.line);
                bank.line |= mask;
            } else {
                bank.line &= !mask;
                bank.unlatch(mask & bank.forwarded);
            }
            before != (bank.line, bank.pending())
        });
    }

    /// An edge: a message, or a device that pulses its wire.
    pub fn pulse(&mut self, vcpu: usize, intid: u32) {
        self.source(vcpu, intid, |bank, mask| {
            bank.latch(mask);
            true
        });
    }

    /// The host interrupt that feeds `intid` was taken at EL2. With [`super::Linking::Hardware`] it must have been left
    /// active there, with [`super::Linking::Software`] not (it is masked by a line change).
    pub fn physical(&mut self, vcpu: usize, intid: u32) {
        self.source(vcpu, intid, |bank, mask| {
            if bank.forwarded & mask == 0 {
                return false;
            }
            bank.link(mask);
            true
        });
    }

    fn source(&mut self, vcpu: usize, intid: u32, change: impl FnOnce(&mut Bank, u32) -> bool) {
        if let Some(slot) = self.slot(vcpu, intid) {
            let mask = 1 << slot.bit;
            self.update(slot.bank, |bank| if change(bank, mask) { mask } else { 0 });
        }
    }
}
