//! The state of 32 interrupts, one bit each: what the distributor's and redistributors' registers hold.
//!
//! Beside the architecture's state (IHI 0069, 4.1) stands what the virtual GIC must know while a part of it lies in
//! list registers: an interrupt that is *resident* is in some vCPU's list registers, and the hardware acknowledges
//! and deactivates it there unseen. Until that vCPU stores them, this state is what it was at the load, and what
//! happens meanwhile is kept apart (`again`, `relinked`), so that an acknowledgement found later does not swallow it.

use super::lists::{Event, Loaded};

/// Bits of priority, as every known implementation of the virtual CPU interface has them (`ICH_VTR_EL2.PRIbits`).
pub(super) const PRIORITY_MASK: u8 = 0xf8;

/// Nobody: the affinity in `IROUTER` names no vCPU.
pub(super) const NOBODY: u8 = 0xff;

/// The running priority of an interrupt that was made active by a register write: after all others.
pub(super) const NEVER_RAN: u8 = 0xff;

#[derive(Clone, Debug)]
pub(super) struct Bank {
    pub(super) group1: u32,
    pub(super) enabled: u32,
    /// `ICFGR`: edge-triggered.
    pub(super) edge: u32,
    /// The wire of a level source is high.
    pub(super) line: u32,
    /// Pending because of an edge, an SGI, a host interrupt or a write to `ISPENDR`.
    pub(super) latch: u32,
    pub(super) active: u32,
    /// In a vCPU's list registers.
    pub(super) resident: u32,
    /// Became pending again after it was put into list registers.
    pub(super) again: u32,
    /// Fed by a host interrupt.
    pub(super) forwarded: u32,
    /// The host's interrupt waits for this one to be dealt with: active there, or masked.
    pub(super) linked: u32,
    /// The host's interrupt fired again after the earlier one was put into list registers.
    pub(super) relinked: u32,
    /// The host's line is let through.
    pub(super) open: u32,
    pub(super) priority: [u8; 32],
    /// The priority it had when it was acknowledged.
    pub(super) running: [u8; 32],
    /// The vCPU that it goes to, or [`NOBODY`].
    pub(super) target: [u8; 32],
    /// The vCPU that has it in its list registers or has acknowledged it; only meaningful in these cases.
    pub(super) holder: [u8; 32],
    /// The turn of its latest acknowledgement; 0 for one that was made active by a register write.
    pub(super) taken: [u64; 32],
    pub(super) physical: [u16; 32],
    /// `IROUTER`, a byte for each of Aff3 to Aff0.
    pub(super) route: [u32; 32],
}

/// Who acknowledges, and after how many others of this guest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) by: u8,
    pub(super) turn: u64,
}

/// The bits of a mask, lowest first.
pub(super) fn bits(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    core::iter::from_fn(move || {
        let bit = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (bit < 32).then_some(bit as usize)
    })
}

impl Bank {
    pub(super) const fn new(edge: u32, target: u8) -> Self {
        Self {
            group1: 0,
            enabled: 0,
            edge,
            line: 0,
            latch: 0,
            active: 0,
            resident: 0,
            again: 0,
            forwarded: 0,
            linked: 0,
            relinked: 0,
            open: 0,
            priority: [0; 32],
            running: [0; 32],
            target: [target; 32],
            holder: [target; 32],
            taken: [0; 32],
            physical: [0; 32],
            route: [0; 32],
        }
    }

    /// Pending as the guest reads it: latched, or a level wire that is high.
    pub(super) const fn pending(&self) -> u32 {
        self.latch | self.again | (self.line & !self.edge)
    }

    /// Pending, enabled and in Group 1, whether active or not.
    pub(super) const fn wanted(&self) -> u32 {
        self.pending() & self.enabled & self.group1
    }

    /// May be acknowledged and is not in anybody's list registers.
    pub(super) const fn deliverable(&self) -> u32 {
        self.wanted() & !self.active & !self.resident
    }

    /// Is there anything to be put into list registers at all?
    pub(super) const fn is_busy(&self) -> bool {
        self.pending() | self.active != 0
    }

    /// Makes the interrupts of `mask` pending by an edge.
    pub(super) const fn latch(&mut self, mask: u32) {
        self.again |= mask & self.resident;
        self.latch |= mask & !self.resident;
    }

    /// Takes the edge back.
    pub(super) const fn unlatch(&mut self, mask: u32) {
        self.again &= !mask;
        self.latch &= !mask;
    }

    /// A host interrupt of this guest was taken.
    pub(super) const fn link(&mut self, mask: u32) {
        self.latch(mask);
        self.relinked |= mask & self.resident;
        self.linked |= mask & !self.resident;
    }

    /// Acknowledged at `running`.
    pub(super) fn acknowledge(&mut self, bit: usize, running: u8, taken: Taken) {
        let mask = 1 << bit;
        self.latch &= !mask;
        self.active |= mask;
        self.running[bit] = running;
        self.holder[bit] = taken.by;
        self.taken[bit] = taken.turn;
    }

    /// Takes an interrupt back out of list registers, where the guest did `events` to it.
    pub(super) fn take_back(&mut self, bit: usize, was: &Loaded, events: &[Event], taken: Taken) {
        let mask = 1 << bit;
        for event in events {
            match event {
                Event::Acknowledged => self.acknowledge(bit, was.priority, taken),
                Event::Deactivated => {
                    self.active &= !mask;
                    // The hardware has deactivated the host's interrupt with it (IHI 0069, ICH_LR<n>_EL2.HW).
                    if was.hardware {
                        self.linked &= !mask;
                    }
                }
            }
        }
        self.resident &= !mask;
        self.latch |= self.again & mask;
        self.again &= !mask;
        self.linked |= self.relinked & mask;
        self.relinked &= !mask;
    }

    /// Host lines that nothing waits for any longer: to be released.
    pub(super) const fn finished(&self) -> u32 {
        self.linked & !self.active & !self.latch & !self.resident
    }
}
