//! How a trapped access to an emulated device ends: as loads and stores of the device, or as the abort that hardware
//! would have given.
//!
//! The caller brings the syndrome, the instruction where the syndrome does not describe the access, and what memory
//! type stage 1 gives the page; [`plan`] decides, [`Run::complete`] carries out. `docs/machine.md` has the decisions
//! as a table. The instruction is fetched once and may have been changed since it trapped: then the plan does not
//! fit the fault ([`Plan::Again`]) or describes an access that the guest could have made anyway.

mod fault;
mod image;
mod run;
mod step;

pub use fault::{Abort, Cause, Fault, Memory, Repeats};
pub use run::{Bus, GeneralRegisters, MAX_LENGTH, MAX_PIECES, Run, VectorRegisters};
pub use step::stepped;

use super::instruction::{self, MemoryAccess, Operation};

/// What [`plan`] has to know of the guest besides its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Where the instruction is (`ELR_EL2`).
    pub pc: u64,
    /// The memory type that stage 1 gives the faulting address.
    pub memory: Memory,
    /// Data accesses are big-endian: `SCTLR_EL1.EE` or, at EL0, `E0E`; AArch32's `PSTATE.E`.
    pub big_endian: bool,
    /// The guest runs AArch32 code (`PSTATE.nRW`).
    pub aarch32: bool,
}

/// How a trapped access ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Plan {
    /// In loads or stores of the device.
    Run(Run),
    /// In nothing: the instruction is stepped over.
    Skip,
    /// In an exception of the guest's.
    Abort(Abort),
    /// The instruction is not the one that trapped: the guest executes it as it is now. See [`Repeats`].
    Again,
}

/// Decides how an access ends that stage 2 stopped because an emulated device is there.
///
/// `word` is the instruction, needed where [`Fault::needs_instruction`] says so (otherwise it may be `None`; given
/// nevertheless, it wins over the syndrome).
pub fn plan(
    fault: &Fault,
    word: Option<u32>,
    registers: &impl GeneralRegisters,
    situation: &Situation,
) -> Plan {
    let abort = |cause| Plan::Abort(fault.abort(cause));
    if fault.walk {
        // Translation tables in a device: the walker's read is answered by an error.
        return abort(Cause::Walk);
    }
    if fault.maintenance {
        // A device's page holds nothing in any cache, so there is nothing to clean or invalidate.
        return Plan::Skip;
    }
    let access = match (word, fault.described) {
        // Only A64 is decoded.
        (Some(word), _) if !situation.aarch32 => match instruction::decode(word) {
            Some(access) => access,
            None => return Plan::Again,
        },
        (_, Some(transfer)) => MemoryAccess::described(transfer, fault.write, fault.ordered),
        (_, None) => return abort(Cause::External),
    };
    decide(fault, access, registers, situation)
}

fn decide(
    fault: &Fault,
    access: MemoryAccess,
    registers: &impl GeneralRegisters,
    situation: &Situation,
) -> Plan {
    let abort = |cause| Plan::Abort(fault.abort(cause));
    match access.operation {
        Operation::Load { .. } | Operation::Store => {}
        // Only memory with a monitor, or that can do atomics, answers these (Arm ARM, "Load-Exclusive and
        // Store-Exclusive instruction usage restrictions" and "Atomic instructions" leave the choice; Cortex-A55 TRM,
        // "Internal exclusive monitor", gives this one for a device).
        Operation::LoadExclusive
        | Operation::StoreExclusive { .. }
        | Operation::Atomic { .. }
        | Operation::CompareAndSwap { .. } => return abort(Cause::UnsupportedAtomic),
        // Never faults, so it is not what trapped.
        Operation::Prefetch => return Plan::Again,
        // Arm ARM, DC ZVA: an alignment fault on any Device memory. Mapped Normal it is a burst of stores, which a
        // register block refuses.
        Operation::ZeroBlock => {
            return abort(match situation.memory {
                Memory::Device => Cause::Alignment,
                Memory::Normal => Cause::External,
            });
        }
        Operation::Unsupported(_) => return abort(Cause::External),
    }
    let run = Run::new(access, fault, registers, situation);
    if (access.operation == Operation::Store) != fault.write || !run.covers(fault.address) {
        return Plan::Again;
    }
    // Arm ARM, "Alignment of data accesses": each element of its own size, on Device memory whatever SCTLR_EL1.A
    // says. Hardware finds this in stage 1, before stage 2 is asked; QEMU 7.2 does not, so that it ends up here.
    if situation.memory == Memory::Device && !run.is_aligned() {
        return abort(Cause::Alignment);
    }
    Plan::Run(run)
}

#[cfg(test)]
mod tests;
