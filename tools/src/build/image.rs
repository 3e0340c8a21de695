//! The programs for the bare machine: Oche's image, its test image, the test payload.

use std::fs;
use std::path::PathBuf;

use super::flatten::flatten;
use super::toolchain::BareMetal;
use crate::command::run_logged;
use crate::failure::{Failure, OrSay, Outcome};
use crate::progress::Task;
use crate::workspace::{Workspace, write_whole};

/// A string that is in the test image and in no other: `boot` has it behind a cargo feature.
pub(crate) const GUARDS_OUT_MARKER: &str = "OCHE-TEST-IMAGE-GUARDS-OUT";

/// A program for the bare machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    /// What is shipped.
    Oche,
    /// Oche with guards that can be taken out, to show that tests see it.
    OcheGuardsOut,
    /// The bare-metal guest that attacks.
    Payload,
}

impl Product {
    fn package(self) -> &'static str {
        match self {
            Product::Oche | Product::OcheGuardsOut => "boot",
            Product::Payload => "payload",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Product::Oche | Product::OcheGuardsOut => "oche-image",
            Product::Payload => "payload",
        }
    }

    fn features(self) -> &'static [&'static str] {
        match self {
            Product::OcheGuardsOut => &["guards-out"],
            Product::Oche | Product::Payload => &[],
        }
    }

    /// The name of its files.
    fn name(self) -> &'static str {
        match self {
            Product::Oche => "oche",
            Product::OcheGuardsOut => "oche-guards-out",
            Product::Payload => "payload",
        }
    }
}

/// The files of a program for the bare machine.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// What a loader loads.
    pub(crate) image: PathBuf,
    /// The same with symbols.
    pub(crate) elf: PathBuf,
}

/// Builds a program. Cargo decides whether there is anything to do. The lock has to be held.
pub(crate) fn build(
    workspace: &Workspace,
    bare_metal: &BareMetal,
    product: Product,
) -> Outcome<Built> {
    let log = workspace
        .folder("log")?
        .join(format!("{}.log", product.name()));
    let _ = fs::remove_file(&log);
    let mut task = Task::start(format!("building {}", product.name()));
    let mut cargo = bare_metal.cargo(workspace, "build");
    cargo.args(["--package", product.package(), "--bin", product.program()]);
    for feature in product.features() {
        cargo.args(["--features", feature]);
    }
    run_logged(&mut cargo, &log, &mut task).inspect_err(|_| {
        // The compiler's own words are what helps.
        if let Ok(text) = fs::read_to_string(&log) {
            eprint!("{text}");
        }
    })?;
    task.done();

    let linked = bare_metal.output(workspace).join(product.program());
    let bytes = fs::read(&linked).or_say(format_args!("cannot read {}", linked.display()))?;
    let flat = flatten(&bytes)
        .map_err(|problem| Failure::new(format!("cannot use {}: {problem}", linked.display())))?;
    // Under names of their own: the next product may be linked to the same place.
    let folder = workspace.folder("out")?;
    let elf = folder.join(format!("{}.elf", product.name()));
    let image = folder.join(format!("{}.Image", product.name()));
    write_whole(&elf, &bytes)?;
    write_whole(&image, &flat)?;
    Ok(Built { image, elf })
}
