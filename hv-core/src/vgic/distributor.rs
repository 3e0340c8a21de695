//! The distributor's frame (IHI 0069, 12.9), with one security state and affinity routing always on.

use super::bank::bits;
use super::changes::{Line, LineChange, VcpuSet};
use super::registers::{Banked, decode};
use super::{BankId, SHARED_BANKS, Vgic};

const CTLR: u64 = 0x0000;
const TYPER: u64 = 0x0004;
const IIDR: u64 = 0x0008;
const IROUTER: u64 = 0x6000;
/// Bytes of `IROUTER` from INTID 0 on.
const IROUTER_SIZE: u64 = 0x2000;
/// Peripheral ID 2, in every frame of the GIC.
pub(super) const PIDR2: u64 = 0xffe8;
/// The architecture is GICv3; no designer is claimed.
pub(super) const PIDR2_VALUE: u64 = 0x30;
/// Product "O", no implementer: no quirk table of a driver may match.
pub(super) const IIDR_VALUE: u64 = 0x4f00_0000;

const CTLR_GROUP1: u64 = 1 << 1;
/// Affinity routing, for good.
const CTLR_ARE: u64 = 1 << 4;
/// One security state.
const CTLR_DS: u64 = 1 << 6;
const CTLR_RWP: u64 = 1 << 31;

/// `ITLinesNumber` (32 times one more than it are there), ten bits of INTID, Aff3 is understood, no 1-of-N.
const TYPER_VALUE: u64 = SHARED_BANKS as u64 | (9 << 19) | (1 << 24) | (1 << 25);

/// What 32 or 64 bits at `offset` in `IROUTER` mean: INTID and whether they are its upper half.
fn router(offset: u64, bytes: u8) -> Option<(u32, bool)> {
    let at = offset
        .checked_sub(IROUTER)
        .filter(|at| *at < IROUTER_SIZE)?;
    let aligned = matches!(bytes, 4 | 8) && at.is_multiple_of(bytes.into());
    let intid = u32::try_from(at / 8).ok().filter(|intid| *intid >= 32)?;
    aligned.then_some((intid, !at.is_multiple_of(8)))
}

impl Vgic {
    /// A read of `bytes` bytes at `offset` in the distributor's frame. What is no register, or has not this size,
    /// reads as zero.
    pub fn distributor_read(&self, offset: u64, bytes: u8) -> u64 {
        match (offset, bytes) {
            (CTLR, 4) => {
                let group1 = if self.group1 { CTLR_GROUP1 } else { 0 };
                let waits = if self.withdrawn.is_empty() {
                    0
                } else {
                    CTLR_RWP
                };
                group1 | CTLR_ARE | CTLR_DS | waits
            }
            (TYPER, 4) => TYPER_VALUE,
            (IIDR, 4) => IIDR_VALUE,
            (PIDR2, 4) => PIDR2_VALUE,
            _ => self
                .banked_read(offset, bytes)
                .or_else(|| self.router_read(offset, bytes))
                .unwrap_or(0),
        }
    }

    fn banked_read(&self, offset: u64, bytes: u8) -> Option<u64> {
        let (id, register) = shared(offset, bytes)?;
        Some(self.bank(id)?.read(register).into())
    }

    fn router_read(&self, offset: u64, bytes: u8) -> Option<u64> {
        let (intid, upper) = router(offset, bytes)?;
        let slot = self.slot(0, intid)?;
        let route = u64::from(self.bank(slot.bank)?.route[slot.bit]);
        let value = (route & 0xff_ffff) | ((route >> 24) << 32);
        Some(match (bytes, upper) {
            (8, _) => value,
            (_, false) => value & 0xffff_ffff,
            (_, true) => value >> 32,
        })
    }

    /// A write of the low `bytes` bytes of `value` at `offset` in the distributor's frame. What is no register, is
    /// read-only or has not this size ignores it.
    pub fn distributor_write(&mut self, offset: u64, bytes: u8, value: u64) {
        if (offset, bytes) == (CTLR, 4) {
            self.write_ctlr(value);
        } else if let Some((id, register)) = shared(offset, bytes) {
            self.write_bank(id, register, low(value));
        } else if let Some((intid, upper)) = router(offset, bytes) {
            self.write_router(intid, upper, bytes, value);
        }
    }

