//! A GICv3 for one guest, as plain logic (Arm IHI 0069): distributor, redistributors, and the CPU interface either
//! by list registers or, where `ICC_*` accesses trap, in software.
//!
//! Nothing here touches hardware. What calls lead to is in [`Vgic::changes`]: vCPUs that must look again, host lines to
//! change. Only Group 1 is delivered; there are no LPIs and no 1-of-N routing, and the guest is told so. Messages come by
//! a frame beside the distributor ([`v2m`]), not by its own registers.
//! Everything that a guest can steer is bounded by [`SPIS`] and [`MAX_VCPUS`].

mod bank;
mod changes;
mod distributor;
mod host;
mod icc;
mod lists;
pub mod lr;
mod quick;
mod redistributor;
mod registers;
mod select;
mod sgi;
mod sources;
pub mod v2m;

#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;

use crate::psci::MAX_VCPUS;
use bank::{Bank, NOBODY, Taken, bits};
pub use changes::{Changes, Line, LineChange, MAX_LINES, VcpuSet};
use distributor::low;
pub use icc::IccRegister;
use icc::Interface;
pub use lists::Controls;
use lists::Loaded;
pub use lr::{MAX_LIST_REGISTERS, Maintenance};
pub use quick::Written;

/// Shared interrupts that a guest can have: INTID 32 to 287. A higher one does not exist: registers read as zero,
/// sources are ignored.
pub const SPIS: usize = 256;
const SHARED_BANKS: usize = SPIS / 32;

/// How a host interrupt is held back until the guest is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linking {
    /// It stays active at the host; the guest's deactivation reaches it through the list register.
    Hardware,
    /// It is masked at the host, until a maintenance interrupt says that the guest is done.
    Software,
}

/// How a guest's deactivation of an interrupt that lies in no list register is learnt, when it is by `ICC_DIR_EL1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirTrap {
    /// `ICH_HCR_EL2.TDIR` traps it (`ICH_VTR_EL2.TDS`).
    Own,
    /// `ICH_HCR_EL2.TC` traps it, and the other common registers as well.
    Common,
    /// Not at all: it is counted, and taken for the end of the most urgent one.
    Never,
}

/// What differs between machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// How host interrupts are held back.
    pub linking: Linking,
    /// How `ICC_DIR_EL1` traps.
    pub dir_trap: DirTrap,
}

/// Which 32 interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BankId {
    /// SGIs and PPIs of a vCPU.
    Private(usize),
    /// SPIs from INTID 32 times one more than this.
    Shared(usize),
}

/// One interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    bank: BankId,
    bit: usize,
}

impl Slot {
    fn intid(self) -> u32 {
        let word = match self.bank {
            BankId::Private(_) => 0,
            BankId::Shared(n) => n.saturating_add(1),
        };
        // Both parts are indices into arrays, far below 2^32.
        u32::try_from(word.saturating_mul(32).saturating_add(self.bit)).unwrap_or(u32::MAX)
    }
}

/// A vCPU's part.
#[derive(Clone, Debug)]
struct Core {
    /// Aff3 to Aff0, a byte each, as `GICR_TYPER` has them.
    affinity: u32,
    /// `GICR_WAKER.ProcessorSleep`: nothing is sent to it.
    asleep: bool,
    private: Bank,
    /// What lies in its list registers.
    loaded: ArrayVec<Loaded, MAX_LIST_REGISTERS>,
    /// Something that lies in its list registers has changed since.
    disturbed: bool,
    /// Not everything found room in its list registers.
    crowded: bool,
    /// Its list registers may show private interrupts that are disabled by now.
    withdrawn: bool,
    /// For trapped `ICC_*`.
    interface: Interface,
}

/// The interrupt controller of one guest.
#[derive(Clone, Debug)]
pub struct Vgic {
    platform: Platform,
    /// `GICD_CTLR.EnableGrp1`.
    group1: bool,
    shared: [Bank; SHARED_BANKS],
    /// Shared banks in which anything is pending or active.
    busy: u32,
    /// vCPUs that interrupts are sent to: those awake, if the distributor is on.
    listening: VcpuSet,
    /// vCPUs whose list registers may show shared interrupts that are disabled by now (`GICD_CTLR.RWP`).
    withdrawn: VcpuSet,
    /// Acknowledgements so far.
    turns: u64,
    /// What follows from the calls since [`Vgic::carried_out`].
    changes: Changes,
    cores: ArrayVec<Core, MAX_VCPUS>,
}

/// `MPIDR_EL1` to the four bytes that the GIC compares.
const fn affinity_of(mpidr: u64) -> u32 {
    low(((mpidr >> 8) & 0xff00_0000) | (mpidr & 0xff_ffff))
}

impl Vgic {
    /// The GIC of a guest with these vCPUs (`MPIDR_EL1` values; more than [`MAX_VCPUS`] are left out), as after reset.
    pub fn new(affinities: impl IntoIterator<Item = u64>, platform: Platform) -> Self {
        // SGIs are edges for ever; PPIs and SPIs begin as levels.
        const SGIS: u32 = 0xffff;
        let cores: ArrayVec<Core, MAX_VCPUS> = affinities
            .into_iter()
            .zip(0..)
            .take(MAX_VCPUS)
            .map(|(mpidr, index)| Core {
                affinity: affinity_of(mpidr),
                asleep: true,
                private: Bank::new(SGIS, index),
                loaded: ArrayVec::new(),
                disturbed: false,
                crowded: false,
                withdrawn: false,
                interface: Interface::RESET,
            })
            .collect();
        let first = cores.first().map_or(0, |core| core.affinity);
        let mut shared = [const { Bank::new(0, 0) }; SHARED_BANKS];
        for bank in &mut shared {
            bank.route = [first; 32];
        }
        Self {
            platform,
            group1: false,
            shared,
            busy: 0,
            listening: VcpuSet::EMPTY,
            withdrawn: VcpuSet::EMPTY,
            turns: 0,
            changes: Changes::default(),
            cores,
        }
    }

