//! Registers, commands and table entries of an ITS, and what a redistributor has for LPIs: types only (IHI 0069, 5.3,
//! 12.11 and 12.18).

use crate::addr::Pa;

/// Offsets in the ITS's first frame.
pub(super) mod offset {
    pub(crate) const CTLR: usize = 0x0000;
    pub(crate) const TYPER: usize = 0x0008;
    pub(crate) const CBASER: usize = 0x0080;
    pub(crate) const CWRITER: usize = 0x0088;
    pub(crate) const CREADR: usize = 0x0090;
    const BASER: usize = 0x0100;

    /// `GITS_BASER<n>`, of which there are [`super::BASERS`].
    pub(crate) const fn baser(n: usize) -> usize {
        BASER + 8 * n
    }
}

pub(super) const BASERS: usize = 8;

pub(super) const CTLR_ENABLED: u32 = 1 << 0;
pub(super) const CTLR_QUIESCENT: u32 = 1 << 31;
/// In `GITS_CREADR`.
pub(super) const STALLED: u64 = 1 << 0;
/// In every base register.
pub(super) const VALID: u64 = 1 << 63;

/// How the ITS or a redistributor accesses a table: the fields of a base register. They lie at the same places in
/// `GITS_CBASER` and `GITS_BASER<n>`, at others in `GICR_PROPBASER` and `GICR_PENDBASER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    inner_cache: u32,
}

impl Attributes {
    pub(super) const ITS: Self = Self { inner_cache: 59 };
    pub(super) const REDISTRIBUTOR: Self = Self { inner_cache: 7 };
    /// Shareability is in bits 11:10 of all of them.
    const SHAREABILITY: u64 = 0b11 << 10;
    const INNER_SHAREABLE: u64 = 0b01 << 10;
    /// Normal, read-allocate, write-allocate, write-back.
    const WRITE_BACK: u64 = 0b111;
    /// Normal, not cached.
    const NOT_CACHED: u64 = 0b001;

    /// Cached, inner shareable. Outer cacheability zero: the same as inner.
    pub(super) const fn cached(self) -> u64 {
        Self::WRITE_BACK << self.inner_cache | Self::INNER_SHAREABLE
    }

    pub(super) const fn uncached(self) -> u64 {
        Self::NOT_CACHED << self.inner_cache
    }

    /// Does a base register that was written with [`Self::cached`] say that the cores' caches are looked into? The
    /// fields may be fixed, and then read as what they are.
    pub(super) const fn is_coherent(self, register: u64) -> bool {
        register & Self::SHAREABILITY == Self::INNER_SHAREABLE
    }
}

/// What `GITS_TYPER` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Typer(pub(super) u64);

impl Typer {
    const fn field(self, shift: u32, bits: u32) -> u64 {
        (self.0 >> shift) & ((1 << bits) - 1)
    }

    /// It makes physical LPIs.
    pub(super) const fn physical(self) -> bool {
        self.field(0, 1) == 1
    }

    pub(super) const fn event_bits(self) -> u64 {
        self.field(8, 5) + 1
    }

    pub(super) const fn device_bits(self) -> u64 {
        self.field(13, 5) + 1
    }

    /// It reports what a device did wrong as an `SError` of a core.
    pub(super) const fn reports_by_serror(self) -> bool {
        self.field(18, 1) == 1
    }

    /// Commands name a redistributor by its address, else by its number.
    pub(super) const fn target_is_address(self) -> bool {
        self.field(19, 1) == 1
    }

    /// Collections that need no memory (`HCC`).
    pub(super) const fn collections_held(self) -> u64 {
        self.field(24, 8)
    }
}

/// What kind of table a `GITS_BASER<n>` is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    Devices,
    Collections,
    /// None, or one that Oche does not use.
    Other,
}

/// A `GITS_BASER<n>` as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Baser(pub(super) u64);

