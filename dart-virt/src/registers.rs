//! The register file of a virtual DART with T8020's layout (dart reference 1.2, 1.3).
//!
//! A store takes three steps: name the register, change the state, say what the world must do. The
//! device touches nothing, so its tests need nothing.

use hv_core::Iova;

use crate::fault::GuestFault;
use crate::variant::{MAX_STREAMS, MAX_TTBRS, Roots, Variant};

#[cfg(test)]
mod tests;

/// A stream of a virtual DART.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(u8);

impl StreamId {
    /// The stream with this number, `None` from [`MAX_STREAMS`] on.
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < MAX_STREAMS {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Some streams of a virtual DART.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSet(u16);

impl StreamSet {
    /// Just this one.
    pub const fn only(stream: StreamId) -> Self {
        Self(1 << stream.0)
    }

    /// Is this one in it?
    pub const fn contains(self, stream: StreamId) -> bool {
        self.0 & (1 << stream.0) != 0
    }

    /// The streams in it, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = StreamId> {
        (0..)
            .map_while(StreamId::new)
            .filter(move |&stream| self.contains(stream))
    }
}

/// What a stream does with the addresses its device emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing gets through.
    Blocked,
    /// Translated through these tables.
    Translate(Roots),
    /// The guest asked for bypass, which is not offered yet.
    Bypass,
}

/// What the world must do before the guest goes on.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Look at the mode of these streams again.
    Remode(StreamSet),
    /// Forget the translations of these streams.
    Invalidate(StreamSet),
}

mod offset {
    pub(super) const PARAMS1: u32 = 0x000;
    pub(super) const PARAMS2: u32 = 0x004;
    pub(super) const STREAM_COMMAND: u32 = 0x020;
    pub(super) const STREAM_SELECT: u32 = 0x034;
    pub(super) const STREAM_SELECT_HIGH: u32 = 0x038;
    pub(super) const ERROR: u32 = 0x040;
    pub(super) const ERROR_ADDRESS: u32 = 0x050;
    pub(super) const ERROR_ADDRESS_HIGH: u32 = 0x054;
    pub(super) const CONFIG: u32 = 0x060;
    pub(super) const REMAP: u32 = 0x080;
    pub(super) const ENABLED: u32 = 0x0fc;
}

const COMMAND_INVALIDATE: u32 = 1 << 20;
const CONFIG_LOCK: u32 = 1 << 15;
const ERROR_FLAG: u32 = 1 << 31;
const ERROR_STREAM_SHIFT: u32 = 24;
const TCR_TRANSLATE: u32 = 1 << 7;
const TCR_BYPASS: u32 = 1 << 8;

/// Four streams' bytes in each of the four `STREAM_REMAP` registers.
const REMAP_REGISTERS: usize = MAX_STREAMS / 4;
const REMAP_WORDS: u32 = 4;
const _: () = assert!(REMAP_WORDS as usize == REMAP_REGISTERS);

/// A register, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Params1,
    Params2,
    Command,
    Select,
    SelectHigh,
    Error,
    ErrorAddress,
    ErrorAddressHigh,
    Config,
    Remap(usize),
    Enabled,
    Tcr(usize),
    Ttbr(usize, usize),
    /// Tunables, performance counters and holes: read as zero, writes have no effect.
    Unknown,
}

/// A virtual DART's registers.
#[derive(Clone, Debug)]
pub struct VirtualDart {
    variant: &'static Variant,
    select: u32,
    select_high: u32,
    error: u32,
    error_address: Iova,
    config: u32,
    enabled: u32,
    remap: [[u8; 4]; REMAP_REGISTERS],
    tcr: [u32; MAX_STREAMS],
    ttbr: [[u32; MAX_TTBRS]; MAX_STREAMS],
}

impl VirtualDart {
    /// A DART after reset: every stream blocked.
    ///
    /// All streams are *enabled*: the reset value of that register is not known, U-Boot never
    /// writes it and works (dart reference 1.5), and enabling alone lets nothing through.
    pub fn new(variant: &'static Variant) -> Self {
        let mut remap = [[0; 4]; REMAP_REGISTERS];
        for (stream, byte) in (0..).zip(remap.as_flattened_mut()) {
            *byte = stream;
        }
        Self {
            variant,
            select: 0,
            select_high: 0,
            error: 0,
            error_address: Iova::new(0),
            config: 0,
            enabled: u32::MAX,
            remap,
            tcr: [0; MAX_STREAMS],
            ttbr: [[0; MAX_TTBRS]; MAX_STREAMS],
        }
    }

