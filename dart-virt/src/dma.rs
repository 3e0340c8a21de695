//! Everything about one guest's DMA, behind one door: its virtual DART, which host streams stand
//! behind which of its streams, and the spaces they go through.

use hashbrown::HashMap;
use hv_core::Frame;
use hv_core::table::Table;

use crate::counters::Counters;
use crate::fault::{GuestFault, classify};
use crate::guards::Guard;
use crate::iommu::{ContextId, HostFault, HostFaultKind, HostFormat, HostStream, Hung};
use crate::registers::{Effect, Mode, StreamId, StreamSet, VirtualDart};
use crate::seams::Host;
use crate::space::{Notice, Notices, Scratch, Work};
use crate::variant::{MAX_STREAMS, Roots};

mod pool;
mod setup;
#[cfg(test)]
mod tests;

use pool::{Pool, Slot};
pub use setup::{DEVICES_PER_GUEST, Leftover, Refused, Settings, SetupError};

/// How many faults one call of [`GuestDma::drain_faults`] takes from the host IOMMU at most. What
/// is left comes with the next call, or overflows the host's queue and is lost, which the host
/// IOMMU's driver counts.
pub const FAULTS_PER_DRAIN: usize = 64;

/// Where a stream's devices point now.
#[derive(Clone, Copy, Debug, Default)]
struct Attachment {
    /// `None`: the empty root.
    slot: Option<Slot>,
    /// The host IOMMU did not answer once: denied, and never touched again.
    dead: bool,
}

/// A root without entries: where a stream goes that the guest lets go nowhere.
struct Empty {
    table: Table<HostFormat>,
    context: ContextId,
}

/// What outlives a call beside the DART and the spaces.
struct Engine {
    settings: Settings,
    counters: Counters,
    notices: Notices,
    scratch: Scratch,
}

impl Engine {
    fn work<'w, 'h>(&'w mut self, host: &'w mut Host<'h>) -> Work<'w, 'h> {
        Work {
            host,
            guest: self.settings.guest,
            variant: self.settings.variant,
            widening: self.settings.widening,
            guards: self.settings.guards,
            counters: &mut self.counters,
            notices: &mut self.notices,
            scratch: &mut self.scratch,
        }
    }
}

/// One guest's DMA. Not for several cores at once: the caller holds a lock around it and the host's
/// IOMMU.
pub struct GuestDma {
    engine: Engine,
    dart: VirtualDart,
    /// Behind which stream of the virtual DART each host stream stands. The host chooses the keys.
    devices: HashMap<HostStream, StreamId>,
    attachments: [Attachment; MAX_STREAMS],
    pool: Pool,
    empty: Option<Empty>,
}

impl GuestDma {
    /// A guest's DMA with no device yet.
    ///
    /// # Errors
    /// Then nothing is left behind.
    pub fn new(host: &mut Host<'_>, settings: Settings) -> Result<Self, SetupError> {
        let scratch = Scratch::new().ok_or(SetupError::OutOfMemory)?;
        let geometry = settings.variant.geometry;
        let table = Table::new(host.frames, geometry, host.iommu.format())
            .ok_or(SetupError::OutOfMemory)?;
        let context = match host.iommu.open(table.root(), &geometry) {
            Ok(context) => context,
            Err(error) => {
                table.free_all(host.frames, |_| {});
                return Err(error.into());
            }
        };
        Ok(Self {
            engine: Engine {
                settings,
                counters: Counters::default(),
                notices: Notices::default(),
                scratch,
            },
            dart: VirtualDart::new(settings.variant),
            devices: HashMap::new(),
            attachments: [Attachment::default(); MAX_STREAMS],
            pool: Pool::default(),
            empty: Some(Empty { table, context }),
        })
    }

    /// A guest that starts anew: nothing of what was before but the counters.
    ///
    /// # Errors
    /// Then nothing is left behind.
    pub fn renewed(host: &mut Host<'_>, before: &Self) -> Result<Self, SetupError> {
        let mut new = Self::new(host, before.engine.settings)?;
        new.engine.counters = before.engine.counters;
        Ok(new)
    }

    /// Puts a host stream behind a stream of the virtual DART. From here on the device translates
    /// through an empty root until the guest says otherwise.
    ///
    /// # Errors
    /// Then the device stays denied.
    pub fn assign(
        &mut self,
        host: &mut Host<'_>,
        stream: StreamId,
        device: HostStream,
    ) -> Result<(), SetupError> {
        if stream.number() >= self.engine.settings.variant.streams {
            return Err(SetupError::NoSuchStream);
        }
        if self.devices.contains_key(&device) {
            return Err(SetupError::Taken);
        }
        if self.devices.len() >= DEVICES_PER_GUEST {
            return Err(SetupError::TooManyDevices);
        }
        // Before the device is let loose, so that nothing can fail after it.
        self.devices
            .try_reserve(1)
            .map_err(|_| SetupError::OutOfMemory)?;
        #[cfg(feature = "guards-out")]
        if !self.engine.settings.guards.stands(Guard::DefaultDeny) {
            host.iommu.bypass(device)?;
            self.devices.insert(device, stream);
            return Ok(());
        }
        debug_assert!(self.engine.settings.guards.stands(Guard::DefaultDeny));
        let slot = self.attachments[usize::from(stream.number())].slot;
        let context = self.context(slot).ok_or(SetupError::NoSuchStream)?;
        host.iommu.attach(device, context)?;
        self.devices.insert(device, stream);
        Ok(())
    }

