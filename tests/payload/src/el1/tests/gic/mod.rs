//! The interrupt controller as a guest sees it (Arm IHI 0069), in the manner of kvm-unit-tests.
//!
//! Every check begins with a controller that was just reset, and says one thing about it. Where the architecture
//! leaves a choice, each is right.

mod acknowledge;
mod group;
mod identification;
mod level;
mod many;
mod outside;
mod preemption;
mod priority;
mod registers;
mod routing;
mod sgi;
pub(super) mod stage;
mod state;
mod storm;
mod to_and_fro;
mod wait;

use self::stage::Group;
use super::{Finding, Test};
use crate::el1::bench::{Bench, Failure};
use crate::el1::cores;

macro_rules! parts {
    ($($name:literal, $module:ident, $cores:expr;)*) => {
        const GROUPS: &[Group] = &[
            $(Group { name: $name, cores: $cores, checks: $module::CHECKS },)*
        ];

        /// The parts, which also run by themselves.
        pub(super) const PARTS: &[(&str, Test)] = &[
            $((concat!("gic-", $name), |bench| {
                stage::run(bench, &[Group { name: $name, cores: $cores, checks: $module::CHECKS }])
            }),)*
        ];
    };
}

parts! {
    "identification", identification, cores::MAX;
    "registers", registers, cores::MAX;
    "sgi", sgi, cores::MAX;
    "routing", routing, cores::MAX;
    "acknowledge", acknowledge, 1;
    "priority", priority, 1;
    "preemption", preemption, 1;
    "state", state, 1;
    "outside", outside, 2;
    "level", level, 1;
    "many", many, 2;
    "group", group, 1;
    "wait", wait, 2;
    "to-and-fro", to_and_fro, 2;
    "storm", storm, 2;
}

/// All parts.
pub(super) fn all(bench: &mut Bench) -> Result<Finding, Failure> {
    stage::run(bench, GROUPS)
}