    /// The generation it is of.
    pub fn variant(&self) -> &'static Variant {
        self.variant
    }

    fn name(&self, offset: u32) -> Register {
        let streams = u32::from(self.variant.streams);
        let ttbrs = u32::from(self.variant.ttbrs);
        let word = |base: u32, count: u32| {
            let word = offset.checked_sub(base)? / 4;
            (word < count).then_some(word as usize)
        };
        match offset {
            offset::PARAMS1 => return Register::Params1,
            offset::PARAMS2 => return Register::Params2,
            offset::STREAM_COMMAND => return Register::Command,
            offset::STREAM_SELECT => return Register::Select,
            offset::STREAM_SELECT_HIGH => return Register::SelectHigh,
            offset::ERROR => return Register::Error,
            offset::ERROR_ADDRESS => return Register::ErrorAddress,
            offset::ERROR_ADDRESS_HIGH => return Register::ErrorAddressHigh,
            offset::CONFIG => return Register::Config,
            offset::ENABLED => return Register::Enabled,
            _ => {}
        }
        if let Some(index) = word(offset::REMAP, REMAP_WORDS) {
            return Register::Remap(index);
        }
        if let Some(stream) = word(self.variant.tcr, streams) {
            return Register::Tcr(stream);
        }
        if let Some(index) = word(self.variant.ttbr, streams * ttbrs) {
            return Register::Ttbr(index / ttbrs as usize, index % ttbrs as usize);
        }
        Register::Unknown
    }

    /// Does the value of this register depend on what the host's IOMMU has to report?
    pub fn reads_faults(&self, offset: u32) -> bool {
        use Register::{Error, ErrorAddress, ErrorAddressHigh};
        matches!(self.name(offset), Error | ErrorAddress | ErrorAddressHigh)
    }

    /// What the guest reads at `offset`, which is a multiple of four inside the window.
    pub fn read(&self, offset: u32) -> u32 {
        match self.name(offset) {
            Register::Params1 => self.variant.params1,
            Register::Params2 => self.variant.params2,
            // BUSY is never seen: an invalidation completes before the store that asked for it.
            Register::Command | Register::Unknown => 0,
            Register::Select => self.select,
            Register::SelectHigh => self.select_high,
            Register::Error => self.error,
            Register::ErrorAddress => (self.error_address.get() & 0xffff_ffff) as u32,
            Register::ErrorAddressHigh => (self.error_address.get() >> 32) as u32,
            Register::Config => self.config,
            Register::Remap(index) => u32::from_le_bytes(self.remap[index]),
            Register::Enabled => self.enabled,
            Register::Tcr(stream) => self.tcr[stream],
            Register::Ttbr(stream, index) => self.ttbr[stream][index],
        }
    }

    /// The guest stores `value` at `offset`, which is a multiple of four inside the window.
    pub fn write(&mut self, offset: u32, value: u32) -> Effect {
        let register = self.name(offset);
        if self.is_locked() && Self::lock_covers(register) {
            // Whether real hardware drops the write or faults is not known; every driver assumes
            // that it drops it (dart reference 9, #9).
            return Effect::None;
        }
        match register {
            Register::Command => {
                // Only set 0 is known, the one that STREAM_SELECT holds. Other operations than 0
                // are unknown: forgetting too much is never wrong.
                if value & COMMAND_INVALIDATE != 0 {
                    return Effect::Invalidate(self.selected());
                }
            }
            Register::Select => self.select = value,
            Register::SelectHigh => self.select_high = value,
            Register::Error => self.error &= !value,
            // The lock is sticky until reset.
            Register::Config => self.config = value | (self.config & CONFIG_LOCK),
            Register::Remap(index) => {
                let old = core::mem::replace(&mut self.remap[index], value.to_le_bytes());
                return self.remode(|stream, dart| {
                    let (register, byte) = (stream.index() / 4, stream.index() % 4);
                    register == index && dart.remap[register][byte] != old[byte]
                });
            }
            Register::Enabled => {
                let changed = core::mem::replace(&mut self.enabled, value) ^ value;
                return self.remode(|stream, _| changed & (1 << stream.0) != 0);
            }
            Register::Tcr(entry) => {
                self.tcr[entry] = value;
                return self.remode(|stream, dart| dart.entry_of(stream) == Some(entry));
            }
            // A new root alone does nothing yet: it is looked at when the guest next invalidates
            // the stream or writes its TCR. Hardware may hold on to the old root that long, too
            // (a walk in flight, a cached upper level), so no guest can count on less; and what
            // the old root leads to stays pinned until then, so waiting leaks nothing. Linux
            // writes four TTBRs, then TCR, then invalidates (dart reference 3.1).
            Register::Ttbr(entry, index) => self.ttbr[entry][index] = value,
            Register::Params1
            | Register::Params2
            | Register::ErrorAddress
            | Register::ErrorAddressHigh
            | Register::Unknown => {}
        }
        Effect::None
    }

    /// LOCK freezes the roots and modes. Whether it freezes REMAP and ENABLED too is not known;
    /// a remap that could still be written would defeat it (dart reference 9, #19).
    fn lock_covers(register: Register) -> bool {
        matches!(
            register,
            Register::Tcr(_) | Register::Ttbr(..) | Register::Remap(_) | Register::Enabled
        )
    }

    fn is_locked(&self) -> bool {
        self.config & CONFIG_LOCK != 0
    }

    fn streams(&self) -> impl Iterator<Item = StreamId> {
        (0..self.variant.streams).filter_map(StreamId::new)
    }

    /// Streams in STREAM_SELECT. macOS selects all 32 of a 16-stream DART, so bits past the last
    /// stream are tolerated (dart reference 1.5). Matched before the remap, as in QEMU's model.
    fn selected(&self) -> StreamSet {
        self.set(|stream, dart| dart.select & (1 << stream.0) != 0)
    }

    fn set(&self, chosen: impl Fn(StreamId, &Self) -> bool) -> StreamSet {
        StreamSet(self.streams().fold(0, |set, stream| {
            if chosen(stream, self) {
                set | 1 << stream.0
            } else {
                set
            }
        }))
    }

    fn remode(&self, affected: impl Fn(StreamId, &Self) -> bool) -> Effect {
        match self.set(affected) {
            StreamSet(0) => Effect::None,
            set => Effect::Remode(set),
        }
    }

    /// The entry of TCR and TTBR that `stream` uses, after the remap.
    fn entry_of(&self, stream: StreamId) -> Option<usize> {
        let entry = *self.remap.as_flattened().get(stream.index())?;
        (entry < self.variant.streams).then_some(usize::from(entry))
    }

    /// What `stream` does now.
    ///
    /// Where sources disagree, the reading that lets nothing through: TCR = 0 blocks (dart
    /// reference 1.3: on older DARTs it may bypass), TRANSLATE with BYPASS blocks, a stream whose
    /// ENABLED bit is clear is blocked, so is one remapped to a stream that does not exist.
    pub fn mode(&self, stream: StreamId) -> Mode {
        let enabled = self.enabled & (1 << stream.0) != 0;
        let Some(entry) = self.entry_of(stream).filter(|_| enabled) else {
            return Mode::Blocked;
        };
        match (
            self.tcr[entry] & TCR_TRANSLATE != 0,
            self.tcr[entry] & TCR_BYPASS != 0,
        ) {
            (true, false) => Mode::Translate(Roots::new(self.ttbr[entry])),
            (false, true) => Mode::Bypass,
            (false, false) | (true, true) => Mode::Blocked,
        }
    }

    /// Shows a fault of `stream` to the guest. `false`, and nothing changes, while an earlier one
    /// is still there: whether hardware keeps the first or the last is not known, and the first is
    /// the one that explains the others.
    #[must_use]
    pub fn latch(&mut self, stream: StreamId, fault: GuestFault) -> bool {
        if self.error != 0 {
            return false;
        }
        let stream = u32::from(stream.0) << ERROR_STREAM_SHIFT;
        self.error = ERROR_FLAG | stream | fault.code as u32;
        self.error_address = fault.iova;
        true
    }

    /// The level of the interrupt line: up while any bit of `ERROR` is set.
    pub fn interrupt(&self) -> bool {
        self.error != 0
    }
}