impl Baser {
    pub(super) const INDIRECT: u64 = 1 << 62;
    const TYPE: u64 = 0b111 << 56;
    const PAGE_SIZE: u64 = 0b11 << 8;
    /// What `Size` can say.
    pub(super) const MOST_PAGES: u64 = 256;

    pub(super) const fn kind(self) -> TableKind {
        match (self.0 & Self::TYPE) >> 56 {
            1 => TableKind::Devices,
            4 => TableKind::Collections,
            _ => TableKind::Other,
        }
    }

    /// Bytes of an entry.
    pub(super) const fn entry(self) -> u64 {
        ((self.0 >> 48) & 0x1f) + 1
    }

    pub(super) const fn page(self) -> Page {
        match (self.0 & Self::PAGE_SIZE) >> 8 {
            0 => Page::Small,
            1 => Page::Frame,
            _ => Page::Large,
        }
    }

    pub(super) const fn is_indirect(self) -> bool {
        self.0 & Self::INDIRECT != 0
    }

    /// The register's value for a table of `pages` pages at `at`; `flags` are cacheability and [`Self::INDIRECT`].
    pub(super) fn value(at: Pa, pages: u64, page: Page, flags: u64) -> u64 {
        VALID | flags | at.get() | (page.code() << 8) | (pages.saturating_sub(1) & 0xff)
    }
}

/// The page size of a table of the ITS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// 4 KiB.
    Small,
    /// 16 KiB.
    Frame,
    /// 64 KiB.
    Large,
}

impl Page {
    const fn code(self) -> u64 {
        match self {
            Self::Small => 0,
            Self::Frame => 1,
            Self::Large => 2,
        }
    }

    pub(super) const fn bytes(self) -> u64 {
        0x1000 << (2 * self.code())
    }
}

/// A command, in the words that the ITS reads (5.3.3 and on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `MAPD`: a device's translation table, for 2^`event_bits` events.
    MapDevice {
        device: u32,
        itt: Pa,
        event_bits: u32,
    },
    /// `MAPD` with `V` = 0.
    UnmapDevice { device: u32 },
    /// `MAPC`: a collection's redistributor.
    MapCollection { collection: u16, target: u64 },
    /// `MAPTI`.
    MapEvent {
        device: u32,
        event: u32,
        lpi: u32,
        collection: u16,
    },
    /// `MOVI`.
    MoveEvent {
        device: u32,
        event: u32,
        collection: u16,
    },
    /// `DISCARD`: mapping and pending state.
    Discard { device: u32, event: u32 },
    /// `INVALL`: the configuration of every LPI of a collection is read anew.
    InvalidateAll { collection: u16 },
    /// `SYNC`: all before has reached that redistributor.
    Sync { target: u64 },
}

/// Words of a command.
pub(super) const COMMAND_WORDS: usize = 4;

impl Command {
    pub(super) fn words(self) -> [u64; COMMAND_WORDS] {
        let of = |number: u64, device: u32| number | u64::from(device) << 32;
        match self {
            // The table's address is in bits 51:8, in place.
            Self::MapDevice {
                device,
                itt,
                event_bits,
            } => [
                of(0x08, device),
                u64::from(event_bits.saturating_sub(1)),
                itt.get() | VALID,
                0,
            ],
            Self::UnmapDevice { device } => [of(0x08, device), 0, 0, 0],
            Self::MapCollection { collection, target } => {
                [0x09, 0, u64::from(collection) | target | VALID, 0]
            }
            Self::MapEvent {
                device,
                event,
                lpi,
                collection,
            } => [
                of(0x0a, device),
                u64::from(event) | u64::from(lpi) << 32,
                u64::from(collection),
                0,
            ],
            Self::MoveEvent {
                device,
                event,
                collection,
            } => [of(0x01, device), event.into(), collection.into(), 0],
            Self::Discard { device, event } => [of(0x0f, device), event.into(), 0, 0],
            Self::InvalidateAll { collection } => [0x0d, 0, collection.into(), 0],
            Self::Sync { target } => [0x05, 0, target, 0],
        }
    }
}
