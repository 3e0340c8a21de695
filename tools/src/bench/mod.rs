//! `oche bench`: measurements. What they mean is in `docs/measuring.md`.

mod counts;
mod irq;
mod load;
mod options;
mod plugin;
mod profile;

use crate::failure::{Outcome, Status};
use crate::workspace::Workspace;

pub(crate) use options::Bench;
pub(crate) use plugin::{plugin, words};

/// `oche bench`.
pub(crate) fn bench(workspace: &Workspace, what: &Bench) -> Outcome<Status> {
    match what {
        Bench::Irq(options) => irq::irq(workspace, options),
    }
}
