//! Message-signalled interrupts: a driver for a GICv3's ITS and for the LPIs of its redistributors (IHI 0069,
//! chapter 5).
//!
//! All tables are Oche's own. A device of a guest has a translation table of its own, by its DeviceID, which it cannot
//! choose: whatever it writes to the doorbell becomes an interrupt of its own guest, or nothing. EventIDs are the
//! guest's own interrupt numbers ([`crate::layout::V2M_FIRST`] and on), so the guest writes a device's MSI-X table
//! itself, and the doorbell is shadowed for it like any page.
//!
//! Nothing here spins without a bound. The caller holds a lock around an [`Its`]; [`Lpis`] needs none after the start.

mod devices;
mod lpis;
mod queue;
mod spec;
mod start;
mod tables;
#[cfg(test)]
mod tests;

pub use devices::{AssignError, DEVICES, DEVICES_PER_GUEST, Device, Routed};
pub use lpis::{FIRST_LPI, LPI_BITS, LpiError, Lpis};
pub use queue::Hung;
pub use start::{Core, StartError};

use crate::device::{Clean, Registers};
use crate::frames::Frames;
use crate::psci::MAX_VCPUS;
use devices::Devices;
use queue::CommandQueue;
use spec::{Command, Typer};
use tables::DeviceTable;

/// How often a register is read before the hardware counts as hung: a tenth of a second at the 100 ns that a read of
/// a device register takes; what is waited for takes microseconds.
pub const POLLS: u32 = 1_000_000;

/// The world as the driver sees it.
#[derive(Clone, Copy)]
pub struct Io<'h> {
    /// The ITS's first frame.
    pub registers: &'h dyn Registers,
    /// Memory for tables.
    pub frames: &'h dyn Frames,
    /// Order and cache maintenance.
    pub clean: &'h dyn Clean,
}

/// An ITS that is on.
pub struct Its<'h> {
    io: Io<'h>,
    typer: Typer,
    queue: CommandQueue,
    device_table: DeviceTable,
    /// What commands call the redistributor of each core.
    targets: [Option<u64>; MAX_VCPUS],
    devices: Devices,
}

impl Its<'_> {
    /// Runs commands and waits until they have taken effect at every redistributor.
    fn run(&mut self, commands: impl IntoIterator<Item = Command>) -> Result<(), Hung> {
        let syncs = self.targets.iter().flatten();
        let syncs = syncs.map(|&target| Command::Sync { target });
        self.queue.run(&self.io, commands.into_iter().chain(syncs))
    }
}
