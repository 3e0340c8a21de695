//! The host's lines that feed a guest: let through, held back, given back.

use super::bank::{Bank, bits};
use super::{Changes, Line, LineChange, Linking, Vgic};

impl Vgic {
    /// Takes the guest off the host's lines: each is disabled and, if it waits for the guest, deactivated.
    pub fn release_all(&mut self, mut each: impl FnMut(Line)) {
        let linking = self.platform.linking;
        let private = self
            .cores
            .iter_mut()
            .zip(0..)
            .map(|(core, n)| (n, &mut core.private));
        let shared = self.shared.iter_mut().map(|bank| (0, bank));
        for (vcpu, bank) in private.chain(shared) {
            let linked = bank.linked | bank.relinked;
            for bit in bits(bank.open | linked) {
                let mut line = Line {
                    vcpu,
                    physical: bank.physical[bit],
                    change: LineChange::Disable,
                };
                each(line);
                if linked & (1 << bit) != 0 && linking == Linking::Hardware {
                    line.change = LineChange::Deactivate;
                    each(line);
                }
            }
            (bank.open, bank.linked, bank.relinked) = (0, 0, 0);
        }
    }
}

/// Brings the host's lines to where the state of a bank wants them.
pub(super) fn settle_lines(bank: &mut Bank, vcpu: usize, linking: Linking, changes: &mut Changes) {
    if bank.forwarded == 0 {
        return;
    }
    let mut push = |bank: &Bank, bit: usize, change| {
        changes.line(Line {
            vcpu,
            physical: bank.physical[bit],
            change,
        });
    };
    let finished = bank.finished();
    bank.linked &= !finished;
    if linking == Linking::Hardware {
        for bit in bits(finished) {
            push(bank, bit, LineChange::Deactivate);
        }
    }
    let masked = match linking {
        Linking::Hardware => 0,
        Linking::Software => bank.linked | bank.relinked,
    };
    let wanted = bank.forwarded & bank.enabled & !masked;
    for bit in bits(wanted & !bank.open) {
        push(bank, bit, LineChange::Enable);
    }
    for bit in bits(bank.open & !wanted) {
        push(bank, bit, LineChange::Disable);
    }
    bank.open = wanted;
}
