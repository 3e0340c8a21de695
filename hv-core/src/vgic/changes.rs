//! What the world has to do after the virtual GIC changed: data, carried out by the caller.

use arrayvec::ArrayVec;

use crate::psci::MAX_VCPUS;

/// Host interrupt lines that one call can change. A 32-bit register write changes at most 32, a store of all list
/// registers at most 16 of its own and 31 that were counted as deactivated elsewhere.
pub const MAX_LINES: usize = 64;

/// A set of vCPUs of one guest, by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct VcpuSet(u8);

impl VcpuSet {
    /// No vCPU.
    pub const EMPTY: Self = Self(0);

    const fn bit(vcpu: usize) -> u8 {
        if vcpu < MAX_VCPUS { 1 << vcpu } else { 0 }
    }

    /// Adds `vcpu`; an index that no vCPU can have is ignored.
    pub const fn insert(&mut self, vcpu: usize) {
        self.0 |= Self::bit(vcpu);
    }

    /// Takes `vcpu` out.
    pub const fn remove(&mut self, vcpu: usize) {
        self.0 &= !Self::bit(vcpu);
    }

    /// Is `vcpu` in it?
    pub const fn contains(self, vcpu: usize) -> bool {
        self.0 & Self::bit(vcpu) != 0
    }

    /// Is nobody in it?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The vCPUs in it, lowest first.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_VCPUS).filter(move |vcpu| self.contains(*vcpu))
    }
}

/// What becomes of a host interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineChange {
    /// Let it through (`ISENABLER`).
    Enable,
    /// Stop it (`ICENABLER`).
    Disable,
    /// It is active at the host for the guest's sake and need not be any longer (`ICACTIVER` or `DIR`).
    Deactivate,
    /// Take it on the core of this vCPU from now on (`IROUTER`).
    Route(usize),
}

/// One host interrupt and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose redistributor the line belongs to, if it is private to a core (INTID below 32).
    pub vcpu: usize,
    /// The host's INTID.
    pub physical: u16,
    /// What to do with it.
    pub change: LineChange,
}

/// Consequences of calls, for the caller to carry out: vCPUs may hang and host lines stay masked if they are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// vCPUs that must come to EL2, store their list registers and load them anew (with trapped `ICC_*`: ask
    /// [`super::Vgic::signals`] again). The calling vCPU may be among them; it loads before it goes on anyway.
    pub kick: VcpuSet,
    lines: ArrayVec<Line, MAX_LINES>,
}

impl Changes {
    /// Host lines to change, in this order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What there was has been carried out.
    pub(super) fn clear(&mut self) {
        self.kick = VcpuSet::EMPTY;
        self.lines.clear();
    }

    pub(super) fn line(&mut self, line: Line) {
        let fits = self.lines.try_push(line);
        // Which calls push how much is counted at MAX_LINES; no guest input can exceed it.
        debug_assert!(fits.is_ok(), "more line changes than one call can cause");
    }
}
