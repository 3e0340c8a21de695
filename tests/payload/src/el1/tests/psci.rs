//! PSCI (Arm DEN 0022): a second core comes, works and goes.

use core::sync::atomic::{AtomicU64, Ordering};

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::cpu::{self, Deadline, read_register};
use crate::el1::exceptions::expecting;
use crate::el1::{mmu, psci, start};

/// What the second core was given, once it runs.
static ARRIVED: AtomicU64 = AtomicU64::new(0);
/// Its affinity.
static AFFINITY: AtomicU64 = AtomicU64::new(0);
/// What it waits for before it goes.
static MAY_GO: AtomicU64 = AtomicU64::new(0);

/// Where the second core comes to, with what `CPU_ON` was given.
pub(in crate::el1) extern "C" fn second_main(context: u64) -> ! {
    mmu::enable();
    AFFINITY.store(read_register!("mpidr_el1"), Ordering::Relaxed);
    ARRIVED.store(context, Ordering::Release);
    while MAY_GO.load(Ordering::Acquire) != context {
        core::hint::spin_loop();
    }
    psci::call(psci::CPU_OFF, [0; 3]);
    say!("oche-payload: psci: CPU_OFF came back");
    loop {
        core::hint::spin_loop();
    }
}

/// All of it.
pub(super) fn psci(bench: &mut Bench) -> Result<Finding, Failure> {
    let version = psci::call(psci::VERSION, [0; 3]);
    fact!(bench, "version {}.{}", version >> 16, version & 0xffff);
    must(version >= 1 << 16, "PSCI is older than 1.0")?;
    let (by_smc, fault) = expecting(|| psci::call_smc(psci::VERSION, [0; 3]));
    must(
        fault.is_none() && by_smc == version,
        "SMC answers differently from HVC",
    )?;
    let needed = [
        psci::CPU_ON,
        psci::CPU_OFF,
        psci::AFFINITY_INFO,
        psci::SYSTEM_OFF,
        psci::SYSTEM_RESET,
    ];
    for function in needed {
        let features = psci::call(psci::FEATURES, [u64::from(function), 0, 0]);
        must(features >= 0, "a function that must be there is not")?;
    }
    for unknown in [0x8400_00ff, 0xc600_1234, 0x0000_0000, 0xffff_ffff] {
        must(
            psci::call(unknown, [0; 3]) == psci::NOT_SUPPORTED,
            "an unknown call is supported",
        )?;
    }
    let unknown = psci::call(psci::FEATURES, [0x8400_00ff, 0, 0]);
    must(
        unknown == psci::NOT_SUPPORTED,
        "an unknown feature is there",
    )?;
    let [Some(first), second] = bench.machine.cores else {
        return Err(Failure::Wrong("the device tree names no core"));
    };
    let nobody = psci::call(psci::CPU_ON, [first ^ 0x7f, start::second_entry(), 0]);
    must(
        nobody == psci::INVALID_PARAMETERS,
        "a core that is not there can be started",
    )?;
    must(
        psci::call(psci::AFFINITY_INFO, [first, 0, 0]) == 0,
        "this core is not on",
    )?;
    let Some(second) = second else {
        fact!(bench, "there is no second core");
        return Ok(Finding::Works);
    };
    // Twice, because coming back is another path than coming.
    for context in [0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321] {
        second_core(second, context)?;
    }
    fact!(bench, "a second core came and went, twice");
    Ok(Finding::Works)
}

fn second_core(core: u64, context: u64) -> Result<(), Failure> {
    const OFF: i32 = 1;
    let info = || psci::call(psci::AFFINITY_INFO, [core, 0, 0]);
    let start = || psci::call(psci::CPU_ON, [core, start::second_entry(), context]);
    must(info() == OFF, "the second core is not off")?;
    must(
        start() == psci::SUCCESS,
        "the second core cannot be started",
    )?;
    wait(
        || ARRIVED.load(Ordering::Acquire) == context,
        "the second core does not arrive",
    )?;
    let affinity = AFFINITY.load(Ordering::Relaxed) & cpu::AFFINITY;
    must(affinity == core, "the second core has another affinity")?;
    must(info() == 0, "the second core is not on")?;
    must(
        start() == psci::ALREADY_ON,
        "a core that is on can be started",
    )?;
    MAY_GO.store(context, Ordering::Release);
    wait(|| info() == OFF, "the second core does not go")
}

fn wait(ready: impl Fn() -> bool, otherwise: &'static str) -> Result<(), Failure> {
    let deadline = Deadline::after_ms(3000);
    while !ready() {
        must(!deadline.passed(), otherwise)?;
    }
    Ok(())
}
