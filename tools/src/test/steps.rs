//! The tests that need no machine to run in.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::build::{BareMetal, CLIPPY, FMT, GUARDS_OUT_MARKER, Product, host_cargo, kernel_needs};
use crate::cli::KernelVariant;
use crate::command::run_logged;
use crate::failure::{Failure, OrSay, Outcome};
use crate::packages::{Need, ensure};
use crate::progress::Task;
use crate::workspace::Workspace;

/// How long a run whose files are all there may take to start QEMU.
const QUICK: Duration = Duration::from_secs(3);

/// A test that this program does itself.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) sentence: &'static str,
    pub(crate) act: fn(&Workspace) -> Outcome<()>,
}

/// All of them, the quickest to fail first.
pub(crate) fn all() -> Vec<Step> {
    let step = |name, sentence, act| Step {
        name,
        sentence,
        act,
    };
    vec![
        step("format", "the code is formatted", format),
        step(
            "clippy",
            "the code for this machine has no warnings",
            clippy,
        ),
        step(
            "clippy-bare-metal",
            "the code for the bare machine has no warnings",
            clippy_bare_metal,
        ),
        step("unit", "unit and property tests pass on this machine", unit),
        step("doc", "the documentation builds without warnings", doc),
        step(
            "build",
            "images, payload, kernels and ramdisk are built, or are there already",
            build,
        ),
        step(
            "shipped-image",
            "the shipped image has no guard that can be taken out",
            shipped_image,
        ),
        step(
            "quick-start",
            "with everything built, a run starts QEMU within 3 seconds",
            quick_start,
        ),
    ]
}

/// What has to be installed for these steps, and with `runs` for cases that run QEMU. The lock has to be held.
pub(super) fn needs(workspace: &Workspace, steps: &[&Step], runs: bool) -> Outcome<Vec<Need>> {
    let has = |names: &[&str]| steps.iter().any(|step| names.contains(&step.name));
    let lints = has(&["clippy-bare-metal"]);
    let builds = runs || has(&["build", "shipped-image", "quick-start"]);
    let mut needs = Vec::new();
    if builds || lints {
        needs = BareMetal::needs(workspace)?;
        // Empty when rustup's toolchain builds: that has a clippy of its own.
        if lints && !needs.is_empty() {
            needs.push(CLIPPY.debian);
        }
    }
    for (step, subcommand) in [("format", FMT), ("clippy", CLIPPY)] {
        if has(&[step]) {
            needs.extend(subcommand.need());
        }
    }
    if builds {
        needs.extend(crate::qemu::needs());
        needs.extend(kernel_needs(workspace, &KernelVariant::ALL)?);
    }
    Ok(needs)
}

/// Cargo for this machine, on the members that are built on one.
fn cargo(workspace: &Workspace, words: &[&str]) -> Command {
    let mut command = Command::new(host_cargo());
    command
        .args(words)
        .current_dir(workspace.root())
        .env("CARGO_TARGET_DIR", workspace.cache("target"));
    command
}

/// Runs a command; its output is in a log, and shown when it fails.
fn logged(workspace: &Workspace, name: &str, command: &mut Command) -> Outcome<()> {
    let log = workspace.folder("test")?.join(format!("{name}.log"));
    let _ = fs::remove_file(&log);
    let mut task = Task::start(format!("test {name}"));
    run_logged(command, &log, &mut task).map_err(|failure| {
        let text = fs::read_to_string(&log).unwrap_or_default();
        Failure {
            sentence: format!("{}\n{}", tail(&text, 60), failure.sentence),
            ..failure
        }
    })
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn format(workspace: &Workspace) -> Outcome<()> {
    FMT.ensure(workspace)?;
    logged(
        workspace,
        "format",
        &mut cargo(workspace, &["fmt", "--all", "--check"]),
    )
}

fn clippy(workspace: &Workspace) -> Outcome<()> {
    CLIPPY.ensure(workspace)?;
    let words = ["clippy", "--all-targets", "--", "-D", "warnings"];
    logged(workspace, "clippy", &mut cargo(workspace, &words))
}

fn clippy_bare_metal(workspace: &Workspace) -> Outcome<()> {
    let _lock = workspace.lock()?;
    let bare_metal = BareMetal::choose(workspace)?;
    if bare_metal == BareMetal::Debian {
        ensure(
            workspace,
            "lint the code for the bare machine",
            &[CLIPPY.debian],
        )?;
    }
    for (name, words) in [
        (
            "clippy-image",
            &["--package", "boot", "--bin", "oche-image"][..],
        ),
        (
            "clippy-test-image",
            &[
                "--package",
                "boot",
                "--bin",
                "oche-image",
                "--features",
                "guards-out",
            ],
        ),
        (
            "clippy-payload",
            &["--package", "payload", "--bin", "payload"],
        ),
    ] {
        let mut command = bare_metal.clippy(workspace);
        command.args(words).args(["--", "-D", "warnings"]);
        logged(workspace, name, &mut command)?;
    }
    Ok(())
}

fn unit(workspace: &Workspace) -> Outcome<()> {
    let guards_out = ["--package", "dart-virt", "--features", "guards-out"];
    for (name, more) in [("unit", &[][..]), ("unit-guards-out", &guards_out)] {
        let mut command = cargo(workspace, &["test", "--no-fail-fast"]);
        logged(workspace, name, command.args(more))?;
    }
    Ok(())
}

fn doc(workspace: &Workspace) -> Outcome<()> {
    let mut command = cargo(workspace, &["doc", "--no-deps", "--document-private-items"]);
    logged(workspace, "doc", command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn build(workspace: &Workspace) -> Outcome<()> {
    let _lock = workspace.lock()?;
    crate::qemu::find(workspace)?;
    let bare_metal = BareMetal::choose(workspace)?;
    for product in [Product::Oche, Product::OcheGuardsOut, Product::Payload] {
        crate::build::build(workspace, &bare_metal, product)?;
    }
    crate::build::kernels(workspace, &KernelVariant::ALL)?;
    crate::build::initramfs(workspace)?;
    Ok(())
}

fn shipped_image(workspace: &Workspace) -> Outcome<()> {
    let _lock = workspace.lock()?;
    let bare_metal = BareMetal::choose(workspace)?;
    for (product, has_it) in [(Product::Oche, false), (Product::OcheGuardsOut, true)] {
        let built = crate::build::build(workspace, &bare_metal, product)?;
        if has_marker(&built.image)? != has_it {
            let not = if has_it { "not " } else { "" };
            return Err(Failure::new(format!(
                "the marker {GUARDS_OUT_MARKER} is {not}in {}",
                built.image.display()
            )));
        }
    }
    Ok(())
}

fn has_marker(image: &Path) -> Outcome<bool> {
    let bytes = fs::read(image).or_say(format_args!("cannot read {}", image.display()))?;
    let marker = GUARDS_OUT_MARKER.as_bytes();
    Ok(bytes.windows(marker.len()).any(|window| window == marker))
}

fn quick_start(workspace: &Workspace) -> Outcome<()> {
    let mut took = Duration::MAX;
    // The first makes sure that everything is there.
    for _ in 0..2 {
        let started = Instant::now();
        let mut command = Command::new(workspace.root().join("oche"));
        // Of the environment's cargo settings none may make the entry build for another place.
        command.args(["run", "--print-command"]);
        logged(workspace, "quick-start", &mut command)?;
        took = started.elapsed();
    }
    if took > QUICK {
        return Err(Failure::new(format!("it took {:.1} s", took.as_secs_f64())));
    }
    Ok(())
}
