//! What a vCPU asks of its interrupt controller by accesses that trap.

use guest_abi::config::Delivery;
use hv_core::arch::aarch64::gic;
use hv_core::layout::GICR_FRAME;
use hv_core::vgic::IccRegister;

use super::super::super::interrupts::host;
use super::super::Guest;

impl Guest {
    /// A trapped access to the CPU interface; `None` makes it undefined. A read's answer is what the register gets.
    pub(in crate::el2) fn icc(&self, register: IccRegister, write: Option<u64>) -> Option<u64> {
        let vcpu = self.own_vcpu()?;
        let mut answer = None;
        match (write, register) {
            (None, _) => self.interrupts(|vgic| {
                answer = vgic.icc_read(vcpu, register);
            }),
            (Some(value), IccRegister::Sgi1r) => {
                self.interrupts(|vgic| vgic.send_sgi(vcpu, value));
                answer = Some(0);
            }
            (Some(value), IccRegister::Dir) if self.delivery != Delivery::Trapped => {
                let intid = (value & 0xff_ffff) as u32;
                if gic::guest_splits_ends() {
                    self.settled(
                        |vgic| vgic.deactivate_stale(vcpu, intid),
                        |vgic| vgic.deactivate(vcpu, intid),
                    );
                }
                answer = Some(0);
            }
            (Some(value), _) => self.interrupts(|vgic| {
                answer = vgic.icc_write(vcpu, register, value).map(|()| 0);
            }),
        }
        answer
    }

    /// What a read of pending state (`ISPENDR`, `ICPENDR`) at `offset` sees of forwarded lines that the machine's GIC holds
    /// back: their wires. Private lines are those of `vcpu`; word 0 of the distributor is nobody's.
    fn pending_at_host(&self, vcpu: usize, offset: u64, bytes: u8) -> u64 {
        const PENDING: core::ops::Range<u64> = 0x200..0x300;
        let (Some(gic), true) = (host(), bytes == 4 && PENDING.contains(&offset)) else {
            return 0;
        };
        let first = (offset & 0x7f) * 8;
        self.lines
            .iter()
            .filter_map(|line| {
                let bit = u64::from(line.intid)
                    .checked_sub(first)
                    .filter(|bit| *bit < 32)?;
                let pends = gic.is_pending(self.core_of(vcpu), line.machine.intid());
                pends.then_some(1 << bit)
            })
            .fold(0, |bits: u64, bit: u64| bits | bit)
    }

    /// A trapped load from the distributor.
    pub(in crate::el2) fn distributor_load(&self, offset: u64, bytes: u8) -> u64 {
        let mut value = 0;
        self.settled(
            |vgic| vgic.distributor_stale(offset, bytes),
            |vgic| {
                value = vgic.distributor_read(offset, bytes);
            },
        );
        value | self.pending_at_host(0, offset, bytes)
    }

    /// A trapped store to it.
    pub(in crate::el2) fn distributor_store(&self, offset: u64, bytes: u8, value: u64) {
        self.settled(
            |vgic| vgic.distributor_stale(offset, bytes),
            |vgic| vgic.distributor_write(offset, bytes, value),
        );
    }

    /// A trapped load from a redistributor.
    pub(in crate::el2) fn redistributor_load(&self, vcpu: usize, offset: u64, bytes: u8) -> u64 {
        let mut value = 0;
        self.settled(
            |vgic| vgic.redistributor_stale(vcpu, offset, bytes),
            |vgic| {
                value = vgic.redistributor_read(vcpu, offset, bytes);
            },
        );
        let private = offset.checked_sub(GICR_FRAME);
        value | private.map_or(0, |offset| self.pending_at_host(vcpu, offset, bytes))
    }

    /// A trapped store to it.
    pub(in crate::el2) fn redistributor_store(
        &self,
        vcpu: usize,
        offset: u64,
        bytes: u8,
        value: u64,
    ) {
        self.settled(
            |vgic| vgic.redistributor_stale(vcpu, offset, bytes),
            |vgic| vgic.redistributor_write(vcpu, offset, bytes, value),
        );
    }
}
