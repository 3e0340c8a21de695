//! What the tests stand on: a drive behind a DART, and ways to see what the drive can reach.

use core::fmt;

use super::console::say;
use super::cpu::ticks;
use super::dart::{Dart, Fault, OutOfPages};
use super::machine::Machine;
use super::memory::{PAGE_SIZE, PAGE_WORDS, Page, pattern};
use super::nvme::{DmaPage, Nvme, Pages, Trouble};
use super::pci::{self, Drive};

/// Why a test could not come to a finding, or came to a bad one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    /// There is no NVMe drive.
    NoDrive,
    /// There is no DART, or the drive is not behind it.
    NoDart,
    /// The device tree does not have this property: Oche was not asked to reveal its addresses.
    NotRevealed(&'static str),
    /// The drive does not do as it was told.
    Drive(Trouble),
    /// The payload needs more pages than it has.
    OutOfPages,
    /// Something was not as it must be.
    Wrong(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDrive => f.write_str("there is no NVMe drive"),
            Self::NoDart => f.write_str("the drive is behind no DART"),
            Self::NotRevealed(property) => {
                write!(f, "/chosen has no {property}: run Oche with reveal = on")
            }
            Self::Drive(trouble) => write!(f, "the drive does not do as told: {trouble:?}"),
            Self::OutOfPages => f.write_str("the payload has too few pages"),
            Self::Wrong(sentence) => f.write_str(sentence),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Drive(trouble)
    }
}

impl From<OutOfPages> for Failure {
    fn from(_: OutOfPages) -> Self {
        Self::OutOfPages
    }
}

/// `Err` with the sentence if the condition does not hold.
pub(super) fn must(condition: bool, sentence: &'static str) -> Result<(), Failure> {
    if condition {
        Ok(())
    } else {
        Err(Failure::Wrong(sentence))
    }
}

/// The machine, and the drive once a test wants it.
pub(super) struct Bench {
    /// The machine.
    pub(super) machine: Machine,
    /// The name of the test that runs.
    pub(super) name: &'static str,
    rig: Option<Rig>,
}

/// Says something that a test found out.
macro_rules! fact {
    ($bench:expr, $($words:tt)*) => {
        say!("oche-payload: {}: fact: {}", $bench.name, format_args!($($words)*))
    };
}
pub(super) use fact;

/// The IOVA of the first of the pages that the driver itself needs; a gigabyte is the driver's.
const DRIVER_IOVA: u64 = 0x8000_0000;

impl Bench {
    /// Nothing is touched yet.
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            name: "start",
            rig: None,
        }
    }

    /// A page.
    pub(super) fn page(&self) -> Result<Page, Failure> {
        Page::take().ok_or(Failure::OutOfPages)
    }

    /// The drive and the DART before it, neither of them touched.
    pub(super) fn find(&self) -> Result<(Drive, Option<Dart>), Failure> {
        let drive = pci::find_drive(&self.machine).ok_or(Failure::NoDrive)?;
        let dart = match self.machine.dart {
            Some(base) => Some(Dart::new(
                base,
                self.machine.stream(drive.rid).ok_or(Failure::NoDart)?,
            )),
            None => None,
        };
        Ok((drive, dart))
    }

    /// Has a test attached the drive already?
    pub(super) fn is_attached(&self) -> bool {
        self.rig.is_some()
    }

    /// The drive at work behind the DART.
    pub(super) fn rig(&mut self) -> Result<&mut Rig, Failure> {
        if self.rig.is_none() {
            let (drive, dart) = self.find()?;
            self.rig = Some(Rig::start(&drive, dart)?);
        }
        self.rig.as_mut().ok_or(Failure::NoDrive)
    }

    /// The drive at work, started anew.
    pub(super) fn rig_anew(&mut self) -> Result<&mut Rig, Failure> {
        self.rig = None;
        self.rig()
    }

    /// One of the addresses that Oche reveals for tests, and its size.
    pub(super) fn target(&self, property: &'static str) -> Result<u64, Failure> {
        let (address, size) = self
            .machine
            .target(property)
            .ok_or(Failure::NotRevealed(property))?;
        fact!(self, "{property} is at {address:#x}, {size:#x} bytes");
        Ok(address)
    }
}

/// A drive at work, and two pages that it may reach.
pub(super) struct Rig {
    dart: Option<Dart>,
    /// The drive.
    pub(super) nvme: Nvme,
    source: DmaPage,
    sink: DmaPage,
    seed: u32,
}

/// The block that looking uses; what was there is lost.
const LOOK_BLOCK: u64 = 0;

/// What a device read, as far as one can tell.
pub(super) struct Seen {
    /// The first bytes are what the device read; or what was on the disk before, or anything.
    pub(super) page: Page,
    seed: u32,
}

