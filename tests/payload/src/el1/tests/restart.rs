//! A guest that resets itself while its cores are on their way in.

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::{psci, start};

/// How often it resets itself.
const RESETS: u64 = 12;

/// Starts every other core and resets itself in the next call, again and again; then all cores must be off, and the
/// second one can be started, and goes. Only by name: it starts the whole payload anew.
pub(super) fn with_cores_on_their_way(bench: &mut Bench) -> Result<Finding, Failure> {
    let lives = bench.machine.boots();
    let others = || bench.machine.all_cores.iter().copied().flatten().skip(1);
    for core in others() {
        must(
            psci::call(psci::AFFINITY_INFO, [core, 0, 0]) == 1,
            "a core is not off in a new life",
        )?;
    }
    if lives < RESETS {
        for core in others() {
            let started = psci::call(psci::CPU_ON, [core, start::second_entry(), lives]);
            must(started == psci::SUCCESS, "a core cannot be started")?;
        }
        psci::call(psci::SYSTEM_RESET, [0; 3]);
        return Err(Failure::Wrong("SYSTEM_RESET came back"));
    }
    fact!(bench, "{lives} resets");
    super::psci::psci(bench)
}
