//! From whatever firmware left to "on, and everything denied".

use core::fmt;

use hv_core::addr::Pa;
use hv_core::frames::Frames;

use super::contexts::Contexts;
use super::queue::{CommandQueue, EventQueue, POLLS};
use super::spec::{self, Command, Identity, cr0, offset};
use super::streams::StreamTable;
use super::{Io, Smmuv3};
use crate::seams::{Fence, Registers};

/// Why the SMMU cannot be used: one sentence each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// No stage 1, or not with VMSAv8-64 tables in little endian.
    NoStage1,
    /// No 16 KiB pages.
    NoGranule,
    /// It does not see the cores' caches.
    NotCoherent,
    /// It puts out fewer address bits than the machine's RAM needs.
    OutputTooSmall {
        /// Bits it has.
        has: u32,
        /// Bits needed.
        needs: u32,
    },
    /// It can only stall on a fault.
    Stalls,
    /// Its queues or tables are fixed by the hardware.
    Preset,
    /// No host memory.
    OutOfMemory,
    /// It did not acknowledge a step within the bound.
    Hung {
        /// The step.
        step: &'static str,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStage1 => write!(f, "the SMMU has no stage 1 with 64-bit tables"),
            Self::NoGranule => write!(f, "the SMMU has no 16 KiB pages, which a DART's are"),
            Self::NotCoherent => write!(f, "the SMMU does not see the cores' caches"),
            Self::OutputTooSmall { has, needs } => {
                write!(
                    f,
                    "the SMMU reaches {has} bits of address, the RAM needs {needs}"
                )
            }
            Self::Stalls => write!(f, "the SMMU can only stall on a fault, never abort"),
            Self::Preset => write!(f, "the SMMU's queues or tables are fixed by the hardware"),
            Self::OutOfMemory => write!(f, "no memory for the SMMU's queues and tables"),
            Self::Hung { step } => write!(f, "the SMMU does not answer while it is {step}"),
        }
    }
}

impl Identity {
    fn suffices(&self, top: Pa) -> Result<(), StartError> {
        if !self.stage1 || !self.aarch64_tables || !self.little_endian {
            return Err(StartError::NoStage1);
        }
        if !self.granule_16k {
            return Err(StartError::NoGranule);
        }
        if !self.coherent {
            return Err(StartError::NotCoherent);
        }
        if self.stalls_always {
            return Err(StartError::Stalls);
        }
        if self.preset {
            return Err(StartError::Preset);
        }
        let needs = 64 - top.get().saturating_sub(1).leading_zeros();
        let has = self.output_bits().min(48);
        if has < needs {
            Err(StartError::OutputTooSmall { has, needs })
        } else {
            Ok(())
        }
    }
}

/// Writes a register whose effect is confirmed by another that reads as written.
fn acknowledged(
    registers: &dyn Registers,
    control: usize,
    confirmation: usize,
    value: u32,
    step: &'static str,
) -> Result<(), StartError> {
    registers.write32(control, value);
    for _ in 0..POLLS {
        if registers.read32(confirmation) == value {
            return Ok(());
        }
        core::hint::spin_loop();
    }
    Err(StartError::Hung { step })
}

/// Has everything denied while the SMMU is off. Not every SMMU can (QEMU's before 8.0 cannot): then
/// it must be on before any bus master is, which the platform sees to in any case.
fn deny_while_off(registers: &dyn Registers) -> Result<(), StartError> {
    let updated = || (0..POLLS).any(|_| registers.read32(offset::GBPA) & spec::GBPA_UPDATE == 0);
    let step = "told to deny";
    if !updated() {
        return Err(StartError::Hung { step });
    }
    registers.write32(offset::GBPA, spec::GBPA_UPDATE | spec::GBPA_ABORT);
    if !updated() {
        return Err(StartError::Hung { step });
    }
    if registers.read32(offset::GBPA) & spec::GBPA_ABORT == 0 {
        log::info!("this SMMU lets accesses pass while it is off; it stays on from here");
    }
    Ok(())
}

