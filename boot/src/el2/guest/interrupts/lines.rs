//! The machine's lines that feed the guest.

use hv_core::vgic::{Line, LineChange, VcpuSet, Vgic};

use super::super::super::interrupts::host;
use super::super::Guest;

impl Guest {
    /// Lines of the machine, in order; and who is to be called is added to `kick`. The GIC's lock is held, so that
    /// two changes of one line do not pass each other.
    pub(super) fn carry_out(&self, vgic: &mut Vgic, kick: &mut VcpuSet) {
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

    pub(super) fn change_line(&self, line: &Line) {
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

    /// Brings the machine's lines back to where they were before the guest had a GIC. No vCPU runs.
    pub(in crate::el2::guest) fn quiet_lines(&self) {
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
    pub(in crate::el2::guest) fn release_lines(&self) {
        self.vgic.lock().release_all(|line| self.change_line(&line));
    }
}
