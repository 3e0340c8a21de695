//! What the checks stand on: a controller just reset, all cores at hand, ways to say what must and must not come.

use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::cores;
use crate::el1::cpu::{Deadline, nanoseconds, ticks};
use crate::el1::gic::icc;
use crate::el1::gic::line::{Line, line};
use crate::el1::gic::{self, Fault, SPURIOUS, in_time, vector};
use crate::el1::tests::Finding;
use crate::el1::timers::Timer;

/// A check.
pub(in crate::el1::tests) type Check = fn(&Stage) -> Result<(), Failure>;

/// SPIs that no device of any machine here has, 32 of them.
pub(in crate::el1::tests) const FREE: u32 = 224;

/// How long nothing must come, where nothing may.
const QUIET_MS: u64 = 2;

/// `Err` with the sentence if the condition does not hold; the words say more.
macro_rules! check {
    ($condition:expr, $sentence:expr) => {
        $crate::el1::bench::must($condition, $sentence)
    };
    ($condition:expr, $sentence:expr, $($words:tt)*) => {{
        let holds = $condition;
        if !holds {
            $crate::el1::console::say!("oche-payload: detail: {}", format_args!($($words)*));
        }
        $crate::el1::bench::must(holds, $sentence)
    }};
}
pub(in crate::el1::tests) use check;

/// The machine as a check uses it.
pub(in crate::el1::tests) struct Stage {
    /// How many cores there are.
    pub(in crate::el1::tests) cores: usize,
    /// The console's PL011 and its interrupt.
    pub(in crate::el1::tests) console: (u64, u32),
}

/// Checks of one kind.
#[derive(Clone, Copy)]
pub(in crate::el1::tests) struct Group {
    pub(in crate::el1::tests) name: &'static str,
    /// More cores are not used.
    pub(in crate::el1::tests) cores: usize,
    pub(in crate::el1::tests) checks: &'static [(&'static str, Check)],
}

/// Runs groups of checks, all of them, each after a reset.
pub(in crate::el1::tests) fn run(bench: &mut Bench, groups: &[Group]) -> Result<Finding, Failure> {
    if let Some(name) = bench.machine.argument("payload.gic") {
        let fault = Fault::named(name).ok_or(Failure::Wrong("payload.gic names no fault"))?;
        fact!(bench, "the driver has a fault: {fault:?}");
        fault.install();
    }
    gic::find(&bench.machine).map_err(Failure::Wrong)?;
    let mut stage = Stage {
        cores: 1,
        console: bench.machine.uart,
    };
    let staff = |now, wanted| cores::staff(&bench.machine, now, wanted).map_err(Failure::Wrong);
    let mut worst = Ok(Finding::Works);
    let (mut passed, mut most) = (0, 1);
    for group in groups {
        stage.cores = staff(stage.cores, group.cores)?;
        most = most.max(stage.cores);
        let start = ticks();
        for (name, check) in group.checks {
            stage.reset()?;
            match check(&stage) {
                Ok(()) => passed += 1,
                Err(why) => {
                    fact!(bench, "{}: {name}: {why}", group.name);
                    worst = Err(why);
                }
            }
        }
        fact!(
            bench,
            "{}: {} checks on {} cores in {} ms",
            group.name,
            group.checks.len(),
            stage.cores,
            nanoseconds(ticks() - start) / 1_000_000
        );
    }
    stage.reset()?;
    staff(stage.cores, 1)?;
    fact!(bench, "{passed} checks passed, on up to {most} cores");
    worst
}

impl Stage {
    /// Everything idle, on every core.
    fn reset(&self) -> Result<(), Failure> {
        reset_here(0);
        gic::reset_distributor();
        for core in 1..self.cores {
            self.on(core, reset_here, 0)?;
        }
        Ok(())
    }

