//! The other cores, which do what the first one gives them.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::cpu::{Deadline, read_register};
use super::machine::Machine;
use super::{mmu, psci};

/// More cores are not used.
pub(super) const MAX: usize = 8;
/// Bytes of a core's stack: two to the power of 14, as the first instructions have it.
const STACK: usize = 0x4000;
/// How long a core may take for a job.
const PATIENCE_MS: u64 = 60_000;

/// Something for a core to do.
pub(super) type Job = fn(u64) -> u64;

#[repr(C, align(16384))]
struct Stacks(UnsafeCell<[[u8; STACK]; MAX]>);

// SAFETY: each core uses its own as a stack, and nobody makes a reference to them.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK]; MAX]));

/// What lies on a core's desk.
struct Desk {
    /// How many jobs it was given.
    given: AtomicU64,
    /// How many it has done.
    done: AtomicU64,
    /// The job; null sends the core home.
    job: AtomicPtr<()>,
    argument: AtomicU64,
    result: AtomicU64,
}

static DESKS: [Desk; MAX] = [const {
    Desk {
        given: AtomicU64::new(0),
        done: AtomicU64::new(0),
        job: AtomicPtr::new(core::ptr::null_mut()),
        argument: AtomicU64::new(0),
        result: AtomicU64::new(0),
    }
}; MAX];

global_asm!(
    r#"
    // Where PSCI starts a core: x0 is its index.
    .globl  worker_start
worker_start:
    msr     daifset, #0xf
    adrp    x1, {stacks}
    add     x1, x1, :lo12:{stacks}
    add     x2, x0, #1
    add     x1, x1, x2, lsl #14
    mov     sp, x1
    adrp    x1, payload_vectors
    add     x1, x1, :lo12:payload_vectors
    msr     vbar_el1, x1
    msr     tpidr_el1, x0
    isb
    bl      {main}
7:  wfi
    b       7b
    "#,
    stacks = sym STACKS,
    main = sym worker_main,
);

unsafe extern "C" {
    safe fn worker_start();
}

extern "C" fn worker_main(index: usize) -> ! {
    mmu::enable();
    let desk = &DESKS[index];
    let mut seen = desk.done.load(Ordering::Acquire);
    loop {
        while desk.given.load(Ordering::Acquire) == seen {
            // SAFETY: `give` sends an event.
            unsafe { asm!("wfe", options(nostack, preserves_flags)) };
        }
        seen = desk.given.load(Ordering::Acquire);
        let job = desk.job.load(Ordering::Acquire);
        if job.is_null() {
            desk.done.store(seen, Ordering::Release);
            psci::call(psci::CPU_OFF, [0; 3]);
            panic!("CPU_OFF came back");
        }
        // SAFETY: `give` alone stores what is not null, and that was a `Job`.
        let job = unsafe { core::mem::transmute::<*mut (), Job>(job) };
        let result = job(desk.argument.load(Ordering::Acquire));
        desk.result.store(result, Ordering::Release);
        desk.done.store(seen, Ordering::Release);
    }
}

/// The index of the core that asks.
pub(super) fn this() -> usize {
    // The first core's was set by `start`, the others' by their first instructions; none is above MAX.
    usize::try_from(read_register!("tpidr_el1")).map_or(MAX - 1, |index| index.min(MAX - 1))
}

/// Has so many cores at work, the first included, as far as there are any; others go home, because one that only waits
/// takes time from those that work where it is emulated. Returns how many there are now.
pub(super) fn staff(machine: &Machine, now: usize, wanted: usize) -> Result<usize, &'static str> {
    // SAFETY: nobody else uses the register.
    unsafe {
        asm!(
            "msr tpidr_el1, xzr",
            "isb",
            options(nostack, preserves_flags)
        )
    };
    let mut count = 1;
    for (index, affinity) in machine.all_cores.iter().copied().flatten().enumerate() {
        if index >= now.max(1) && index < wanted {
            let entry = worker_start as *const () as u64;
            let started = psci::call(psci::CPU_ON, [affinity, entry, index as u64]);
            if started != psci::SUCCESS {
                return Err("a core cannot be started");
            }
            run(index, |argument| argument, 0)?;
        } else if index < now && index >= wanted.max(1) {
            send_home(index, affinity)?;
        }
        if index < wanted {
            count = index + 1;
        }
    }
    Ok(count)
}

/// Gives a core a job, and does not wait for it.
pub(super) fn give(core: usize, job: Job, argument: u64) {
    put(core, job as *mut (), argument);
}

fn put(core: usize, job: *mut (), argument: u64) {
    let desk = &DESKS[core];
    desk.argument.store(argument, Ordering::Release);
    desk.job.store(job, Ordering::Release);
    desk.given.fetch_add(1, Ordering::AcqRel);
    // SAFETY: barriers and an event.
    unsafe { asm!("dsb sy", "sev", options(nostack, preserves_flags)) };
}

/// Waits until a core has done its job, and says with what result.
pub(super) fn wait(core: usize) -> Result<u64, &'static str> {
    let desk = &DESKS[core];
    let deadline = Deadline::after_ms(PATIENCE_MS);
    while desk.done.load(Ordering::Acquire) != desk.given.load(Ordering::Acquire) {
        if deadline.passed() {
            return Err("another core does not finish its job");
        }
        core::hint::spin_loop();
    }
    Ok(desk.result.load(Ordering::Acquire))
}

/// Gives a core a job and waits for it.
pub(super) fn run(core: usize, job: Job, argument: u64) -> Result<u64, &'static str> {
    give(core, job, argument);
    wait(core)
}

fn send_home(index: usize, affinity: u64) -> Result<(), &'static str> {
    const OFF: i32 = 1;
    put(index, core::ptr::null_mut(), 0);
    let deadline = Deadline::after_ms(PATIENCE_MS);
    while psci::call(psci::AFFINITY_INFO, [affinity, 0, 0]) != OFF {
        if deadline.passed() {
            return Err("another core does not go off");
        }
    }
    Ok(())
}
