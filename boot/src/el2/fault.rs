//! Oche's own mistakes: a report with registers, then power-off. Nothing a guest does may lead here.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use guest_abi::summary::{Outcome, reason};
use hv_core::arch::aarch64::guest::GuestFrame;
use hv_core::arch::aarch64::{barrier, core as cpu};
use log::error;

use super::{console, cores, guest, image};

static FAILING: AtomicBool = AtomicBool::new(false);

/// Lets one core report; another one, or a fault in the report, stops here.
fn first() {
    if FAILING.swap(true, Ordering::AcqRel) {
        barrier::halt();
    }
    console::force_unlock();
    let missing = cores::stop_others();
    if missing > 0 {
        error!("{missing} cores did not stop when they were called");
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    first();
    error!("{info}");
    error!("image at {}", image::range());
    guest::give_up(
        Outcome::Panicked,
        reason(format_args!("{}", info.message())),
    )
}

/// An exception taken at EL2 from EL2. `kind` is the vector: synchronous, IRQ, FIQ, SError, for SP_EL0 and SP_EL2.
#[unsafe(no_mangle)]
extern "C" fn oche_own_fault(frame: &GuestFrame, kind: u64) -> ! {
    first();
    let (esr, far, _) = cpu::exception();
    let base = image::range().start().get();
    error!("exception at EL2, vector {kind}: ESR {esr:#x} FAR {far:#x}");
    // In this frame the slot of x30 holds the stack pointer; x29 is lost.
    error!(
        "ELR {:#x} (image + {:#x}) SPSR {:#x} SP {:#x}",
        frame.pc,
        frame.pc.wrapping_sub(base),
        frame.pstate,
        frame.x[30]
    );
    for (n, row) in frame.x[..28].chunks_exact(4).enumerate() {
        error!(
            "x{:<2} {:#018x} {:#018x} {:#018x} {:#018x}",
            n * 4,
            row[0],
            row[1],
            row[2],
            row[3]
        );
    }
    guest::give_up(
        Outcome::Panicked,
        reason(format_args!(
            "exception at EL2: ESR {esr:#x}, ELR image + {:#x}",
            frame.pc.wrapping_sub(base)
        )),
    )
}
