//! vCPUs on their cores: which are there, how they come and go.

use core::sync::atomic::Ordering;

use guest_abi::config::Delivery;
use hv_core::arch::aarch64::{gic, guest as vcpu};
use hv_core::psci::MAX_VCPUS;
use hv_core::vgic::VcpuSet;
use hv_core::vgic::lr::HCR_EN;

use super::super::super::cores;
use super::super::Guest;

/// `ICH_HCR_EL2`: every access of the guest to its CPU interface traps (`TC`, `TALL0`, `TALL1`).
const TRAP_ALL: u64 = (1 << 10) | (1 << 11) | (1 << 12);

impl Guest {
    /// The vCPU of this guest that the calling core runs.
    pub(in crate::el2::guest) fn own_vcpu(&self) -> Option<usize> {
        let (guest, vcpu) = cores::this().running()?;
        core::ptr::eq(guest, self).then_some(vcpu)
    }

    /// The core that `vcpu` is pinned to.
    pub(in crate::el2) fn core_of(&self, vcpu: usize) -> usize {
        vcpu
    }

    /// The calling core is about to enter the guest as `vcpu`, whose CPU interface is as after reset. `false`: the guest is
    /// ending, or is in another of its lives than the one that this was meant for.
    pub(in crate::el2) fn begin(&self, vcpu: usize, life: u64) -> bool {
        self.inside.fetch_or(1 << vcpu, Ordering::SeqCst);
        if self.ending.load(Ordering::SeqCst) || self.restarts.load(Ordering::SeqCst) != life {
            self.inside.fetch_and(!(1 << vcpu), Ordering::SeqCst);
            return false;
        }
        gic::reset_virtual_interface();
        self.lists_used[vcpu].store(0, Ordering::Relaxed);
        if self.delivery == Delivery::Trapped {
            gic::set_control(HCR_EN | TRAP_ALL);
        }
        self.cores.lock().started(vcpu);
        self.interrupts(|vgic| {
            vgic.reset_interface(vcpu);
        });
        true
    }

    /// The calling core's vCPU leaves the guest for good, or until it is switched on again: what its list registers
    /// know is kept, its timers stop, and its core waits for orders.
    pub(in crate::el2) fn leave(&self) -> ! {
        if let Some(vcpu) = self.own_vcpu() {
            vcpu::stop_timers();
            self.let_go(vcpu);
            self.inside.fetch_and(!(1 << vcpu), Ordering::SeqCst);
        }
        cores::park()
    }

    /// The list registers of the calling core, `vcpu`, are taken back and emptied.
    pub(in crate::el2::guest) fn let_go(&self, vcpu: usize) {
        let mut kick = VcpuSet::EMPTY;
        {
            let mut vgic = self.vgic.lock();
            self.take_lists(&mut vgic, vcpu);
            self.carry_out(&mut vgic, &mut kick);
        }
        self.lists_used[vcpu].store(0, Ordering::Relaxed);
        gic::reset_virtual_interface();
        kick.remove(vcpu);
        self.kick(kick);
    }

    /// Calls these vCPUs to EL2, as far as they are not there or off. One that enters the guest at this moment has
    /// said so before it took the GIC's lock, so either it is called or it has seen what there was to see.
    pub(super) fn kick(&self, vcpus: VcpuSet) {
        if vcpus.is_empty() {
            return;
        }
        let inside = self.inside.load(Ordering::SeqCst);
        for vcpu in vcpus.iter() {
            if inside & (1 << vcpu) != 0 {
                cores::kick(self.core_of(vcpu));
            }
        }
    }

    /// Calls every vCPU but the calling one to EL2.
    pub(in crate::el2::guest) fn kick_others(&self) {
        let mut others = VcpuSet::EMPTY;
        for vcpu in 0..MAX_VCPUS {
            others.insert(vcpu);
        }
        if let Some(own) = self.own_vcpu() {
            others.remove(own);
        }
        self.kick(others);
    }
}
