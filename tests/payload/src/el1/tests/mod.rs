//! The tests, and what their findings mean.

mod access;
mod deny;
mod dma;
mod features;
mod flushes;
mod forms;
mod gic;
mod idle;
mod leaves;
mod lpi;
mod psci;
mod restart;
mod tables;
mod timer;
mod uart;
mod v2m;

use super::bench::{Bench, Failure};
use super::console::say;

pub(super) use self::psci::second_main;

/// What a test found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// What must work works.
    Works,
    /// An attack reached nothing.
    Contained,
    /// An attack reached what it aimed at.
    Reached,
}

type Test = fn(&mut Bench) -> Result<Finding, Failure>;

const TESTS: &[(&str, Test)] = &[
    ("default-deny", deny::default_deny),
    ("drive", dma::drive),
    ("dma", dma::dma),
    ("foreign-leaf", leaves::foreign),
    ("image-leaf", leaves::image),
    ("host-table-leaf", leaves::host_table),
    ("mmio-leaf", leaves::mmio),
    ("high-address-leaf", leaves::high_address),
    ("table-outside-ram", tables::outside_ram),
    ("root-outside-ram", tables::root_outside_ram),
    ("self-table", tables::to_itself),
    ("table-flood", tables::too_many),
    ("lpi", lpi::lpi),
    ("psci", psci::psci),
    ("features", features::features),
    ("sysregs", access::system_registers),
    ("load-store", forms::loads_and_stores),
    ("odd-access", access::odd_accesses),
    ("config-space", access::config_space),
    ("many-flushes", flushes::many),
    ("gic", gic::all),
    ("timer", timer::timer),
    ("v2m", v2m::v2m),
    ("uart", uart::transmitter),
    ("uart-registers", uart::registers),
    ("uart-loop", uart::looped_back),
    ("forge", uart::forge),
];

/// What only runs by name, because it does not come back, or not before something was typed.
const ENDLESS: &[(&str, Test)] = &[
    ("idle", idle::for_ever),
    ("echo", uart::echo),
    ("restart", restart::with_cores_on_their_way),
];

/// Runs the tests that the command line names, in its order. `all` is every one that ends.
pub(super) fn run(bench: &mut Bench) -> bool {
    let wanted = bench.machine.argument("payload.test").unwrap_or("all");
    let expected = match bench.machine.argument("payload.expect") {
        Some("reached") => Finding::Reached,
        _ => Finding::Contained,
    };
    let mut passed = true;
    for name in wanted.split(',') {
        let mut found = false;
        let endless = ENDLESS.iter().filter(|(candidate, _)| *candidate == name);
        let part = gic::PARTS
            .iter()
            .filter(|(candidate, _)| *candidate == name);
        for (candidate, test) in TESTS.iter().chain(endless).chain(part) {
            if *candidate == name || name == "all" {
                found = true;
                passed &= run_one(bench, candidate, *test, expected);
            }
        }
        if !found {
            say!("oche-payload: {name}: failed: there is no such test");
            passed = false;
        }
    }
    passed
}

fn run_one(bench: &mut Bench, name: &'static str, test: Test, expected: Finding) -> bool {
    bench.name = name;
    match test(bench) {
        Ok(Finding::Works) => {
            say!("oche-payload: {name}: works");
            true
        }
        Ok(found) => {
            let word = if found == Finding::Reached {
                "reached"
            } else {
                "contained"
            };
            let verdict = if found == expected {
                "as expected"
            } else {
                "not expected"
            };
            say!("oche-payload: {name}: {word}, {verdict}");
            found == expected
        }
        Err(why) => {
            say!("oche-payload: {name}: failed: {why}");
            false
        }
    }
}
