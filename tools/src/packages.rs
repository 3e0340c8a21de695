//! What has to be installed on this machine, and installing it where that can be done.

use std::path::Path;
use std::process::Command;

use crate::command::{output_of, run_logged, which};
use crate::failure::{Failure, Outcome};
use crate::progress::Task;
use crate::workspace::Workspace;

/// How to see that something is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Probe {
    /// A program on the search path.
    Program(&'static str),
    /// A file.
    File(&'static str),
}

impl Probe {
    fn is_there(self) -> bool {
        match self {
            Probe::Program(name) => which(name).is_some(),
            Probe::File(path) => Path::new(path).exists(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Probe::Program(name) | Probe::File(name) => name,
        }
    }
}

/// Something that is needed, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) probe: Probe,
    pub(crate) package: &'static str,
}

/// A program of a package.
pub(crate) const fn program(name: &'static str, package: &'static str) -> Need {
    Need {
        probe: Probe::Program(name),
        package,
    }
}

/// A file of a package.
pub(crate) const fn file(path: &'static str, package: &'static str) -> Need {
    Need {
        probe: Probe::File(path),
        package,
    }
}

/// Whether packages can be had with `apt-get` here.
pub(crate) fn has_apt() -> bool {
    which("apt-get").is_some()
}

/// What a person runs as root to install packages.
pub(crate) fn apt_line(packages: &str) -> String {
    format!("apt-get update && apt-get install --no-install-recommends --yes {packages}")
}

/// Sees to it that everything in `needs` is there, for `purpose` (the end of "needed to ...").
pub(crate) fn ensure(workspace: &Workspace, purpose: &str, needs: &[Need]) -> Outcome<()> {
    let missing = |needs: &[Need]| -> Vec<Need> {
        needs
            .iter()
            .copied()
            .filter(|need| !need.probe.is_there())
            .collect()
    };
    let lacking = missing(needs);
    if lacking.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = lacking.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let list = packages.join(" ");
    if !has_apt() {
        let names: Vec<_> = lacking.iter().map(|need| need.probe.name()).collect();
        return Err(Failure::new(format!(
            "not found: {}, needed to {purpose}; install what brings them (on Debian: {list})",
            names.join(", ")
        )));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(format!(
            "packages are needed to {purpose}; as root, run: {}",
            apt_line(&list)
        )));
    }
    eprintln!("oche: installing {list} (needed to {purpose})");
    let task = Task::start(format!("installing {list}"));
    install(workspace, &packages, task)?;
    let still: Vec<_> = missing(needs)
        .iter()
        .map(|need| need.probe.name())
        .collect();
    if still.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{list} installed, but still not found: {}",
        still.join(", ")
    )))
}

fn install(workspace: &Workspace, packages: &[&str], mut task: Task) -> Outcome<()> {
    let log = workspace.folder("log")?.join("apt.log");
    refresh(workspace, &mut task)?;
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages);
    let result = run_logged(&mut command, &log, &mut task).map_err(|failure| Failure {
        sentence: format!(
            "could not install {} (offline, or not in this machine's package sources?): {}",
            packages.join(" "),
            failure.sentence
        ),
        ..failure
    });
    task.done();
    result
}

/// Brings the package lists up to date, at most once in the life of this process.
fn refresh(workspace: &Workspace, task: &mut Task) -> Outcome<()> {
    use std::sync::atomic::{AtomicBool, Ordering};
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let log = workspace.folder("log")?.join("apt.log");
    // One source of several that cannot be reached is no reason to stop: what is needed may be
    // in another. If it is not, the installation says so.
    match run_logged(Command::new("apt-get").arg("update"), &log, task) {
        Err(failure) if crate::command::interrupted() => Err(failure),
        _ => Ok(()),
    }
}

/// Whether a package of that name can be installed. Looks at the package lists, which are
/// brought up to date first where they are empty and that is possible.
pub(crate) fn is_known(workspace: &Workspace, package: &str) -> bool {
    let known = || {
        output_of("apt-cache", &["policy", package])
            .is_some_and(|text| text.contains("Candidate:") && !text.contains("Candidate: (none)"))
    };
    if known() {
        return true;
    }
    if rustix::process::geteuid().is_root() {
        let mut task = Task::start("updating the package lists");
        let refreshed = refresh(workspace, &mut task);
        task.done();
        return refreshed.is_ok() && known();
    }
    false
}
