//! The guest's interrupts: its virtual GIC, the list registers of the cores that run it, and the machine's lines that
//! feed it.

use core::sync::atomic::Ordering;

use guest_abi::config::Delivery;
use hv_core::arch::aarch64::gic::{self, read_list, write_list};
use hv_core::arch::aarch64::{core as cpu, guest as vcpu};
use hv_core::its::Routed;
use hv_core::layout::{DART_INTID, GICR_FRAME};
use hv_core::psci::MAX_VCPUS;
use hv_core::vgic::lr::{EOI_COUNT, HCR_EN, eoi_count};
use hv_core::vgic::{
    DirTrap, IccRegister, Line, LineChange, Linking, MAX_LIST_REGISTERS, Platform, VcpuSet, Vgic,
    Written,
};
use spin::MutexGuard;

use super::super::cores::{self, Core};
use super::super::exits::complain;
use super::super::interrupts::host;
use super::super::messages::{Messages, messages};
use super::Guest;

/// How long one vCPU waits for others to tell what they have in their list registers, in microseconds. They are called
/// to EL2 for it, where nothing takes as long as this.
const SETTLED_WITHIN: u64 = 500_000;

fn has_passed(since: u64) -> bool {
    cpu::microseconds(cpu::ticks().saturating_sub(since)) > SETTLED_WITHIN
}

/// `ICH_HCR_EL2`: every access of the guest to its CPU interface traps (`TC`, `TALL0`, `TALL1`).
const TRAP_ALL: u64 = (1 << 10) | (1 << 11) | (1 << 12);

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

