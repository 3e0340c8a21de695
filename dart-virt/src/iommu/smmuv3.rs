//! Arm SMMUv3 (IHI 0070).
//!
//! - [`spec`]: what registers, commands, events and structures look like; no algorithms.
//! - `queue`: the command queue and the event queue.
//! - `streams`: the stream table. `contexts`: the context descriptors.
//! - `start`: from reset to "on, and everything denied".
//! - here: the driver as a [`HostIommu`].

use hv_core::Frame;
use hv_core::frames::Frames;
use hv_core::table::Geometry;

use super::{
    AttachError, ContextId, HostFault, HostFormat, HostIommu, HostStream, Hung, Quiet, Stale,
};
use crate::seams::{Fence, Registers};

mod contexts;
mod queue;
pub mod spec;
mod start;
mod streams;
#[cfg(test)]
mod tests;

use contexts::Contexts;
use queue::{CommandQueue, EventQueue};
use spec::{Command, StreamEntry};
pub use start::StartError;
use streams::{Place, StreamTable};

/// Up to this many pages an invalidation names each page; above it, it names the context's tag. A
/// page costs one command, the tag costs every cached translation of the context.
const PAGES_BY_NAME: u64 = 16;

/// What the driver reaches the SMMU by.
#[derive(Clone, Copy)]
struct Io<'h> {
    registers: &'h dyn Registers,
    frames: &'h dyn Frames,
    fence: &'h dyn Fence,
}

/// An SMMUv3 that is on.
pub struct Smmuv3<'h> {
    io: Io<'h>,
    commands: CommandQueue,
    events: EventQueue,
    streams: StreamTable,
    contexts: Contexts,
    /// Its streams could stall, and must be told not to.
    no_stall: bool,
}

impl Smmuv3<'_> {
    /// Takes what the table of streams says about `stream` back and puts `entry` there, by the
    /// procedure of IHI 0070 3.21.3: invalid, forgotten, rewritten from the back, valid, forgotten
    /// once more. When the SMMU does not answer, the entry is left invalid.
    fn set_stream(&mut self, stream: HostStream, entry: StreamEntry) -> Result<(), AttachError> {
        let place = self.streams.place(&self.io, stream)?;
        let forget = Command::ForgetStream { stream: stream.0 };
        let rewritten = self.rewrite(place, forget, entry);
        if rewritten.is_err() {
            // What the SMMU holds is in doubt; what it may yet fetch must deny.
            place.store(&self.io, 0, 0);
            self.io.fence.stores();
        }
        Ok(rewritten?)
    }

    fn rewrite(&mut self, place: Place, forget: Command, entry: StreamEntry) -> Result<(), Hung> {
        if place.is_valid(&self.io) {
            place.store(&self.io, 0, 0);
            self.commands.run(&self.io, [forget])?;
        }
        let words = entry.words();
        for (index, &word) in words.iter().enumerate().skip(1) {
            place.store(&self.io, index, word);
        }
        self.io.fence.stores();
        place.store(&self.io, 0, words[0]);
        self.commands.run(&self.io, [forget])
    }

    /// Gives the entry of `stream` its memory, which the SMMU then keeps: whoever counts a guest's
    /// frames does this first.
    ///
    /// # Errors
    /// No such stream, or no memory.
    pub fn reserve(&mut self, stream: HostStream) -> Result<(), AttachError> {
        self.streams.place(&self.io, stream).map(|_| ())
    }

    /// How often the event queue overflowed, as far as it was read.
    pub fn lost(&self) -> u64 {
        self.events.overflows()
    }
}

impl HostIommu for Smmuv3<'_> {
    fn format(&self) -> HostFormat {
        HostFormat::VmsaStage1
    }

    fn open(&mut self, root: Frame, geometry: &Geometry) -> Result<ContextId, AttachError> {
        self.contexts.open(&self.io, root, geometry)
    }

    fn attach(&mut self, stream: HostStream, context: ContextId) -> Result<(), AttachError> {
        let descriptor = self.contexts.address(context);
        self.set_stream(
            stream,
            StreamEntry::Translate {
                descriptor,
                no_stall: self.no_stall,
            },
        )
    }

    fn deny(&mut self, stream: HostStream) -> Result<(), Hung> {
        let Some(place) = self.streams.existing(&self.io, stream) else {
            return Ok(());
        };
        place.store(&self.io, 0, 0);
        // Also when the command queue is not used any more: the SMMU may still fetch the entry.
        self.io.fence.stores();
        self.commands
            .run(&self.io, [Command::ForgetStream { stream: stream.0 }])
    }

    fn invalidate(&mut self, context: ContextId, stale: Stale) -> Result<Quiet, Stale> {
        let asid = Contexts::asid(context);
        let page = hv_core::addr::FRAME_SIZE;
        let pages = stale.bytes().div_ceil(page);
        let done = if !stale.tables() && pages <= PAGES_BY_NAME {
            let first = stale.first().get();
            self.commands.run(
                &self.io,
                (0..pages).map(|index| Command::ForgetPage {
                    asid,
                    iova: first + index * page,
                }),
            )
        } else {
            self.commands
                .run(&self.io, [Command::ForgetContext { asid }])
        };
        match done {
            Ok(()) => Ok(Quiet::confirmed()),
            Err(Hung) => Err(stale),
        }
    }

    /// An SMMU caches no entry that would fault (IHI 0070 3.21.1), so the stores need only arrive.
    fn publish(&mut self, _context: ContextId) {
        self.io.fence.stores();
    }

    fn close(&mut self, context: ContextId) -> Result<Quiet, Hung> {
        let asid = Contexts::asid(context);
        self.contexts.invalidate(&self.io, context);
        // No stream names the descriptor any more, and forgetting one takes a stream's number: so
        // all configuration is forgotten, which happens once in a space's life.
        self.commands.run(
            &self.io,
            [Command::ForgetAllStreams, Command::ForgetContext { asid }],
        )?;
        self.contexts.release(context);
        Ok(Quiet::confirmed())
    }

    fn next_fault(&mut self) -> Option<HostFault> {
        self.events.next(&self.io)
    }

    fn lost(&self) -> u64 {
        Smmuv3::lost(self)
    }

    #[cfg(feature = "guards-out")]
    fn bypass(&mut self, stream: HostStream) -> Result<(), AttachError> {
        self.set_stream(stream, StreamEntry::Bypass)
    }
}