    fn write_ctlr(&mut self, value: u64) {
        let group1 = value & CTLR_GROUP1 != 0;
        if group1 == self.group1 {
            return;
        }
        self.group1 = group1;
        self.update_listening();
        for (vcpu, core) in self.cores.iter().enumerate() {
            self.changes.kick.insert(vcpu);
            if !group1 && !core.loaded.is_empty() {
                self.withdrawn.insert(vcpu);
            }
        }
    }

    fn write_router(&mut self, intid: u32, upper: bool, bytes: u8, value: u64) {
        let Some(slot) = self.slot(0, intid) else {
            return;
        };
        let Some(route) = self.bank(slot.bank).map(|bank| bank.route[slot.bit]) else {
            return;
        };
        let aff3 = |from: u64| low((from & 0xff) << 24);
        let rest = low(value & 0xff_ffff);
        let route = match (bytes, upper) {
            (8, _) => aff3(value >> 32) | rest,
            (_, false) => (route & 0xff00_0000) | rest,
            (_, true) => (route & 0xff_ffff) | aff3(value),
        };
        let target = self.owner(route);
        let mut moved = None;
        self.update(slot.bank, |bank| {
            let bit = slot.bit;
            bank.route[bit] = route;
            if bank.target[bit] == target {
                return 0;
            }
            bank.target[bit] = target;
            if bank.forwarded & (1 << bit) != 0 {
                moved = Some(bank.physical[bit]);
            }
            1 << bit
        });
        let vcpu = usize::from(target);
        if let Some(physical) = moved.filter(|_| vcpu < self.cores.len()) {
            self.changes.line(Line {
                vcpu,
                physical,
                change: LineChange::Route(vcpu),
            });
        }
    }

    /// A write to a banked register of the distributor or a redistributor.
    pub(super) fn write_bank(&mut self, id: BankId, register: Banked, value: u32) {
        let mut withdrawn = VcpuSet::EMPTY;
        self.update(id, |bank| {
            let touched = bank.write(register, value);
            if register == Banked::ClearEnable {
                for bit in bits(touched & bank.resident) {
                    withdrawn.insert(bank.holder[bit].into());
                }
            }
            touched
        });
        for vcpu in withdrawn.iter() {
            match (id, self.cores.get_mut(vcpu)) {
                (BankId::Private(_), Some(core)) => core.withdrawn = true,
                _ => self.withdrawn.insert(vcpu),
            }
        }
    }

    /// vCPUs whose list registers know better than this state what an access at `offset` of the distributor's frame
    /// is about. Before a read or a write they must store (kick them, wait), or the read shows, and the write
    /// changes, what was: Linux would wait for ever on an `ISACTIVER` that is old. The calling vCPU stores first, so
    /// it is never among them, and nobody waits for one that waits. Empty but for pending and active state.
    pub fn distributor_stale(&self, offset: u64, bytes: u8) -> VcpuSet {
        shared(offset, bytes).map_or(VcpuSet::EMPTY, |(id, register)| self.stale(id, register))
    }

    pub(super) fn stale(&self, id: BankId, register: Banked) -> VcpuSet {
        let mut stale = VcpuSet::EMPTY;
        if let Some(bank) = self.bank(id).filter(|_| register.is_about_state()) {
            for bit in bits(bank.resident) {
                stale.insert(bank.holder[bit].into());
            }
        }
        stale
    }
}

/// A banked register of shared interrupts. Word 0 is the redistributors' (affinity routing).
fn shared(offset: u64, bytes: u8) -> Option<(BankId, Banked)> {
    let (word, register) = decode(offset, bytes)?;
    let n = word.checked_sub(1).filter(|n| *n < SHARED_BANKS)?;
    Some((BankId::Shared(n), register))
}

/// The low word.
pub(super) const fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}
