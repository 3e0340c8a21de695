//! A *space*: one device address space, with the host table that realises it.
//!
//! There is one engine under every front end. A space is filled from a guest's tables (a shadow:
//! [`Source::Roots`]) or by explicit maps ([`Source::Explicit`]: identity and paravirtual domains);
//! below that there is no difference: pages are pinned, mapped, taken back, and released when the
//! host IOMMU has confirmed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hv_core::addr::FRAME_WORDS;
use hv_core::ownership::{GuestId, PinError};
use hv_core::table::{Swept, Table};
use hv_core::{Frame, Iova, Ipa, Pa};

use crate::counters::Counters;
use crate::guards::{Guard, Guards};
use crate::iommu::{AttachError, ContextId, HostFormat, Hung, Memory, Quiet, Stale};
use crate::seams::Host;
use crate::variant::{Roots, Variant};

#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "its front ends, bypass and paravirtual domains, are not there yet"
    )
)]
mod explicit;
mod fill;
mod shadow;
#[cfg(test)]
mod tests;

pub use explicit::ExplicitError;
use shadow::Shadow;

/// How many guest tables one guest may have followed at a time. Past it a table pointer is not
/// followed: nothing below it is mapped, it is counted and logged once, a device that goes there
/// faults, and the next flush tries again. Each table costs up to two frames, so this is 16 MiB of
/// host memory at most; it also bounds what one flush compares.
pub const TABLES_PER_GUEST: u64 = 512;

/// How many entries, leaves and table pointers alike, one trap's flush judges at most, one after the
/// other with the guest waiting: [`TABLES_PER_GUEST`] bounds the tables, a frame the entries of each.
/// A trap that opens a space judges again what had to wait there for a pin or for memory. Past the
/// limit there is nothing: entries of further tables are not looked at.
pub const LEAVES_PER_FLUSH: u64 = TABLES_PER_GUEST * FRAME_WORDS as u64;

/// How many spaces one guest may have at a time: one for each stream of a DART. Past it a stream
/// stays on the empty root, and the next flush tries again.
pub const SPACES_PER_GUEST: usize = 16;

/// What to do with a leaf that the host's format cannot express exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Widening {
    /// Allow more than was asked for, and count it. Still only memory of the guest.
    #[default]
    Widen,
    /// Do not install it, and count it.
    Refuse,
}

/// Where a space's mappings come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the guest tables that these roots name.
    Roots(Roots),
    /// From calls of `Space::map` and `Space::unmap`.
    Explicit,
}

/// Room for one guest table and what was last seen of it. Taken once, so that a flush needs no
/// memory.
pub(crate) struct Scratch {
    now: Box<[u64; FRAME_WORDS]>,
    before: Box<[u64; FRAME_WORDS]>,
}

impl Scratch {
    /// `None` when there is no memory.
    pub(crate) fn new() -> Option<Self> {
        fn words() -> Option<Box<[u64; FRAME_WORDS]>> {
            let mut words = Vec::new();
            words.try_reserve_exact(FRAME_WORDS).ok()?;
            words.resize(FRAME_WORDS, 0);
            words.into_boxed_slice().try_into().ok()
        }
        Some(Self {
            now: words()?,
            before: words()?,
        })
    }
}

/// What the engine needs beside the space itself, for the time of one call.
pub(crate) struct Work<'w, 'h> {
    pub(crate) host: &'w mut Host<'h>,
    pub(crate) guest: GuestId,
    pub(crate) variant: &'static Variant,
    pub(crate) widening: Widening,
    pub(crate) guards: Guards,
    pub(crate) counters: &'w mut Counters,
    pub(crate) notices: &'w mut Notices,
    pub(crate) scratch: &'w mut Scratch,
}

/// What was already said in the log: each once per guest, because a guest could say it for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notices(u16);

/// Something that is logged once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    TableLimit,
    ForeignTable,
    ForeignLeaf,
    OutOfMemory,
    Bypass,
    Hung,
    Spaces,
    HostSetup,
}

// The last notice's bit is the highest.
const _: () = assert!(
    (Notice::HostSetup as u32) < u16::BITS,
    "`Notices` has a bit for each notice"
);

impl Notices {
    pub(crate) fn say(&mut self, guest: GuestId, notice: Notice) {
        let bit = 1_u16 << notice as u16;
        if self.0 & bit != 0 {
            return;
        }
        self.0 |= bit;
        let sentence = match notice {
            Notice::TableLimit => {
                "more translation tables than the limit; the rest is not followed"
            }
            Notice::ForeignTable => "a table pointer outside its memory is not followed",
            Notice::ForeignLeaf => "a leaf outside its memory is not installed",
            Notice::OutOfMemory => "host memory has run out; some mappings are left out for now",
            Notice::Bypass => "bypass was asked for, which is not offered; the stream is blocked",
            Notice::Hung => "the host IOMMU does not answer; a stream is blocked for good",
            Notice::HostSetup => {
                "the host IOMMU found fault with its own tables, not with the guest's"
            }
            Notice::Spaces => "more address spaces than the limit; a stream stays blocked",
        };
        log::warn!("guest {}: {sentence} (said once)", guest.number());
    }
}

impl Work<'_, '_> {
    fn out_of_memory(&mut self) {
        self.counters.out_of_memory += 1;
        self.notices.say(self.guest, Notice::OutOfMemory);
    }

