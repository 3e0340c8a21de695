//! The guest: everything Oche keeps of it.

mod counters;
mod dma;
mod end;
mod files;
mod guards;
mod ingredients;
mod load;
mod memory;
mod redistributors;
mod reveal;
mod stage2;

use arrayvec::{ArrayString, ArrayVec};
use core::sync::atomic::{AtomicBool, AtomicU64};
use guest_abi::config::MAX_TOKEN;
use hv_core::arch::aarch64::guest::StageTwo;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::arch::aarch64::mmu::MmuRegisters;
use hv_core::ownership::{GuestId, Ownership};
use hv_core::pci::VirtualBus;
use hv_core::psci::{Cores, MAX_VCPUS};
use hv_core::stage2::Stage2;
use hv_core::table::Table;
use hv_core::trap::access::Repeats;
use spin::{Mutex, Once};

use super::pci::Ecam;
use super::platform::Platform;
use super::stack::Stack;

pub(super) use self::counters::Counters;
pub(super) use self::dma::Dma;
pub(super) use self::end::{end, give_up};
pub(super) use self::ingredients::Ingredients;
pub(super) use self::load::{Entry, load};
pub(super) use self::memory::GuestRam;
pub(super) use self::reveal::Canaries;
pub(super) use self::stage2::StageTwoTlb;

/// One guest. Fields behind a lock are changed by traps of any of its vCPUs; no trap holds two of the locks at once.
pub(super) struct Guest {
    pub(super) id: GuestId,
    /// The secret of this run (see `guest_abi::config`).
    pub(super) token: ArrayString<MAX_TOKEN>,
    /// A guard has been taken out of this run.
    pub(super) guards_out: bool,
    /// The guest's redistributors show LPIs: only ever in a test image.
    pub(super) lpis: bool,
    pub(super) platform: &'static dyn Platform,
    pub(super) mmu: MmuRegisters,
    pub(super) ram: GuestRam,
    pub(super) ownership: Ownership<'static>,
    pub(super) stage2: Mutex<Table<Stage2>>,
    pub(super) stage2_registers: StageTwo,
    pub(super) granule: u64,
    pub(super) cores: Mutex<Cores>,
    pub(super) affinities: ArrayVec<u64, MAX_VCPUS>,
    pub(super) stacks: ArrayVec<Stack, MAX_VCPUS>,
    /// The host's RD_base frame of each vCPU's core.
    pub(super) redistributors: ArrayVec<Mmio, MAX_VCPUS>,
    pub(super) bus: Mutex<VirtualBus>,
    pub(super) config_space: Ecam,
    pub(super) dma: Mutex<Dma>,
    pub(super) counters: Counters,
    /// Counter ticks at which the first vCPU entered the guest.
    pub(super) entered: AtomicU64,
    /// Ticks from then to the first instruction at EL0; 0 until it came.
    pub(super) userspace: AtomicU64,
    /// Stage 2 still forbids EL0 to execute, so that its first instruction is seen.
    pub(super) awaits_userspace: AtomicBool,
    /// Each vCPU may fault once on a fetch that has been allowed meanwhile.
    pub(super) fetched_again: [AtomicBool; MAX_VCPUS],
    /// Each vCPU's instructions that were executed again because they were not what had trapped.
    pub(super) repeats: [Mutex<Repeats>; MAX_VCPUS],
    /// Frames of Oche's own that were revealed, and what each of their words must still say at the end.
    pub(super) canaries: Canaries,
    /// The run is over: a vCPU that comes out stays out.
    pub(super) ending: AtomicBool,
    pub(super) frames_free_at_start: u64,
}

static GUEST: Once<Guest> = Once::new();

/// The guest, once there is one.
pub(super) fn current() -> Option<&'static Guest> {
    GUEST.get()
}

/// Puts the guest where traps find it.
pub(super) fn install(guest: Guest) -> &'static Guest {
    GUEST.call_once(|| guest)
}