impl<'h> Smmuv3<'h> {
    /// Turns an SMMU on with every stream denied, and its event interrupt enabled (as a wire: the
    /// addresses for messages are zero). `top` is the first address past the machine's RAM.
    ///
    /// # Errors
    /// When it is not good enough or does not answer. It is off then; what it does while it is off
    /// depends on the SMMU, so no device may be let loose.
    pub fn start(
        registers: &'h dyn Registers,
        frames: &'h dyn Frames,
        fence: &'h dyn Fence,
        top: Pa,
    ) -> Result<Self, StartError> {
        let identity = Identity::from_registers(
            registers.read32(offset::IDR0),
            registers.read32(offset::IDR1),
            registers.read32(offset::IDR5),
        );
        identity.suffices(top)?;
        deny_while_off(registers)?;
        acknowledged(registers, offset::CR0, offset::CR0ACK, 0, "turned off")?;
        acknowledged(
            registers,
            offset::IRQ_CTRL,
            offset::IRQ_CTRLACK,
            0,
            "silenced",
        )?;

        let mut smmu = Self::allocate(
            Io {
                registers,
                frames,
                fence,
            },
            &identity,
        )?;
        match smmu.turn_on(&identity) {
            Ok(()) => Ok(smmu),
            Err(error) => {
                // Off, so that nothing walks these frames; but they stay allocated, because an
                // SMMU that does not answer may not be off.
                registers.write32(offset::CR0, 0);
                Err(error)
            }
        }
    }

    fn allocate(io: Io<'h>, identity: &Identity) -> Result<Self, StartError> {
        let streams = StreamTable::new(io.frames, identity).ok_or(StartError::OutOfMemory)?;
        let mut got = [None; 3];
        for frame in &mut got {
            *frame = io.frames.allocate();
        }
        let [Some(commands), Some(events), Some(contexts)] = got else {
            got.into_iter()
                .flatten()
                .for_each(|frame| io.frames.free(frame));
            streams.free(io.frames);
            return Err(StartError::OutOfMemory);
        };
        Ok(Self {
            io,
            commands: CommandQueue::new(commands, identity.command_bits),
            events: EventQueue::new(events, identity.event_bits),
            streams,
            no_stall: identity.stall_optional,
            contexts: Contexts::new(contexts, identity.output_size),
        })
    }

    fn turn_on(&mut self, identity: &Identity) -> Result<(), StartError> {
        let Io {
            registers, fence, ..
        } = self.io;
        registers.write32(offset::CR1, spec::CR1_COHERENT);
        registers.write32(offset::CR2, spec::CR2_PRIVATE_RECORDING);

        let (base, config) = self.streams.registers();
        registers.write64(offset::STRTAB_BASE, base | spec::BASE_ALLOCATE);
        registers.write32(offset::STRTAB_BASE_CFG, config);

        let base = |frame: hv_core::Frame, bits: u32| {
            frame.base().get() | u64::from(bits) | spec::BASE_ALLOCATE
        };
        registers.write64(
            offset::CMDQ_BASE,
            base(self.commands.frame(), self.commands.bits()),
        );
        registers.write32(offset::CMDQ_PROD, 0);
        registers.write32(offset::CMDQ_CONS, 0);
        registers.write64(
            offset::EVENTQ_BASE,
            base(self.events.frame(), self.events.bits()),
        );
        registers.write32(offset::EVENTQ_PROD, 0);
        registers.write32(offset::EVENTQ_CONS, 0);
        // Errors that are already active would look like ours.
        registers.write32(offset::GERRORN, registers.read32(offset::GERROR));
        fence.stores();

        // Commands first, so that nothing stale survives from before.
        let mut on = cr0::CMDQEN;
        let cr0 = |on, step| acknowledged(registers, offset::CR0, offset::CR0ACK, on, step);
        cr0(on, "given commands")?;
        let el2 = identity.el2.then_some(Command::ForgetEverythingEl2);
        let forget = [Command::ForgetAllStreams, Command::ForgetEverything];
        self.commands
            .run(&self.io, forget.into_iter().chain(el2))
            .map_err(|_| StartError::Hung {
                step: "told to forget everything",
            })?;

        on |= cr0::EVENTQEN;
        cr0(on, "given an event queue")?;
        for config in [offset::GERROR_IRQ_CFG0, offset::EVENTQ_IRQ_CFG0] {
            // Address of a message: none; then its data and its attributes.
            registers.write64(config, 0);
            registers.write32(config + 8, 0);
            registers.write32(config + 12, 0);
        }
        let events = spec::IRQ_EVENTS;
        acknowledged(
            registers,
            offset::IRQ_CTRL,
            offset::IRQ_CTRLACK,
            events,
            "given a wire",
        )?;

        on |= cr0::SMMUEN;
        cr0(on, "turned on")
    }
}