    /// What follows from the calls since [`Vgic::carried_out`]. To be carried out after each, before the lock of the GIC
    /// is given up: it has room for what one call can cause.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// All changes have been carried out.
    pub fn carried_out(&mut self) {
        self.changes.clear();
    }

    /// From now on the host's interrupt `physical` feeds the guest's `intid` (of `vcpu`, when private). `false`: no
    /// such interrupt, or an SGI.
    pub fn forward(&mut self, vcpu: usize, intid: u32, physical: u16) -> bool {
        let Some(slot) = self.slot(vcpu, intid).filter(|_| intid >= 16) else {
            return false;
        };
        if let Some(bank) = self.bank_mut(slot.bank) {
            bank.forwarded |= 1 << slot.bit;
            bank.physical[slot.bit] = physical;
        }
        true
    }

    /// Could `vcpu` be interrupted now, its own masks aside? For a vCPU that waits at EL2.
    pub fn is_pending(&self, vcpu: usize) -> bool {
        let mut found = false;
        self.each_candidate(vcpu, |candidate| found |= !candidate.active);
        found
    }

    fn slot(&self, vcpu: usize, intid: u32) -> Option<Slot> {
        let bit = (intid % 32) as usize;
        let bank = match (intid / 32) as usize {
            0 => BankId::Private(Some(vcpu).filter(|vcpu| *vcpu < self.cores.len())?),
            word => BankId::Shared(word.checked_sub(1).filter(|n| *n < SHARED_BANKS)?),
        };
        Some(Slot { bank, bit })
    }

    fn bank(&self, id: BankId) -> Option<&Bank> {
        match id {
            BankId::Private(vcpu) => self.cores.get(vcpu).map(|core| &core.private),
            BankId::Shared(n) => self.shared.get(n),
        }
    }

    fn bank_mut(&mut self, id: BankId) -> Option<&mut Bank> {
        match id {
            BankId::Private(vcpu) => self.cores.get_mut(vcpu).map(|core| &mut core.private),
            BankId::Shared(n) => self.shared.get_mut(n),
        }
    }

    /// Changes a bank and draws the consequences. `edit` returns the interrupts that it changed.
    fn update(&mut self, id: BankId, edit: impl FnOnce(&mut Bank) -> u32) {
        let Self {
            platform,
            listening,
            changes,
            shared,
            cores,
            ..
        } = self;
        let (linking, listening) = (platform.linking, *listening);
        let bank = match id {
            BankId::Private(vcpu) => cores.get_mut(vcpu).map(|core| &mut core.private),
            BankId::Shared(n) => shared.get_mut(n),
        };
        let Some(bank) = bank else {
            return;
        };
        let (before, targets) = (bank.deliverable(), bank.target);
        let touched = edit(bank);
        let vcpu = match id {
            BankId::Private(vcpu) => vcpu,
            BankId::Shared(_) => 0,
        };
        host::settle_lines(bank, vcpu, linking, changes);
        let mut disturbed = VcpuSet::EMPTY;
        for bit in bits(touched & bank.resident) {
            disturbed.insert(bank.holder[bit].into());
            changes.kick.insert(bank.holder[bit].into());
        }
        // With trapped `ICC_*` an interrupt that was signalled and is withdrawn lies in no list register.
        let withdrawn = touched & before;
        let mut call = |which: u32, targets: &[u8; 32]| {
            for bit in bits(which) {
                let target = targets[bit].into();
                if listening.contains(target) {
                    changes.kick.insert(target);
                }
            }
        };
        call(withdrawn, &targets);
        call(touched & bank.deliverable(), &bank.target);
        let busy = bank.is_busy();
        if let BankId::Shared(n) = id {
            self.busy = (self.busy & !(1 << n)) | (u32::from(busy) << n);
        }
        if !disturbed.is_empty() {
            for vcpu in disturbed.iter() {
                if let Some(core) = self.cores.get_mut(vcpu) {
                    core.disturbed = true;
                }
            }
        }
    }

    /// The next acknowledgement, by `vcpu`.
    fn taken_by(&mut self, vcpu: usize) -> Taken {
        self.turns = self.turns.saturating_add(1);
        Taken {
            by: u8::try_from(vcpu).unwrap_or(NOBODY),
            turn: self.turns,
        }
    }

    /// To be called after a change of what it depends on.
    fn update_listening(&mut self) {
        self.listening = VcpuSet::EMPTY;
        for (vcpu, core) in self.cores.iter().enumerate() {
            if self.group1 && !core.asleep {
                self.listening.insert(vcpu);
            }
        }
    }

    /// The vCPU with this affinity, as an owner.
    fn owner(&self, affinity: u32) -> u8 {
        self.cores
            .iter()
            .position(|core| core.affinity == affinity)
            .and_then(|vcpu| u8::try_from(vcpu).ok())
            .unwrap_or(NOBODY)
    }
}
