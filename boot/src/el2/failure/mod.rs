//! Oche's own failure: a panic, or an exception at EL2 that no guest caused. Nothing a guest does may lead here.
//!
//! The first core to fail takes the machine down, in this order: devices lose the bus, guests lose their memory and
//! their cores, then comes the report (docs/failure.md says how to read it), then power-off. What a step relies on
//! must hold when anything else of Oche's is broken: nothing here allocates, and nothing waits without a bound. A failure in the report itself ends in one line more, and one after that in none.

mod devices;
mod locks;
mod record;
mod trace;

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use guest_abi::summary::{Outcome, Reason, reason};
use hv_core::arch::aarch64::failure::{OwnFrame, core_slot, frame_pointer};
use hv_core::arch::aarch64::{barrier, core as cpu};
use log::error;

use super::{console, cores, guest, image, platform};

pub(super) use self::devices::given;
pub(super) use self::locks::reach;

/// The slot of the core that reports, plus one; 0 while nothing has failed.
static REPORTER: AtomicUsize = AtomicUsize::new(0);
/// How often the report itself has failed.
static AGAIN: AtomicU8 = AtomicU8::new(0);

/// What the message of a panic begins with when the heap is used up: `alloc` has no other way to say it.
const NO_MEMORY: &str = "memory allocation of ";

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let from = frame_pointer();
    let stopped = claim();
    let message = reason(format_args!("{}", info.message()));
    if message.starts_with(NO_MEMORY) {
        let sentence = reason(format_args!(
            "Oche's heap is used up ({message}): give the machine more memory"
        ));
        error!("{sentence}");
        give_up(Outcome::Stopped, sentence)
    }
    match info.location() {
        Some(place) => error!("Oche failed: panicked at {place}: {message}"),
        None => error!("Oche failed: panicked: {message}"),
    }
    record::whereabouts();
    let guest = trace::print(None, from);
    // No exception has come since: the registers still say what brought this core to EL2.
    let (_, far, hpfar) = cpu::exception();
    record::last_trap(guest, Some((far, hpfar)));
    stopped.report();
    give_up(Outcome::Panicked, message)
}

/// An exception taken at EL2 from EL2. `kind` is the vector: synchronous, IRQ, FIQ, SError, for SP_EL0 and SP_EL2.
/// This runs on the core's emergency stack.
#[unsafe(no_mangle)]
extern "C" fn oche_own_fault(frame: &OwnFrame, kind: u64) -> ! {
    let (esr, far, _) = cpu::exception();
    let stopped = claim();
    let message = reason(format_args!(
        "exception at EL2, vector {kind}: ESR {esr:#x} FAR {far:#x} at {}",
        trace::Place(frame.pc)
    ));
    error!("Oche failed: {message}");
    record::whereabouts();
    record::registers(frame);
    let guest = trace::print(Some(frame.pc), frame.x[29]);
    record::last_trap(guest, None);
    stopped.report();
    give_up(Outcome::Panicked, message)
}

/// What was stopped before anything was said.
struct Stopped {
    devices: devices::Silenced,
    /// Cores that did not stop in time.
    cores: usize,
}

impl Stopped {
    fn report(&self) {
        self.devices.report();
        match self.cores {
            0 => error!("every other core stopped"),
            cores => {
                error!("{cores} cores did not stop in time; their guests have no memory any more")
            }
        }
    }
}

/// Makes this core the one that reports, and stops everything else. Another core that fails meanwhile stops here; the
/// same one has failed in its own report.
fn claim() -> Stopped {
    let me = core_slot();
    match REPORTER.compare_exchange(0, me.saturating_add(1), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {}
        Err(reporter) if reporter == me.saturating_add(1) => failed_again(),
        Err(_) => loop {
            // The other one is about to stop every core.
            cores::stop_if_failed(cores::this());
            core::hint::spin_loop();
        },
    }
    let masters = devices::silence().masters;
    guest::forsake();
    let cores = cores::stop_others();
    // A core that was in the middle of an exit may have let a device go on after the first time.
    let mut devices = devices::silence();
    devices.masters = devices.masters.saturating_add(masters);
    console::force_unlock();
    Stopped { devices, cores }
}

fn give_up(outcome: Outcome, reason: Reason) -> ! {
    guest::give_up(outcome, reason)
}

/// The report failed.
fn failed_again() -> ! {
    match AGAIN.fetch_add(1, Ordering::AcqRel) {
        0 => {
            console::force_unlock();
            error!(
                "Oche failed again while it reported its failure: the rest is lost; image at {}",
                image::range()
            );
            platform::current().power_off()
        }
        1 => platform::current().power_off(),
        _ => barrier::halt(),
    }
}