    /// Has another core do something.
    pub(in crate::el1::tests) fn on(
        &self,
        core: usize,
        job: cores::Job,
        argument: u64,
    ) -> Result<u64, Failure> {
        cores::run(core, job, argument).map_err(Failure::Wrong)
    }

    /// Waits for what another core was given.
    pub(in crate::el1::tests) fn wait(&self, core: usize) -> Result<u64, Failure> {
        cores::wait(core).map_err(Failure::Wrong)
    }

    /// The second core, if there is one; without it there is nothing to check.
    pub(in crate::el1::tests) fn second(&self) -> Option<usize> {
        (self.cores > 1).then_some(1)
    }
}

fn reset_here(_: u64) -> u64 {
    for timer in Timer::ALL {
        timer.silence();
    }
    vector::record(cores::this()).disarm();
    gic::reset_core();
    0
}

/// A free SPI, enabled, an edge, of this priority, for the first core.
pub(in crate::el1::tests) fn edge(number: u32, priority: u8) -> Line {
    let line = line(FREE + number);
    line.set_edge(true);
    line.set_priority(priority);
    line.enable();
    line
}

/// An IRQ is signalled in time.
pub(in crate::el1::tests) fn arrives() -> Result<(), Failure> {
    must(
        in_time(icc::is_signalled),
        "an interrupt that must be signalled is not",
    )
}

/// Waits for an IRQ, and acknowledges it: it must be this one.
pub(in crate::el1::tests) fn take(intid: u32) -> Result<(), Failure> {
    let signalled = in_time(icc::is_signalled);
    check!(
        signalled,
        "an interrupt that must be signalled is not",
        "INTID {intid} does not come"
    )?;
    let taken = icc::acknowledge();
    check!(
        taken == intid,
        "another interrupt is acknowledged than must be",
        "INTID {taken} is acknowledged, not {intid}"
    )
}

/// Waits for an IRQ, which must be this one, and handles it.
pub(in crate::el1::tests) fn handle(intid: u32) -> Result<(), Failure> {
    take(intid)?;
    icc::end(intid);
    Ok(())
}

/// Nothing is signalled, for a while, and nothing can be acknowledged.
pub(in crate::el1::tests) fn quiet() -> Result<(), Failure> {
    let deadline = Deadline::after_ms(QUIET_MS);
    while !deadline.passed() {
        let signalled = icc::is_signalled();
        check!(
            !signalled,
            "an interrupt is signalled that must not be",
            "ICC_HPPIR1_EL1 is {}",
            icc::most_urgent()
        )?;
    }
    let intid = icc::acknowledge();
    check!(
        intid == SPURIOUS,
        "an interrupt is acknowledged that must not be",
        "INTID {intid}"
    )
}

/// What is signalled goes away in time, and nothing comes after it.
pub(in crate::el1::tests) fn goes() -> Result<(), Failure> {
    must(
        in_time(|| !icc::is_signalled()),
        "an interrupt stays signalled that must not",
    )?;
    quiet()
}

/// A timer was withdrawn that is signalled: that goes away, as on a GIC of hardware, or comes once more and is over. No
/// hypervisor learns that a guest has moved its timer, so a virtual GIC may still have it to give.
pub(in crate::el1::tests) fn goes_or_comes_once(intid: u32) -> Result<(), Failure> {
    let deadline = Deadline::after_ms(50);
    while icc::is_signalled() {
        if deadline.passed() {
            handle(intid)?;
            break;
        }
    }
    quiet()
}

/// A job: waits for an IRQ and handles it. Returns its INTID, or 1023 when none comes.
pub(in crate::el1::tests) fn handle_one(_: u64) -> u64 {
    if !in_time(icc::is_signalled) {
        return SPURIOUS.into();
    }
    let intid = icc::acknowledge();
    icc::end(intid);
    intid.into()
}

/// A job: is nothing signalled for a while? 1 if so.
pub(in crate::el1::tests) fn is_quiet(_: u64) -> u64 {
    quiet().is_ok().into()
}
