//! The parts of the report that are not the trace.

use hv_core::arch::aarch64::core as cpu;
use hv_core::arch::aarch64::failure::OwnFrame;
use hv_core::arch::aarch64::guest::GuestFrame;
use log::error;

use super::super::{cores, image};
use super::trace::Place;

/// Who failed.
pub(super) fn whereabouts() {
    let (core, image) = (cpu::affinity(), image::range());
    match cores::this().running() {
        Some((guest, vcpu)) => error!(
            "on core {core:#x}, vCPU {vcpu} of guest {}; image at {image}",
            guest.id.number()
        ),
        None => error!("on core {core:#x}, which runs no guest; image at {image}"),
    }
}

/// Every register that the exception interrupted.
pub(super) fn registers(frame: &OwnFrame) {
    error!(
        "PC {:#x} ({}) PSTATE {:#x} SP {:#x}",
        frame.pc,
        Place(frame.pc),
        frame.pstate,
        frame.sp
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
    error!(
        "x28 {:#018x} {:#018x} {:#018x} ({})",
        frame.x[28],
        frame.x[29],
        frame.x[30],
        Place(frame.x[30])
    );
}

/// What brought this core to EL2 the last time; `faults` are `FAR_EL2` and `HPFAR_EL2`, where they still say it.
pub(super) fn last_trap(guest: Option<&GuestFrame>, faults: Option<(u64, u64)>) {
    let Some(guest) = guest else {
        return error!("last trap: none is on this stack");
    };
    let (esr, pc, pstate) = (guest.esr, guest.pc, guest.pstate);
    match faults {
        Some((far, hpfar)) => error!(
            "last trap: guest at {pc:#x}, PSTATE {pstate:#x}: ESR {esr:#x} FAR {far:#x} HPFAR {hpfar:#x}"
        ),
        None => error!("last trap: guest at {pc:#x}, PSTATE {pstate:#x}: ESR {esr:#x}"),
    }
    error!(
        "guest's x0 to x3: {:#x} {:#x} {:#x} {:#x}",
        guest.x[0], guest.x[1], guest.x[2], guest.x[3]
    );
}
