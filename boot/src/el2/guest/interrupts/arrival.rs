//! Interrupts as they come: from the machine's lines, from devices' messages, from the host's IOMMU.

use core::sync::atomic::Ordering;

use guest_abi::config::Delivery;
use hv_core::arch::aarch64::gic::{self, write_list};
use hv_core::its::Routed;
use hv_core::layout::DART_INTID;
use hv_core::vgic::{VcpuSet, Vgic, Written};

use super::super::super::cores::Core;
use super::super::super::messages::{Messages, messages};
use super::super::{Guest, current};

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
        None => current(),
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
    let guest = current().filter(|guest| guest.id == routed.guest);
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
    if let Some(guest) = current() {
        guest.with_dma(|dart, host| dart.drain_faults(host));
        guest.update_dart_line();
    }
}

impl Guest {
    /// Brings the wire of the DART's interrupt to where its registers want it.
    pub(in crate::el2::guest) fn update_dart_line(&self) {
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
}
