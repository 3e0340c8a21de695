//! Software-generated interrupts.

use super::distributor::low;
use super::{BankId, Vgic};

impl Vgic {
    /// A write of `value` to `ICC_SGI1R_EL1` by vCPU `from` (IHI 0069, `ICC_SGI1R_EL1`). A target that has the SGI in
    /// Group 0 does not get it.
    pub fn send_sgi(&mut self, from: usize, value: u64) {
        let field = |shift: u32, mask: u64| low((value >> shift) & mask);
        let intid = field(24, 0xf);
        let everyone_else = field(40, 1) != 0;
        let cluster = (field(48, 0xff) << 24) | (field(32, 0xff) << 16) | (field(16, 0xff) << 8);
        let first = field(44, 0xf) * 16;
        let targets = field(0, 0xffff);
        for vcpu in 0..self.cores.len() {
            let affinity = self.cores[vcpu].affinity;
            let chosen = if everyone_else {
                vcpu != from
            } else {
                let listed = (affinity & 0xff)
                    .checked_sub(first)
                    .is_some_and(|n| n < 16 && targets & (1 << n) != 0);
                affinity & !0xff == cluster && listed
            };
            if chosen {
                self.update(BankId::Private(vcpu), |bank| {
                    let mask = bank.group1 & (1 << intid);
                    bank.latch(mask);
                    mask
                });
            }
        }
    }
}
