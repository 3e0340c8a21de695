//! The command queue and the event queue: rings of one frame each (IHI 0070 3.5).

use hv_core::Frame;
use hv_core::addr::FRAME_SHIFT;

use super::Io;
use super::spec::{Command, EVENT_WORDS, GERROR_COMMAND, event, offset};
use crate::iommu::{HostFault, Hung};

/// How many times a register is read before the SMMU counts as hung. A read of a device register
/// takes some 100 ns on hardware, so this is a tenth of a second; a CMD_SYNC takes microseconds.
pub(super) const POLLS: u32 = 1_000_000;

/// A position in a ring: an index of `bits` bits with a wrap bit above it.
#[derive(Clone, Copy)]
struct Ring {
    bits: u32,
}

impl Ring {
    /// The largest ring of `2^entry_shift`-byte entries that fits a frame and the SMMU's limit.
    fn new(limit: u32, entry_shift: u32) -> Self {
        Self {
            bits: limit.min(FRAME_SHIFT - entry_shift),
        }
    }

    fn index(self, position: u32) -> usize {
        (position & ((1 << self.bits) - 1)) as usize
    }

    fn position(self, register: u32) -> u32 {
        register & ((1 << (self.bits + 1)) - 1)
    }

    fn next(self, position: u32) -> u32 {
        self.position(position.wrapping_add(1))
    }

    fn is_full(self, producer: u32, consumer: u32) -> bool {
        producer ^ consumer == 1 << self.bits
    }
}

/// The command queue, driven to completion at each call.
pub(super) struct CommandQueue {
    frame: Frame,
    ring: Ring,
    producer: u32,
    /// Once it did not answer, it is not waited for again: each wait would cost the guest a tenth
    /// of a second.
    hung: bool,
}

impl CommandQueue {
    pub(super) fn new(frame: Frame, limit: u32) -> Self {
        Self {
            frame,
            ring: Ring::new(limit, 4),
            producer: 0,
            hung: false,
        }
    }

    pub(super) fn frame(&self) -> Frame {
        self.frame
    }

    pub(super) fn bits(&self) -> u32 {
        self.ring.bits
    }

    /// Runs commands and waits until all have taken effect.
    pub(super) fn run(
        &mut self,
        io: &Io<'_>,
        commands: impl IntoIterator<Item = Command>,
    ) -> Result<(), Hung> {
        for command in commands {
            self.push(io, command)?;
        }
        self.push(io, Command::Sync)?;
        self.submit(io)
    }

    fn push(&mut self, io: &Io<'_>, command: Command) -> Result<(), Hung> {
        if self.hung {
            return Err(Hung);
        }
        let consumer = self.ring.position(io.registers.read32(offset::CMDQ_CONS));
        if self.ring.is_full(self.producer, consumer) {
            self.submit(io)?;
        }
        let index = self.ring.index(self.producer) * 2;
        let [low, high] = command.words();
        io.frames.store(self.frame, index, low);
        io.frames.store(self.frame, index + 1, high);
        self.producer = self.ring.next(self.producer);
        Ok(())
    }

    /// Hands over what was pushed and waits until it is consumed. A CMD_SYNC without a signal is
    /// consumed only when all commands before it are complete (IHI 0070 4.7).
    fn submit(&mut self, io: &Io<'_>) -> Result<(), Hung> {
        // Commands, and the tables that they are about, before the register.
        io.fence.stores();
        io.registers.write32(offset::CMDQ_PROD, self.producer);
        for _ in 0..POLLS {
            let consumer = io.registers.read32(offset::CMDQ_CONS);
            if self.ring.position(consumer) == self.producer {
                return Ok(());
            }
            let errors = io.registers.read32(offset::GERROR) ^ io.registers.read32(offset::GERRORN);
            if errors & GERROR_COMMAND != 0 {
                let code = (consumer >> 24) & 0x7f;
                log::error!("the SMMU stopped at a command, error {code}; it is not used any more");
                self.hung = true;
                return Err(Hung);
            }
            core::hint::spin_loop();
        }
        log::error!("the SMMU's command queue does not move; it is not used any more");
        self.hung = true;
        Err(Hung)
    }
}

/// The event queue.
pub(super) struct EventQueue {
    frame: Frame,
    ring: Ring,
    consumer: u32,
    overflows: u64,
}

/// `EVENTQ_PROD.OVFLG` and `EVENTQ_CONS.OVACKFLG` (6.3.29, 6.3.30): they differ when events were
/// lost.
const OVERFLOW: u32 = 1 << 31;

impl EventQueue {
    pub(super) fn new(frame: Frame, limit: u32) -> Self {
        Self {
            frame,
            ring: Ring::new(limit, 5),
            consumer: 0,
            overflows: 0,
        }
    }

    pub(super) fn frame(&self) -> Frame {
        self.frame
    }

    pub(super) fn bits(&self) -> u32 {
        self.ring.bits
    }

    /// How often it was found to have overflowed. Once per acknowledgement: the SMMU does not tell
    /// how many events were lost until then (7.4).
    pub(super) fn overflows(&self) -> u64 {
        self.overflows
    }

    /// The oldest event, taken out of the queue.
    pub(super) fn next(&mut self, io: &Io<'_>) -> Option<HostFault> {
        let producer = io.registers.read32(offset::EVENTQ_PROD);
        let overflow = producer & OVERFLOW;
        let fault = (self.ring.position(producer) != self.consumer).then(|| {
            io.fence.loads();
            let index = self.ring.index(self.consumer) * EVENT_WORDS;
            let mut words = [0; EVENT_WORDS];
            for (offset, word) in words.iter_mut().enumerate() {
                *word = io.frames.load(self.frame, index + offset);
            }
            self.consumer = self.ring.next(self.consumer);
            event(words)
        });
        let acknowledged = io.registers.read32(offset::EVENTQ_CONS) & OVERFLOW;
        if fault.is_some() || overflow != acknowledged {
            io.registers
                .write32(offset::EVENTQ_CONS, self.consumer | overflow);
        }
        if overflow != acknowledged {
            if self.overflows == 0 {
                log::warn!("the SMMU lost fault reports: its queue was full (said once)");
            }
            self.overflows += 1;
        }
        fault
    }
}