    fn context(&self, slot: Option<Slot>) -> Option<ContextId> {
        match slot {
            Some(slot) => self.pool.context(slot),
            None => self.empty.as_ref().map(|empty| empty.context),
        }
    }

    /// The guest loads `bytes` bytes at `offset` of the DART's window.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn load(&mut self, host: &mut Host<'_>, offset: u64, bytes: usize) -> Result<u64, Refused> {
        let register = self.register(offset, bytes)?;
        if self.dart.reads_faults(register) {
            // Where the host's event interrupt goes straight to the guest, this read is the moment
            // to fetch what the host IOMMU has to report.
            self.drain_faults(host);
        }
        Ok(u64::from(self.dart.read(register)))
    }

    /// The guest stores the low `bytes` bytes of `value` at `offset` of the DART's window. When
    /// this returns, what the store asked for has happened.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn store(
        &mut self,
        host: &mut Host<'_>,
        offset: u64,
        bytes: usize,
        value: u64,
    ) -> Result<(), Refused> {
        let register = self.register(offset, bytes)?;
        match self.dart.write(register, (value & 0xffff_ffff) as u32) {
            Effect::None => {}
            Effect::Remode(streams) => self.remode(host, streams),
            Effect::Invalidate(streams) => self.invalidate(host, streams),
        }
        Ok(())
    }

    fn register(&mut self, offset: u64, bytes: usize) -> Result<u32, Refused> {
        let inside = offset < self.dart.variant().window;
        if bytes == 4 && offset.is_multiple_of(4) && inside {
            return u32::try_from(offset).map_err(|_| Refused);
        }
        self.engine.counters.accesses_refused += 1;
        Err(Refused)
    }

    fn has_device(&self, stream: StreamId) -> bool {
        self.devices_of(stream).next().is_some()
    }

    fn devices_of(&self, stream: StreamId) -> impl Iterator<Item = HostStream> + '_ {
        let behind = move |(_, of): &(&HostStream, &StreamId)| **of == stream;
        self.devices
            .iter()
            .filter(behind)
            .map(|(&device, _)| device)
    }

    /// Points each stream where its mode says.
    fn remode(&mut self, host: &mut Host<'_>, streams: StreamSet) {
        for stream in streams.iter() {
            // A stream without a device needs no tables, whatever the guest writes.
            if self.has_device(stream) {
                self.remode_one(host, stream);
            }
        }
    }

    /// The roots that `stream` is to go through; `None` for nowhere.
    fn wanted(&mut self, stream: StreamId) -> Option<Roots> {
        match self.dart.mode(stream) {
            Mode::Translate(roots) if self.engine.settings.shadow => {
                Some(roots).filter(|roots| !roots.is_empty())
            }
            Mode::Translate(_) | Mode::Blocked => None,
            Mode::Bypass => {
                self.engine.counters.bypass_refused += 1;
                self.engine
                    .notices
                    .say(self.engine.settings.guest, Notice::Bypass);
                None
            }
        }
    }

    fn remode_one(&mut self, host: &mut Host<'_>, stream: StreamId) {
        let attachment = self.attachments[usize::from(stream.number())];
        let wanted = self.wanted(stream);
        let current = attachment.slot.and_then(|slot| self.pool.roots(slot));
        if attachment.dead || wanted == current {
            return;
        }
        let mut work = self.engine.work(host);
        let next = wanted.and_then(|roots| self.pool.find_or_open(&mut work, roots));
        // `next` may be `None` for want of memory: then the stream is blocked, and the guest's next
        // invalidation comes by here again.
        if next == attachment.slot {
            return;
        }
        let Some(context) = self.context(next) else {
            return;
        };
        if let Some(slot) = next {
            self.pool.enter(slot);
        }
        self.attachments[usize::from(stream.number())].slot = next;
        let attached = self
            .devices_of(stream)
            .try_for_each(|device| host.iommu.attach(device, context));
        if attached.is_err() {
            // It may go through the old context or the new one: neither is left, so neither is ever
            // released.
            self.kill(host, stream);
            return;
        }
        if let Some(slot) = attachment.slot {
            self.pool.leave(&mut self.engine.work(host), slot);
        }
    }

    /// The guest asked to forget the translations of `streams`: the moment to look at its tables.
    fn invalidate(&mut self, host: &mut Host<'_>, streams: StreamSet) {
        self.engine.counters.flushes += 1;
        self.remode(host, streams);
        for slot in Pool::slots() {
            let used = (0..).zip(&self.attachments).any(|(number, attachment)| {
                let asked = StreamId::new(number).is_some_and(|stream| streams.contains(stream));
                asked && attachment.slot == Some(slot) && !attachment.dead
            });
            if used && self.pool.flush(&mut self.engine.work(host), slot) == Err(Hung) {
                self.kill_all(host, slot);
            }
        }
    }

    fn kill_all(&mut self, host: &mut Host<'_>, slot: Slot) {
        for stream in (0..).map_while(StreamId::new) {
            if self.attachments[usize::from(stream.number())].slot == Some(slot) {
                self.kill(host, stream);
            }
        }
    }

    /// The host IOMMU does not answer: denies the stream as far as memory goes and leaves
    /// everything that it might still reach pinned. The guest goes on without it.
    fn kill(&mut self, host: &mut Host<'_>, stream: StreamId) {
        self.attachments[usize::from(stream.number())].dead = true;
        self.engine
            .notices
            .say(self.engine.settings.guest, Notice::Hung);
        for device in self.devices_of(stream) {
            let _it_does_not_answer = host.iommu.deny(device);
        }
    }

    /// Takes what the host IOMMU has to report and shows it to the guest.
    pub fn drain_faults(&mut self, host: &mut Host<'_>) {
        for _ in 0..FAULTS_PER_DRAIN {
            let Some(fault) = host.iommu.next_fault() else {
                break;
            };
            self.report(host, &fault);
        }
    }

    /// Shows one fault to the guest, if it is of one of its streams: is it?
    pub fn report(&mut self, host: &Host<'_>, fault: &HostFault) -> bool {
        let counters = &mut self.engine.counters;
        let Some(&stream) = self.devices.get(&fault.stream) else {
            counters.faults_stray += 1;
            return false;
        };
        counters.faults += 1;
        if let HostFaultKind::Other(number) = fault.kind {
            log::debug!("the host IOMMU's own number of the fault: {number:#x}");
            self.engine
                .notices
                .say(self.engine.settings.guest, Notice::HostSetup);
        }
        let roots = match self.dart.mode(stream) {
            Mode::Translate(roots) => Some(roots),
            Mode::Blocked | Mode::Bypass => None,
        };
        let code = classify(host.memory, self.engine.settings.variant, roots, fault);
        let iova = fault.iova;
        if !self.dart.latch(stream, GuestFault { code, iova }) {
            counters.faults_unshown += 1;
        }
        true
    }

    /// The level of the DART's interrupt line.
    pub fn interrupt(&self) -> bool {
        self.dart.interrupt()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.engine.counters
    }

    /// The root without entries through which blocked streams go; `None` after the shutdown. For
    /// tests that need the address of a host table.
    pub fn empty_root(&self) -> Option<Frame> {
        self.empty.as_ref().map(|empty| empty.table.root())
    }

    /// Ends the guest's DMA: every device is denied, every page unpinned, every frame given back.
    ///
    /// # Errors
    /// When the host IOMMU does not answer: says what has to stay. The guest's memory must not be
    /// given to anybody else then.
    pub fn shutdown(&mut self, host: &mut Host<'_>) -> Result<(), Leftover> {
        let mut reachable = false;
        for (device, stream) in core::mem::take(&mut self.devices) {
            let attachment = &mut self.attachments[usize::from(stream.number())];
            if host.iommu.deny(device).is_err() || attachment.dead {
                attachment.dead = true;
                reachable = true;
            }
        }
        if !reachable {
            self.attachments = [Attachment::default(); MAX_STREAMS];
            self.pool.close_all(&mut self.engine.work(host));
            if let Some(empty) = self.empty.take() {
                match host.iommu.close(empty.context) {
                    Ok(_quiet) => empty.table.free_all(host.frames, |_| {}),
                    Err(Hung) => self.empty = Some(empty),
                }
            }
        }
        let pins = self.engine.counters.pages_pinned;
        let spaces = self.pool.len() + usize::from(self.empty.is_some());
        if spaces == 0 && pins == 0 {
            Ok(())
        } else {
            Err(Leftover { pins, spaces })
        }
    }
}

#[cfg(test)]
impl GuestDma {
    /// Visits every leaf of every space, for the checks of tests.
    pub(crate) fn for_each_leaf(
        &self,
        frames: &dyn hv_core::frames::Frames,
        mut visit: impl FnMut(hv_core::table::Leaf<crate::iommu::HostAttributes>),
    ) {
        for space in self.pool.spaces() {
            space.table().for_each_leaf(frames, &mut visit);
        }
    }
}