impl Seen {
    /// Is there nothing in it but what was on the disk before, and zeros?
    ///
    /// QEMU gives a device whose access was refused zeros, and may still report success.
    pub(super) fn is_nothing(&self) -> bool {
        (0..PAGE_WORDS).all(|index| {
            let word = self.page.read(index);
            word == 0 || word == pattern(self.seed, index)
        })
    }
}

impl Rig {
    fn start(drive: &Drive, mut dart: Option<Dart>) -> Result<Self, Failure> {
        if let Some(dart) = &mut dart {
            dart.reset();
            dart.attach()?;
        }
        let mut count = 0;
        let mut page = || {
            let page = Page::take().ok_or(Failure::OutOfPages)?;
            let iova = match &mut dart {
                Some(dart) => {
                    // Not in the order of the pages, so that no offset is right for all.
                    let iova = DRIVER_IOVA + (count * 5 % 8) * PAGE_SIZE;
                    dart.map(iova, page)?;
                    iova
                }
                None => page.address(),
            };
            count += 1;
            Ok::<_, Failure>(DmaPage { page, iova })
        };
        let pages = Pages {
            admin: [page()?, page()?],
            io: [page()?, page()?],
            scratch: page()?,
        };
        let (source, sink) = (page()?, page()?);
        if let Some(dart) = &dart {
            dart.invalidate();
        }
        drive.enable();
        let nvme = Nvme::start(drive, &pages).inspect_err(|_| {
            if let Some(fault) = dart.as_ref().and_then(Dart::take_fault) {
                say!("oche-payload: fact: the drive met a {fault}");
            }
        })?;
        // Different in every run, so that what an earlier one left on the disk is not mistaken.
        let seed = (ticks() & 0xffff) as u32 | 0x5eed_0000;
        Ok(Self {
            dart,
            nvme,
            source,
            sink,
            seed,
        })
    }

    /// The DART.
    pub(super) fn dart(&mut self) -> Result<&mut Dart, Failure> {
        self.dart.as_mut().ok_or(Failure::NoDart)
    }

    /// A pattern that nobody used before.
    pub(super) fn seed(&mut self) -> u32 {
        self.seed = self.seed.wrapping_add(0x1_0001);
        self.seed
    }

    /// Has the drive read at `iova`, and shows what it got: through the disk and back into memory
    /// that it may write. Only what arrives there counts; a status proves nothing.
    pub(super) fn look(&mut self, iova: u64, bytes: u64) -> Result<Seen, Failure> {
        let (before, unwritten) = (self.seed(), self.seed());
        self.source.page.fill(before);
        self.nvme
            .device_reads(self.source.iova, LOOK_BLOCK, PAGE_SIZE)?;
        self.nvme.device_reads(iova, LOOK_BLOCK, bytes)?;
        self.sink.page.fill(unwritten);
        self.nvme
            .device_writes(self.sink.iova, LOOK_BLOCK, PAGE_SIZE)?;
        must(
            !self.sink.page.holds(unwritten, 1),
            "the drive does not reach memory that it may",
        )?;
        Ok(Seen {
            page: self.sink.page,
            seed: before,
        })
    }

    /// Has the drive write a pattern at `iova`, and says which.
    pub(super) fn strike(&mut self, iova: u64) -> Result<u32, Failure> {
        let seed = self.seed();
        self.source.page.fill(seed);
        self.nvme
            .device_reads(self.source.iova, LOOK_BLOCK, PAGE_SIZE)?;
        self.nvme.device_writes(iova, LOOK_BLOCK, PAGE_SIZE)?;
        Ok(seed)
    }

    /// Data goes out and comes back through pages that the drive may reach.
    pub(super) fn round_trip(&mut self) -> Result<(), Failure> {
        let source = self.source;
        let seed = self.seed();
        source.page.fill(seed);
        self.nvme
            .device_reads(source.iova, LOOK_BLOCK + 64, PAGE_SIZE)?;
        self.sink.page.clear();
        self.nvme
            .device_writes(self.sink.iova, LOOK_BLOCK + 64, PAGE_SIZE)?;
        must(
            self.sink.page.holds(seed, PAGE_WORDS),
            "legal DMA does not arrive",
        )
    }

    /// Forgets faults that are latched.
    pub(super) fn forget_faults(&mut self) -> Result<(), Failure> {
        while self.dart()?.take_fault().is_some() {}
        Ok(())
    }

    /// The fault that must be latched now, of this stream and inside this page.
    pub(super) fn fault_at(&mut self, iova: u64) -> Result<Fault, Failure> {
        let dart = self.dart()?;
        let stream = dart.stream();
        let fault = dart
            .take_fault()
            .ok_or(Failure::Wrong("no fault was reported"))?;
        must(fault.stream == stream, "the fault names another stream")?;
        must(
            fault.address & !(PAGE_SIZE - 1) == iova,
            "the fault names another address",
        )?;
        Ok(fault)
    }
}