/// The machine's interrupt `intid`, which a guest knows as `virtual_intid`, was taken on `core` and is active there.
pub(in crate::el2) fn physical(
    running: Option<(&'static Guest, usize)>,
    intid: u32,
    virtual_intid: u32,
) {
    if let Some((guest, vcpu)) = running
        && guest.quick(vcpu, |vgic, empty, room| {
            vgic.quick_physical(vcpu, virtual_intid, empty, room)
        })
    {
        return;
    }
    physical_the_long_way(running, intid, virtual_intid);
}

#[inline(never)]
fn physical_the_long_way(running: Option<(&'static Guest, usize)>, intid: u32, virtual_intid: u32) {
    let guest = match running {
        Some((guest, _)) => Some(guest),
        None if intid < 32 => None,
        None => super::current(),
    };
    let Some(guest) = guest else {
        return gic::deactivate(intid); // a core without a vCPU has no use for a timer
    };
    if guest.ending.load(Ordering::SeqCst) {
        return gic::deactivate(intid); // its GIC no longer counts
    }
    guest.source(|vgic, vcpu| vgic.physical(vcpu, virtual_intid));
    if guest.delivery != Delivery::Hardware {
        // Masked by a line change just now: it cannot come again before that is taken back.
        gic::deactivate(intid);
    }
}

/// A message (LPI) has come to `core`. It has no active state: nothing is owed to the machine's GIC.
pub(in crate::el2) fn message(
    core: &'static Core,
    running: Option<(&'static Guest, usize)>,
    lpi: u32,
) {
    // One that nobody wants comes from a device that was taken away meanwhile.
    let Some((messages, routed)) = messages().and_then(|all| Some((all, all.route(lpi)?))) else {
        return;
    };
    if let Some((guest, vcpu)) = running
        && guest.id == routed.guest
        && guest.quick(vcpu, |vgic, empty, room| {
            vgic.quick_pulse(vcpu, routed.event, empty, room)
        })
    {
        return;
    }
    message_the_long_way(core, messages, &routed, lpi);
}

#[inline(never)]
fn message_the_long_way(core: &'static Core, messages: &Messages, routed: &Routed, lpi: u32) {
    let guest = super::current().filter(|guest| guest.id == routed.guest);
    let Some(guest) = guest else {
        return;
    };
    let mut elsewhere = VcpuSet::EMPTY;
    guest.source(|vgic, _| {
        vgic.pulse(0, routed.event);
        elsewhere = vgic.changes().kick;
    });
    if let Some(target) = elsewhere.iter().next().map(|vcpu| guest.core_of(vcpu))
        && target != core.index()
    {
        // From now on it comes where the guest takes it.
        messages.retarget(lpi, target);
    }
}

/// The host's IOMMU has stopped something: whoever's it was is told by its DART.
pub(in crate::el2) fn faults() {
    if let Some(guest) = super::current() {
        guest.with_dma(|dart, host| dart.drain_faults(host));
        guest.update_dart_line();
    }
}

impl Guest {
    /// Brings the wire of the DART's interrupt to where its registers want it.
    pub(super) fn update_dart_line(&self) {
        let changed = {
            let dma = self.dma.lock();
            dma.dart.interrupt() != self.dart_line.load(Ordering::Acquire)
        };
        if !changed {
            return;
        }
        self.interrupts(|vgic| {
            // Asked again under the GIC's lock: what is told last is what is so.
            let level = {
                let dma = self.dma.lock();
                let level = dma.dart.interrupt();
                self.dart_line.store(level, Ordering::Release);
                level
            };
            vgic.raise(0, DART_INTID, level);
        });
    }

    /// The vCPU of this guest that the calling core runs.
    pub(super) fn own_vcpu(&self) -> Option<usize> {
        let (guest, vcpu) = cores::this().running()?;
        core::ptr::eq(guest, self).then_some(vcpu)
    }

    /// A source of interrupts has changed. `work` gets the vCPU whose private interrupts are meant.
    pub(in crate::el2) fn source(&self, work: impl FnOnce(&mut Vgic, usize)) {
        let vcpu = self.own_vcpu().unwrap_or(0);
        self.interrupts(|vgic| work(vgic, vcpu));
    }

    /// The short way of an interrupt into a list register of the calling core, `vcpu`, if there is one.
    fn quick(
        &self,
        vcpu: usize,
        work: impl FnOnce(&mut Vgic, u32, usize) -> Option<Written>,
    ) -> bool {
        if self.delivery == Delivery::Trapped {
            return false;
        }
        let mut vgic = self.vgic.lock();
        let Some(written) = work(&mut vgic, gic::empty_lists(), self.list_registers) else {
            return false;
        };
        write_list(written.index, written.word);
        if written.fresh {
            self.lists_used[vcpu].store(written.index.saturating_add(1), Ordering::Relaxed);
        }
        true
    }

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

    /// Lines of the machine, in order; and who is to be called is added to `kick`. The GIC's lock is held, so that
    /// two changes of one line do not pass each other.
    fn carry_out(&self, vgic: &mut Vgic, kick: &mut VcpuSet) {
        let changes = vgic.changes();
        if changes.kick.is_empty() && changes.lines().is_empty() {
            return;
        }
        for line in changes.lines() {
            self.change_line(line);
        }
        for vcpu in changes.kick.iter() {
            kick.insert(vcpu);
        }
        vgic.carried_out();
    }

    fn change_line(&self, line: &Line) {
        let Some(gic) = host() else {
            return;
        };
        let (core, intid) = (self.core_of(line.vcpu), u32::from(line.physical));
        match line.change {
            LineChange::Enable => gic.enable(core, intid),
            LineChange::Disable => gic.disable(core, intid),
            LineChange::Deactivate => gic.deactivate(core, intid),
            LineChange::Route(vcpu) => gic.route(self.core_of(vcpu), intid),
        }
    }

    /// Calls these vCPUs to EL2, as far as they are not there or off. One that enters the guest at this moment has
    /// said so before it took the GIC's lock, so either it is called or it has seen what there was to see.
    fn kick(&self, vcpus: VcpuSet) {
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
    pub(super) fn kick_others(&self) {
        let mut others = VcpuSet::EMPTY;
        for vcpu in 0..MAX_VCPUS {
            others.insert(vcpu);
        }
        if let Some(own) = self.own_vcpu() {
            others.remove(own);
        }
        self.kick(others);
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
    pub(super) fn let_go(&self, vcpu: usize) {
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

    /// Brings the machine's lines back to where they were before the guest had a GIC. No vCPU runs.
    pub(super) fn quiet_lines(&self) {
        let Some(gic) = host() else {
            return;
        };
        for line in &self.lines {
            let intid = line.machine.intid();
            let cores = if intid < 32 { self.affinities.len() } else { 1 };
            for vcpu in 0..cores {
                gic.disable(self.core_of(vcpu), intid);
                gic.deactivate(self.core_of(vcpu), intid);
            }
            gic.route(self.core_of(0), intid);
        }
    }

    /// Takes the guest off the machine's lines. No vCPU runs any more.
    pub(super) fn release_lines(&self) {
        self.vgic.lock().release_all(|line| self.change_line(&line));
    }
}
