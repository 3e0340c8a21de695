//! The timers of EL1 as a guest sees them (Arm ARM D12).

mod counters;
mod fires;
mod ticking;

use super::Finding;
use super::gic::stage::{self, Group};
use crate::el1::bench::{Bench, Failure};
use crate::el1::cores;

const GROUPS: &[Group] = &[
    Group {
        name: "counters",
        cores: cores::MAX,
        checks: counters::CHECKS,
    },
    Group {
        name: "fires",
        cores: cores::MAX,
        checks: fires::CHECKS,
    },
    Group {
        name: "ticking",
        cores: cores::MAX,
        checks: ticking::CHECKS,
    },
];

/// Both timers, on every core.
pub(super) fn timer(bench: &mut Bench) -> Result<Finding, Failure> {
    stage::run(bench, GROUPS)
}