    /// What lies behind the guest's page at `at`, for its devices: its RAM, or its doorbell.
    fn behind(&self, at: Ipa) -> Option<(Frame, Memory)> {
        let memory = self.host.memory;
        let ram = memory.frame_of(at).map(|frame| (frame, Memory::Normal));
        ram.or_else(|| Some((memory.doorbell_at(at)?, Memory::Device)))
    }

    /// Counts a host entry that is about to name `frame`.
    fn pin(&mut self, frame: Frame) -> Result<(), PinError> {
        let pinned = self.host.ownership.pin(frame, self.guest);
        if pinned.is_ok() {
            self.counters.pinned();
        } else if pinned != Err(PinError::Limit) && !self.guards.stands(Guard::LeafOwnership) {
            // Installed all the same, without a pin that anybody would count.
            self.counters.pinned();
            return Ok(());
        }
        pinned
    }

    /// Takes the pin of an entry that no device can go through: it was never installed, or the
    /// host IOMMU has confirmed that it is forgotten.
    fn unpin(&mut self, frame: Frame) {
        let stands = self.guards.stands(Guard::LeafOwnership);
        if stands || self.host.ownership.may_reach(frame, self.guest) {
            self.host.ownership.unpin(frame, self.guest);
        }
        self.counters.pages_pinned = self.counters.pages_pinned.saturating_sub(1);
    }

    /// Reads a table that is no RAM of the guest's, where the guard against that is out.
    #[cfg(feature = "guards-out")]
    fn read_unguarded(&mut self, guest: hv_core::Ipa) -> bool {
        let now = &mut self.scratch.now;
        !self.guards.stands(Guard::TableOwnership)
            && self
                .host
                .memory
                .read_any_frame(Pa::new(guest.get()), now)
                .is_ok()
    }

    #[cfg(not(feature = "guards-out"))]
    fn read_unguarded(&mut self, _guest: hv_core::Ipa) -> bool {
        false
    }

    fn released(&mut self, swept: Swept<crate::iommu::HostAttributes>, _after: &Quiet) {
        if let Swept::Leaf(leaf) = swept {
            self.unpin(Frame::containing(leaf.output));
            self.counters.pages_unmapped += 1;
        }
    }
}

/// A leaf's frame when ownership is not asked: as if the guest's address were the machine's.
fn taken_at_its_word(address: u64) -> Frame {
    Frame::containing(Pa::new(address))
}

/// One device address space.
pub struct Space {
    source: Source,
    table: Table<HostFormat>,
    context: ContextId,
    /// The guest tables that are followed, ordered by level, then by address.
    shadows: Vec<Shadow>,
    /// What was taken out of the host table and not yet confirmed forgotten.
    stale: Option<Stale>,
}

impl Space {
    /// An empty space with a host table and a context.
    ///
    /// # Errors
    /// Then nothing is left behind.
    pub(crate) fn open(work: &mut Work<'_, '_>, source: Source) -> Result<Self, AttachError> {
        let frames = work.host.frames;
        let geometry = work.variant.geometry;
        let table = Table::new(frames, geometry, work.host.iommu.format())
            .ok_or(AttachError::OutOfMemory)?;
        match work.host.iommu.open(table.root(), &geometry) {
            Ok(context) => Ok(Self {
                source,
                table,
                context,
                shadows: Vec::new(),
                stale: None,
            }),
            Err(error) => {
                table.free_all(frames, |_| {});
                Err(error)
            }
        }
    }

    /// Where its mappings come from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Its context on the host IOMMU.
    pub fn context(&self) -> ContextId {
        self.context
    }

    /// Its host table.
    pub fn table(&self) -> &Table<HostFormat> {
        &self.table
    }

    fn add_stale(&mut self, stale: Stale) {
        self.stale = Some(match self.stale.take() {
            Some(earlier) => earlier.and(stale),
            None => stale,
        });
    }

    /// Has the host IOMMU forget what was taken out, then releases it. The order is the point:
    /// cleared, fenced and invalidated, confirmed, and only then unpinned.
    fn settle(&mut self, work: &mut Work<'_, '_>) -> Result<(), Hung> {
        let Some(stale) = self.stale.take() else {
            return Ok(());
        };
        let (first, bytes) = (stale.first(), stale.bytes());
        work.counters.host_invalidations += 1;
        match work.host.iommu.invalidate(self.context, stale) {
            Ok(quiet) => {
                self.sweep(work, first, bytes, &quiet);
                Ok(())
            }
            Err(stale) => {
                self.stale = Some(stale);
                Err(Hung)
            }
        }
    }

    fn sweep(&mut self, work: &mut Work<'_, '_>, first: Iova, bytes: u64, quiet: &Quiet) {
        let frames = work.host.frames;
        let swept = self.table.sweep(frames, first.get(), bytes, |swept| {
            work.released(swept, quiet)
        });
        debug_assert!(swept.is_ok(), "what was stale lay inside the table");
    }

    /// Ends the space: no stream is attached to it any more.
    ///
    /// # Errors
    /// When the host IOMMU does not answer. Then the space must be kept, with every frame and pin.
    pub(crate) fn close(mut self, work: &mut Work<'_, '_>) -> Result<(), Self> {
        let Ok(quiet) = work.host.iommu.close(self.context) else {
            return Err(self);
        };
        let frames = work.host.frames;
        for shadow in self.shadows.drain(..) {
            shadow.forget(work);
        }
        self.table
            .free_all(frames, |swept| work.released(swept, &quiet));
        Ok(())
    }
}
