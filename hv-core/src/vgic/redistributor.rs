//! A redistributor: the RD_base frame and the SGI_base frame of one vCPU (IHI 0069, 12.10 and 12.11), without LPIs.

use super::changes::VcpuSet;
use super::distributor::{IIDR_VALUE, PIDR2, PIDR2_VALUE, low};
use super::registers::{Banked, decode};
use super::{BankId, Vgic};
use crate::layout::GICR_FRAME;

const CTLR: u64 = 0x0000;
const IIDR: u64 = 0x0004;
const TYPER: u64 = 0x0008;
const TYPER_HIGH: u64 = 0x000c;
const WAKER: u64 = 0x0014;

/// `GICR_CTLR.RWP`.
const CTLR_RWP: u64 = 1 << 3;
const TYPER_LAST: u64 = 1 << 4;
const WAKER_PROCESSOR_SLEEP: u64 = 1 << 1;
const WAKER_CHILDREN_ASLEEP: u64 = 1 << 2;

/// A banked register of private interrupts, in the SGI_base frame.
fn private(vcpu: usize, offset: u64, bytes: u8) -> Option<(BankId, Banked)> {
    let (word, register) = decode(offset.checked_sub(GICR_FRAME)?, bytes)?;
    (word == 0).then_some((BankId::Private(vcpu), register))
}

impl Vgic {
    fn typer(&self, vcpu: usize) -> u64 {
        let Some(core) = self.cores.get(vcpu) else {
            return 0;
        };
        let last = vcpu.checked_add(1) == Some(self.cores.len());
        let last = if last { TYPER_LAST } else { 0 };
        (u64::from(core.affinity) << 32) | ((vcpu as u64 & 0xffff) << 8) | last
    }

    /// A read at `offset` in the two frames of the redistributor of `vcpu` (which need not be the one that reads).
    pub fn redistributor_read(&self, vcpu: usize, offset: u64, bytes: u8) -> u64 {
        let Some(core) = self.cores.get(vcpu) else {
            return 0;
        };
        match (offset, bytes) {
            (CTLR, 4) if core.withdrawn => CTLR_RWP,
            (IIDR, 4) => IIDR_VALUE,
            (TYPER, 8) => self.typer(vcpu),
            (TYPER, 4) => low(self.typer(vcpu)).into(),
            (TYPER_HIGH, 4) => self.typer(vcpu) >> 32,
            (WAKER, 4) if core.asleep => WAKER_PROCESSOR_SLEEP | WAKER_CHILDREN_ASLEEP,
            (PIDR2, 4) => PIDR2_VALUE,
            _ => private(vcpu, offset, bytes)
                .and_then(|(id, register)| Some(self.bank(id)?.read(register).into()))
                .unwrap_or(0),
        }
    }

    /// A write at `offset` in the two frames of the redistributor of `vcpu`.
    pub fn redistributor_write(&mut self, vcpu: usize, offset: u64, bytes: u8, value: u64) {
        if (offset, bytes) == (WAKER, 4) {
            if let Some(core) = self.cores.get_mut(vcpu) {
                core.asleep = value & WAKER_PROCESSOR_SLEEP != 0;
                self.changes.kick.insert(vcpu);
                self.update_listening();
            }
            return;
        }
        match private(vcpu, offset, bytes) {
            // SGIs are edge-triggered, whatever is written (GICR_ICFGR0).
            None | Some((_, Banked::Config { first: 0 })) => {}
            Some((id, register)) => self.write_bank(id, register, low(value)),
        }
    }

    /// As [`Vgic::distributor_stale`], for the redistributor of `vcpu`.
    pub fn redistributor_stale(&self, vcpu: usize, offset: u64, bytes: u8) -> VcpuSet {
        private(vcpu, offset, bytes)
            .map_or(VcpuSet::EMPTY, |(id, register)| self.stale(id, register))
    }
}
