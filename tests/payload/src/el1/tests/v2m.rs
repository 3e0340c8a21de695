//! A GICv2m frame (Arm BSA, "GICv2m"): a store to a register makes an SPI pend, from the processor and from a device.

mod frame;
mod message;

use super::Finding;
use super::gic::stage::{self, Group};
use crate::el1::bench::{Bench, Failure, fact};
use crate::el1::console::say;
use crate::el1::cores;

/// The frame, then the drive's messages through it.
pub(super) fn v2m(bench: &mut Bench) -> Result<Finding, Failure> {
    if !frame::is_there() {
        if bench.machine.argument("payload.expect") == Some("absent") {
            fact!(bench, "there is no GICv2m frame");
            return Ok(Finding::Works);
        }
        return Err(Failure::Wrong(
            "there is no GICv2m frame at 0x20020000 with the SPIs 64 to 191",
        ));
    }
    let group = Group {
        name: "frame",
        cores: cores::MAX,
        checks: frame::CHECKS,
    };
    stage::run(bench, &[group])?;
    message::messages(bench)?;
    Ok(Finding::Works)
}
