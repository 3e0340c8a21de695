//! The guest's interrupts: its virtual GIC, and the list registers of the cores that run it.

mod arrival;
mod lines;
mod presence;
mod trapped;

use core::sync::atomic::Ordering;

use guest_abi::config::Delivery;
use hv_core::arch::aarch64::gic::{self, read_list, write_list};
use hv_core::arch::aarch64::{core as cpu, guest as vcpu};
use hv_core::vgic::lr::{EOI_COUNT, eoi_count};
use hv_core::vgic::{DirTrap, Linking, MAX_LIST_REGISTERS, Platform, VcpuSet, Vgic};
use spin::MutexGuard;

pub(in crate::el2) use self::arrival::{faults, message, physical};
use super::super::cores::{self, Core};
use super::super::exits::complain;
use super::Guest;

/// How long one vCPU waits for others to tell what they have in their list registers, in microseconds. They come at once,
/// but for one that is at EL2 for the longest flush of its DART, or waits behind it (`LEAVES_PER_FLUSH`): then the guest
/// sees a state that is that much older, and a line in the log says so.
const SETTLED_WITHIN: u64 = 500_000;

fn has_passed(since: u64) -> bool {
    cpu::microseconds(cpu::ticks().saturating_sub(since)) > SETTLED_WITHIN
}

/// The GIC of a guest with these vCPUs.
pub(super) fn vgic(affinities: &[u64], delivery: Delivery) -> Vgic {
    let linking = match delivery {
        Delivery::Hardware => Linking::Hardware,
        Delivery::Software | Delivery::Trapped => Linking::Software,
    };
    let dir_trap = match delivery {
        Delivery::Trapped => DirTrap::Common,
        Delivery::Hardware | Delivery::Software => gic::dir_trap(),
    };
    Vgic::new(affinities.iter().copied(), Platform { linking, dir_trap })
}

/// The calling core's vCPU looks at its interrupts again: somebody has changed them, or a list register asks.
pub(in crate::el2) fn attend(core: &'static Core) {
    let Some((guest, vcpu)) = core.running() else {
        return;
    };
    if guest.settling.load(Ordering::SeqCst) != 0 {
        guest.stand_back(vcpu);
    }
    guest.interrupts(|_| {});
}

impl Guest {
    /// Does something with the guest's GIC: what the calling core's list registers know goes in first, and what
    /// follows from it reaches them, the machine's lines, and other vCPUs.
    pub(in crate::el2) fn interrupts(&self, work: impl FnOnce(&mut Vgic)) {
        self.settled(|_| VcpuSet::EMPTY, work);
    }

    /// The same, once the vCPUs that `stale` names have told what is in their list registers.
    pub(in crate::el2) fn settled(
        &self,
        stale: impl Fn(&Vgic) -> VcpuSet,
        work: impl FnOnce(&mut Vgic),
    ) {
        let own = self.own_vcpu();
        let mut vgic = self.vgic.lock();
        let mut kick = VcpuSet::EMPTY;
        if let Some(vcpu) = own {
            self.take_lists(&mut vgic, vcpu);
            self.carry_out(&mut vgic, &mut kick);
        }
        let waits = stale(&vgic);
        let settling = !waits.is_empty();
        if settling {
            drop(vgic);
            self.settling.fetch_add(1, Ordering::SeqCst);
            vgic = self.wait_for(waits, &stale);
        }
        work(&mut vgic);
        if settling {
            self.settling.fetch_sub(1, Ordering::SeqCst);
        }
        self.carry_out(&mut vgic, &mut kick);
        if let Some(vcpu) = own {
            self.put_lists(&mut vgic, vcpu);
            kick.remove(vcpu);
        }
        drop(vgic);
        self.kick(kick);
    }

    /// Calls these vCPUs until none of them knows better than the GIC's state. They stand back until the caller has done
    /// what it waited for; the caller's own list registers have been taken back, so that two may wait for each other.
    fn wait_for(&self, waits: VcpuSet, stale: &impl Fn(&Vgic) -> VcpuSet) -> MutexGuard<'_, Vgic> {
        self.kick(waits);
        let since = cpu::ticks();
        loop {
            let vgic = self.vgic.lock();
            if stale(&vgic).is_empty() {
                return vgic;
            }
            if has_passed(since) {
                complain(format_args!(
                    "a vCPU did not tell what is in its list registers in time"
                ));
                return vgic;
            }
            drop(vgic);
            cores::stop_if_failed(cores::this());
        }
    }

    /// What the list registers of the calling core, `vcpu`, know goes into the GIC's state and stays there until nobody
    /// waits for it any more.
    fn stand_back(&self, vcpu: usize) {
        let mut kick = VcpuSet::EMPTY;
        {
            let mut vgic = self.vgic.lock();
            self.take_lists(&mut vgic, vcpu);
            self.carry_out(&mut vgic, &mut kick);
        }
        self.kick(kick);
        let since = cpu::ticks();
        while self.settling.load(Ordering::SeqCst) != 0 && !has_passed(since) {
            cores::stop_if_failed(cores::this());
        }
    }

    /// What is in this core's list registers goes back into the GIC.
    fn take_lists(&self, vgic: &mut Vgic, vcpu: usize) {
        if self.delivery == Delivery::Trapped {
            return;
        }
        let used = self.lists_used[vcpu].load(Ordering::Relaxed);
        let mut lists = [0; MAX_LIST_REGISTERS];
        let lists = lists.get_mut(..used).unwrap_or_default();
        for (n, list) in lists.iter_mut().enumerate() {
            *list = read_list(n);
        }
        let mut control = gic::control();
        if eoi_count(control) != 0 {
            let counted = control;
            control &= !EOI_COUNT;
            // Counted once, whoever takes the list registers next.
            gic::set_control(control);
            // While priority drop and deactivation are two steps the second one traps, and is all that counts; some
            // versions of QEMU count the first one too.
            if !gic::guest_splits_ends() {
                control = counted;
            }
        }
        vgic.store(vcpu, lists, control);
    }

    /// What the vCPU is to see now goes into this core's list registers, or, where it has none, on its interrupt line.
    fn put_lists(&self, vgic: &mut Vgic, vcpu: usize) {
        if self.delivery == Delivery::Trapped {
            return vcpu::signal_interrupt(vgic.signals(vcpu));
        }
        let mut lists = [0; MAX_LIST_REGISTERS];
        let lists = lists.get_mut(..self.list_registers).unwrap_or_default();
        let controls = vgic.load(vcpu, lists);
        let before = self.lists_used[vcpu].swap(controls.used, Ordering::Relaxed);
        for (n, list) in lists.iter().enumerate().take(controls.used.max(before)) {
            write_list(n, *list);
        }
        gic::set_control(controls.hcr);
    }
}
