//! The guest: everything Oche keeps of it.

mod counters;
mod devices;
mod dma;
mod end;
mod files;
mod guards;
mod ingredients;
mod interrupts;
mod load;
mod memory;
mod restart;
mod reveal;
mod stage2;
mod uart;

use arrayvec::ArrayVec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use guest_abi::config::Delivery;
use guest_abi::summary::{Outcome, Reason, reason};
use hv_core::arch::aarch64::core as cpu;
use hv_core::arch::aarch64::guest::StageTwo;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::ownership::{GuestId, Ownership};
use hv_core::pci::{self, VirtualBus};
use hv_core::psci::{Cores, MAX_VCPUS};
use hv_core::stage2::Stage2;
use hv_core::table::Table;
use hv_core::trap::access::Repeats;
use hv_core::vgic::Vgic;
use spin::{Mutex, Once};

use super::cores;
use super::interrupts::host;
use super::messages::Messages;
use super::pci::Ecam;
use super::platform::Platform;

pub(super) use self::counters::Counters;
pub(super) use self::dma::Dma;
pub(super) use self::end::{end, forsake, give_up};
pub(super) use self::ingredients::Ingredients;
use self::ingredients::{Lines, Routes};
pub(super) use self::interrupts::{attend, faults, message, physical};
pub(super) use self::load::{Entry, load};
pub(super) use self::memory::GuestRam;
pub(super) use self::restart::restart;
pub(super) use self::reveal::Canaries;
use self::reveal::Targets;
pub(super) use self::stage2::StageTwoTlb;
use self::uart::GuestUart;

/// One guest. Fields behind a lock are changed by traps of any of its vCPUs.
///
/// Who holds more than one lock has taken them in this order: the control line's (`control.rs`), `uart`, `vgic`, `dma`,
/// the console's, that of Oche's log. All other locks are held alone, but that whoever holds one may log a line, and
/// allocate: the allocators' locks come last.
pub(super) struct Guest {
    pub(super) id: GuestId,
    /// A guard has been taken out of this run.
    pub(super) guards_out: bool,
    /// The guest's redistributors show LPIs: only ever in a test image.
    pub(super) lpis: bool,
    pub(super) platform: &'static dyn Platform,
    pub(super) ram: GuestRam,
    pub(super) ownership: Ownership<'static>,
    pub(super) stage2: Mutex<Table<Stage2>>,
    pub(super) stage2_registers: StageTwo,
    pub(super) granule: u64,
    pub(super) cores: Mutex<Cores>,
    pub(super) affinities: ArrayVec<u64, MAX_VCPUS>,
    pub(super) vgic: Mutex<Vgic>,
    pub(super) delivery: Delivery,
    /// List registers of each core.
    pub(super) list_registers: usize,
    /// Of these, how many are in use on the core of each vCPU.
    pub(super) lists_used: [AtomicUsize; MAX_VCPUS],
    /// How many vCPUs wait for what others have in their list registers.
    pub(super) settling: AtomicUsize,
    /// vCPUs that run on their cores, a bit each.
    pub(super) inside: AtomicUsize,
    /// Ticks of the physical counter at which the guest's virtual one was 0.
    pub(super) counter_offset: AtomicU64,
    /// The level of the DART's interrupt that the GIC knows of.
    pub(super) dart_line: AtomicBool,
    pub(super) uart: GuestUart,
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
    /// The run is over, or starts anew: a vCPU that comes out stays out.
    pub(super) ending: AtomicBool,
    /// Somebody wants the guest's end; whoever starts it anew at that moment finds it here.
    pub(super) doom: Mutex<Option<(Outcome, Option<Reason>)>>,
    pub(super) frames_free_at_start: u64,
    /// What it was made from, and is made from again.
    pub(super) from: &'static Ingredients,
    pub(super) routes: Routes,
    pub(super) lines: Lines,
    /// The ITS that its functions' messages go through.
    pub(super) messages: Option<&'static Messages>,
    /// Its PCI bus as it first saw it.
    pub(super) fresh_bus: VirtualBus,
    /// What is on the machine's buses.
    pub(super) found: pci::Bus,
    pub(super) targets: Targets,
    /// How often it was started anew.
    pub(super) restarts: AtomicU64,
}

impl Guest {
    /// What the guest's virtual counter lags behind the physical one.
    pub(super) fn counter_offset(&self) -> u64 {
        self.counter_offset.load(Ordering::Relaxed)
    }

    /// Lets the first vCPU begin at `kernel`, with the device tree's address as a kernel expects it.
    pub(super) fn start(&'static self, kernel: u64, tree: u64) {
        let now = cpu::ticks();
        let first = self.restarts.load(Ordering::Relaxed) == 0;
        if first {
            self.entered.store(now, Ordering::Relaxed);
        }
        self.counter_offset.store(now, Ordering::Relaxed);
        if cores::send(self.core_of(0), self, 0, kernel, tree).is_err() {
            end(
                self,
                Outcome::Stopped,
                Some(reason(format_args!("the first core is not there"))),
            )
        }
    }

    /// Where a test image that shows LPIs sends an access to a redistributor: to the machine's, in its RD_base frame.
    pub(super) fn lpi_frame(&self, vcpu: usize, offset: u64) -> Option<&'static Mmio> {
        let wanted = self.lpis && offset < hv_core::layout::GICR_FRAME;
        wanted.then(|| host()?.redistributor(self.core_of(vcpu)))?
    }
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
