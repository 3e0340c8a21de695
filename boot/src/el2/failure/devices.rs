//! The PCI functions that guests were given, and taking the bus from them when Oche fails: no lock, no table of
//! anybody else's, only where each function's registers are.

use core::sync::atomic::{AtomicU64, Ordering};

use hv_core::Pa;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::pci::command;
use log::error;

/// How many functions guests may have, all together. [`given`] refuses more.
const MOST: usize = 64;

/// Where the configuration space of each given function begins; 0 where there is none.
static GIVEN: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];

/// Bytes of one function's configuration space that are used here: the standard header.
const HEADER: u64 = 0x40;
/// The command register, with the status register in the upper half (PCI Local Bus 3.0, 6.2.2).
const COMMAND: u64 = 0x04;

/// There is no room to note one more function, so no guest may have it.
#[derive(Clone, Copy, Debug)]
pub(in crate::el2) struct NoRoom;

/// Notes that a guest has the function whose configuration space begins at `config` (mapped at EL2, as long as Oche
/// runs): it loses the bus when Oche fails.
pub(in crate::el2) fn given(config: Pa) -> Result<(), NoRoom> {
    let known = |slot: &AtomicU64| slot.load(Ordering::Relaxed) == config.get();
    if GIVEN.iter().any(known) {
        return Ok(());
    }
    let take = |slot: &AtomicU64| {
        slot.compare_exchange(0, config.get(), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    };
    GIVEN.iter().any(take).then_some(()).ok_or(NoRoom)
}

/// What came of taking the bus away.
pub(super) struct Silenced {
    /// Functions that were told to leave the bus alone.
    functions: u32,
    /// Of these, those that could use it until then.
    pub(super) masters: u32,
    /// Of these, those that still can.
    deaf: u32,
}

/// Takes bus mastering from every function that a guest has.
pub(super) fn silence() -> Silenced {
    let mut silenced = Silenced {
        functions: 0,
        masters: 0,
        deaf: 0,
    };
    for slot in &GIVEN {
        let config = slot.load(Ordering::Acquire);
        if config == 0 {
            continue;
        }
        // SAFETY: whoever called `given` vouches for the address; the one thing written takes a device's right to
        // write to memory.
        let registers = unsafe { Mmio::new(Pa::new(config), HEADER) };
        let master = u32::from(command::BUS_MASTER);
        let old = registers.read32(COMMAND) & 0xffff;
        // Zeroes to the status half change nothing: its bits are cleared by ones.
        registers.write32(COMMAND, old & !master);
        silenced.functions = silenced.functions.saturating_add(1);
        if old & master != 0 {
            silenced.masters = silenced.masters.saturating_add(1);
        }
        if registers.read32(COMMAND) & master != 0 {
            silenced.deaf = silenced.deaf.saturating_add(1);
        }
    }
    silenced
}

impl Silenced {
    pub(super) fn report(&self) {
        error!(
            "bus mastering off: {} functions, {} had it",
            self.functions, self.masters
        );
        if self.deaf != 0 {
            error!("{} functions are still bus masters", self.deaf);
        }
    }
}
