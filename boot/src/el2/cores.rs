//! The machine's cores. All of them are Oche's from the start; one that runs no vCPU waits here for an order, its
//! interrupts taken like everybody's.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use boot::machine::Machine;
use hv_core::Pa;
use hv_core::arch::aarch64::gic::Signal;
use hv_core::arch::aarch64::guest::{self as vcpu, GuestFrame};
use hv_core::arch::aarch64::mmu::MmuRegisters;
use hv_core::arch::aarch64::{barrier, cache, core as cpu};
use hv_core::psci::MAX_VCPUS;
use log::warn;
use spin::{Mutex, Once};

use super::guest::{self, Guest};
use super::platform::{Platform, StartRefused};
use super::sentence::{Sentence, sentence};
use super::stack::Stack;
use super::{image, interrupts};

/// Cores that Oche uses: those of an M1.
pub(super) const MAX_CORES: usize = MAX_VCPUS;

/// How long a core may take to start, in microseconds.
const START_WITHIN: u64 = 2_000_000;

/// How long Oche waits, in microseconds, for other cores to stop after a failure of its own.
const STOP_WITHIN: u64 = 500_000;

/// What a core that waits is told to do.
struct Order {
    guest: &'static Guest,
    vcpu: usize,
    entry: u64,
    context: u64,
    /// In which of the guest's lives: an order of an earlier one is void.
    life: u64,
}

/// One core.
pub(super) struct Core {
    index: usize,
    affinity: AtomicU64,
    /// Where its stack begins; 0 before that is known.
    stack_top: AtomicU64,
    /// It has set itself up.
    ready: AtomicBool,
    order: Mutex<Option<Order>>,
    guest: AtomicPtr<Guest>,
    vcpu: AtomicUsize,
}

static CORES: [Core; MAX_CORES] = {
    let mut index = 0;
    let mut cores = [const { Core::new() }; MAX_CORES];
    while index < MAX_CORES {
        cores[index].index = index;
        index += 1;
    }
    cores
};

/// Oche has failed: nobody goes back to a guest.
static FAILED: AtomicBool = AtomicBool::new(false);
/// Cores that have seen it, a bit each.
static STOPPED: AtomicUsize = AtomicUsize::new(0);

/// What a core finds through `x0` when it starts with its MMU off; the three fields as `entry.S` reads them.
#[repr(C)]
struct CoreStart {
    stack_top: u64,
    mmu: *const MmuRegisters,
    /// It is the core's slot too (`hv_core::arch::aarch64::failure`).
    core: usize,
}

/// What cores that start need; they live as long as the machine.
struct Common {
    mmu: MmuRegisters,
    machine: &'static Machine,
}

static COMMON: Once<Common> = Once::new();

impl Core {
    const fn new() -> Self {
        Self {
            index: 0,
            affinity: AtomicU64::new(0),
            stack_top: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            order: Mutex::new(None),
            guest: AtomicPtr::new(core::ptr::null_mut()),
            vcpu: AtomicUsize::new(0),
        }
    }

    /// Its number: the position in the device tree.
    pub(super) const fn index(&self) -> usize {
        self.index
    }

    /// The calling core runs no vCPU any more, though it has something left to do.
    pub(super) fn rest(&self) {
        self.set_running(None);
    }

    /// The guest that it runs a vCPU of, and which.
    pub(super) fn running(&self) -> Option<(&'static Guest, usize)> {
        let guest = self.guest.load(Ordering::Relaxed);
        // SAFETY: only `enter` stores anything else than null, and what it stores is a `&'static Guest`.
        let guest = unsafe { guest.as_ref() }?;
        Some((guest, self.vcpu.load(Ordering::Relaxed)))
    }

    fn set_running(&self, guest: Option<(&'static Guest, usize)>) {
        self.vcpu
            .store(guest.map_or(0, |(_, vcpu)| vcpu), Ordering::Relaxed);
        let pointer = guest.map_or(core::ptr::null(), |(guest, _)| core::ptr::from_ref(guest));
        self.guest.store(pointer.cast_mut(), Ordering::Release);
    }
}

/// The calling core.
pub(super) fn this() -> &'static Core {
    // `set_index` was given an index of `CORES`.
    &CORES[cpu::index() % MAX_CORES]
}

/// Makes every core of the machine Oche's: this one, the first, and the others, which wait for orders.
pub(super) fn start_all(
    machine: &'static Machine,
    mmu: MmuRegisters,
    platform: &'static dyn Platform,
) -> Result<usize, Sentence> {
    COMMON.call_once(|| Common { mmu, machine });
    let affinities = machine.cpus.get(..MAX_CORES).unwrap_or(&machine.cpus);
    for (core, affinity) in CORES.iter().zip(affinities) {
        core.affinity.store(*affinity, Ordering::Relaxed);
    }
    interrupts::start(machine, affinities)?;
    cpu::set_index(0);
    CORES[0]
        .stack_top
        .store(image::stack_top().get(), Ordering::Relaxed);
    interrupts::start_core(0, machine)?;
    CORES[0].ready.store(true, Ordering::Release);
    for (core, affinity) in CORES.iter().zip(affinities).skip(1) {
        let stack = Stack::of_core(core.index)
            .ok_or_else(|| sentence!("there is no stack for core {}", core.index))?;
        core.stack_top.store(stack.top().get(), Ordering::Relaxed);
        if start(core, *affinity, &stack, platform).is_err() {
            warn!(
                "core {} does not start, and no guest can have it",
                core.index
            );
        }
    }
    Ok(affinities.len())
}

