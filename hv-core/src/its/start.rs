//! From whatever the loader left to "on, and no device known".

use core::fmt;

use super::devices::Devices;
use super::queue::{self, CommandQueue, Hung};
use super::spec::{Attributes, CTLR_ENABLED, CTLR_QUIESCENT, Command, Typer, VALID, offset};
use super::tables::{self, fresh};
use super::{Io, Its, POLLS};
use crate::addr::Pa;
use crate::layout::{V2M_COUNT, V2M_FIRST};
use crate::psci::MAX_VCPUS;

/// Bits of an EventID: enough for a guest's interrupt numbers.
pub(super) const EVENT_BITS: u32 = 8;
const _: () = assert!(V2M_FIRST + V2M_COUNT <= 1 << EVENT_BITS);

/// Why the ITS cannot be used: one sentence each. Devices have their pin interrupts then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// No physical LPIs.
    NoLpis,
    /// Fewer EventIDs than a guest has interrupts.
    FewEvents,
    /// A device's mistakes would be `SError`s of Oche's.
    ReportsBySError,
    /// Its tables cannot be made: no device table, no room for the collections, or memory that it cannot address.
    Tables,
    /// No host memory.
    OutOfMemory,
    /// It did not turn off, or stopped at its first command.
    Hung,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLpis => "the ITS makes no physical LPIs",
            Self::FewEvents => "the ITS has fewer than 8 bits of EventID",
            Self::ReportsBySError => {
                "the ITS reports a device's mistakes as SErrors, which would let a guest stop Oche"
            }
            Self::Tables => "the ITS takes no tables that Oche can make",
            Self::OutOfMemory => "no memory for the ITS's tables",
            Self::Hung => "the ITS does not answer",
        })
    }
}

impl From<Hung> for StartError {
    fn from(_: Hung) -> Self {
        Self::Hung
    }
}

/// A core that LPIs can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its number: the vCPU's, or the position in the device tree. Below [`MAX_VCPUS`].
    pub index: usize,
    /// Where its redistributor's RD_base frame is.
    pub redistributor: Pa,
    /// `GICR_TYPER` of that redistributor.
    pub typer: u64,
}

impl<'h> Its<'h> {
    /// Turns an ITS on that knows no device yet. Cores come with [`Its::add_core`].
    ///
    /// # Errors
    /// When it is not good enough or does not answer. It is off then, as far as it obeys; what memory it was given
    /// stays taken.
    pub fn start(io: Io<'h>) -> Result<Self, StartError> {
        let typer = Typer(io.registers.read64(offset::TYPER));
        if !typer.physical() {
            return Err(StartError::NoLpis);
        }
        if typer.event_bits() < EVENT_BITS.into() {
            return Err(StartError::FewEvents);
        }
        if typer.reports_by_serror() {
            return Err(StartError::ReportsBySError);
        }
        turn_off(&io)?;
        let device_table = tables::start(&io, typer.device_bits(), typer.collections_held())?;
        let queue = command_queue(&io)?;
        let control = io.registers.read32(offset::CTLR);
        io.registers.write32(offset::CTLR, control | CTLR_ENABLED);
        Ok(Self {
            io,
            typer,
            queue,
            device_table,
            targets: [None; MAX_VCPUS],
            devices: Devices::NONE,
        })
    }

    /// Makes a core known whose redistributor takes LPIs ([`super::Lpis::enable`]). Once per core.
    ///
    /// # Errors
    /// See [`Hung`]. A core past [`MAX_VCPUS`] is left out.
    pub fn add_core(&mut self, core: Core) -> Result<(), Hung> {
        // Bits 51:16 of a command are the address, in place, or GICR_TYPER.Processor_Number (its bits 23:8).
        let target = match self.typer.target_is_address() {
            true => core.redistributor.get() & 0x000f_ffff_ffff_0000,
            false => (core.typer >> 8 & 0xffff) << 16,
        };
        let (Some(slot), Ok(collection)) =
            (self.targets.get_mut(core.index), u16::try_from(core.index))
        else {
            return Ok(());
        };
        *slot = Some(target);
        self.run([
            Command::MapCollection { collection, target },
            Command::InvalidateAll { collection },
        ])
    }
}

/// Waits until the ITS has put everything that it knows into memory and reads none of it any more.
fn turn_off(io: &Io<'_>) -> Result<(), Hung> {
    let control = io.registers.read32(offset::CTLR);
    io.registers.write32(offset::CTLR, control & !CTLR_ENABLED);
    for _ in 0..POLLS {
        if io.registers.read32(offset::CTLR) & CTLR_QUIESCENT != 0 {
            return Ok(());
        }
        core::hint::spin_loop();
    }
    Err(Hung)
}

fn command_queue(io: &Io<'_>) -> Result<CommandQueue, StartError> {
    let first = fresh(io, queue::ORDER).ok_or(StartError::OutOfMemory)?;
    // In pages of 4 KiB, less one.
    let size = queue::BYTES / 0x1000 - 1;
    let attributes = Attributes::ITS;
    let value = |cache: u64| VALID | cache | first.base().get() | size;
    io.registers
        .write64(offset::CBASER, value(attributes.cached()));
    let coherent = attributes.is_coherent(io.registers.read64(offset::CBASER));
    if !coherent {
        io.registers
            .write64(offset::CBASER, value(attributes.uncached()));
    }
    // The write of GITS_CBASER has set GITS_CREADR to zero.
    io.registers.write64(offset::CWRITER, 0);
    Ok(CommandQueue::new(first, coherent))
}