/// Is there such a core, and did it start?
pub(super) fn is_ready(core: usize) -> bool {
    CORES
        .get(core)
        .is_some_and(|core| core.ready.load(Ordering::Acquire))
}

fn start(
    core: &'static Core,
    affinity: u64,
    stack: &Stack,
    platform: &'static dyn Platform,
) -> Result<(), StartRefused> {
    let common = COMMON.get().ok_or(StartRefused)?;
    let start = CoreStart {
        stack_top: stack.top().get(),
        mmu: &raw const common.mmu,
        core: core.index,
    };
    // SAFETY: the bottom of the stack is nobody's yet, and the core reads it before it has used so much of its stack.
    unsafe { (stack.bottom().get() as *mut CoreStart).write(start) };
    cache::clean_and_invalidate(stack.bottom(), size_of::<CoreStart>() as u64);
    cache::clean_and_invalidate(
        Pa::new(&raw const common.mmu as u64),
        size_of::<MmuRegisters>() as u64,
    );
    platform.start_core(affinity, image::secondary_entry(), stack.bottom())?;
    let since = cpu::ticks();
    while !core.ready.load(Ordering::Acquire) {
        if cpu::microseconds(cpu::ticks().saturating_sub(since)) > START_WITHIN {
            return Err(StartRefused);
        }
        core::hint::spin_loop();
    }
    Ok(())
}

/// A started core, MMU on, on its own stack.
#[unsafe(no_mangle)]
extern "C" fn oche_secondary(start: *const CoreStart) -> ! {
    // SAFETY: `start` wrote it for this core and nobody writes it again.
    let index = unsafe { (*start).core };
    cpu::set_index(index % MAX_CORES);
    let Some(common) = COMMON.get() else {
        barrier::halt() // cores are started by `start_all` only
    };
    if let Err(why) = interrupts::start_core(index, common.machine) {
        warn!("{why}");
        barrier::halt()
    }
    this().ready.store(true, Ordering::Release);
    wait_for_orders()
}

/// Has `core` enter `guest` as its vCPU `vcpu`.
pub(super) fn send(
    core: usize,
    guest: &'static Guest,
    vcpu: usize,
    entry: u64,
    context: u64,
) -> Result<(), StartRefused> {
    if !is_ready(core) {
        return Err(StartRefused);
    }
    let target = CORES.get(core).ok_or(StartRefused)?;
    *target.order.lock() = Some(Order {
        guest,
        vcpu,
        entry,
        context,
        life: guest.restarts.load(Ordering::SeqCst),
    });
    kick(core);
    Ok(())
}

/// Takes back what cores have been told to do for `guest`.
pub(super) fn forget_orders(guest: &'static Guest) {
    for core in &CORES {
        let mut order = core.order.lock();
        if order
            .as_ref()
            .is_some_and(|order| core::ptr::eq(order.guest, guest))
        {
            *order = None;
        }
    }
}

/// Calls `core` to EL2.
pub(super) fn kick(core: usize) {
    if let Some(gic) = interrupts::host() {
        gic.kick(core);
    }
}

/// This core was called.
pub(super) fn kicked(core: &'static Core) {
    stop_if_failed(core);
    guest::attend(core);
}

/// This core runs no vCPU any more: it waits for orders, on an empty stack.
pub(super) fn park() -> ! {
    let core = this();
    core.set_running(None);
    let top = Pa::new(core.stack_top.load(Ordering::Relaxed));
    // SAFETY: the core's own stack, of which nothing is needed any more.
    unsafe { cpu::restart_on(top, wait_for_orders) }
}

extern "C" fn wait_for_orders() -> ! {
    let core = this();
    loop {
        stop_if_failed(core);
        let order = core.order.lock().take();
        if let Some(order) = order {
            enter(core, &order);
        }
        // A kick that came after the look is pending, and ends the wait at once.
        barrier::wait_for_interrupt();
        interrupts::take(core, Signal::Fiq);
        interrupts::take(core, Signal::Irq);
    }
}

/// Enters the guest anew on this core.
fn enter(core: &'static Core, order: &Order) -> ! {
    let Order {
        guest,
        vcpu,
        entry,
        context,
        life,
    } = *order;
    core.set_running(Some((guest, vcpu)));
    vcpu::prepare(
        guest.stage2_registers,
        cpu::affinity(),
        guest.counter_offset(),
    );
    if !guest.begin(vcpu, life) {
        park()
    }
    let mut frame = GuestFrame::at(entry, context);
    // SAFETY: `prepare` has just run, nothing on this stack is needed any more, and stage 2 maps this guest's RAM, its
    // devices and nothing else (`guest::load`).
    unsafe { vcpu::enter(&mut frame) }
}

/// Stops every other core for good, after a failure of Oche's own. How many did not answer in time.
pub(super) fn stop_others() -> usize {
    FAILED.store(true, Ordering::Release);
    let own = this().index;
    let others = CORES
        .iter()
        .filter(|core| core.index != own && core.ready.load(Ordering::Acquire))
        .fold(0_usize, |others, core| others | 1 << core.index);
    for core in 0..MAX_CORES {
        if others & (1 << core) != 0 {
            kick(core);
        }
    }
    let since = cpu::ticks();
    loop {
        let missing = others & !STOPPED.load(Ordering::Acquire);
        let late = cpu::microseconds(cpu::ticks().saturating_sub(since)) > STOP_WITHIN;
        if missing == 0 || late {
            return missing.count_ones() as usize;
        }
        core::hint::spin_loop();
    }
}

pub(super) fn stop_if_failed(core: &Core) {
    if FAILED.load(Ordering::Acquire) {
        STOPPED.fetch_or(1 << core.index, Ordering::AcqRel);
        barrier::halt();
    }
}
