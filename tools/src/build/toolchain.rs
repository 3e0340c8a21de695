//! Which Rust toolchain builds for the bare machine: rustup's where its target can be had,
//! otherwise Debian's, which comes with the sources of `core` and `alloc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{output_of, run_logged, which};
use crate::failure::{Failure, Outcome};
use crate::packages::{Need, apt_line, ensure, file, program};
use crate::progress::Task;
use crate::workspace::{Workspace, write_whole};

/// The target: soft float, so that Oche never touches a guest's floating-point registers.
const TARGET: &str = "aarch64-unknown-none-softfloat";

/// What Debian's way needs. They are of one version by construction.
const DEBIAN: &[Need] = &[
    program("/usr/bin/cargo", "cargo-web"),
    program("/usr/bin/rustc", "rustc-web"),
    file(
        "/usr/lib/rustlib/src/rust/library/core/Cargo.toml",
        "rust-web-src",
    ),
    program("ld.lld", "lld"),
];

/// The oldest Rust that will do (`rust-version` in Cargo.toml).
const OLDEST: (u32, u32) = (1, 88);

/// A toolchain for the bare machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BareMetal {
    /// This cargo has the target.
    Rustup(PathBuf),
    /// `/usr/bin/cargo` builds `core` and `alloc` itself.
    Debian,
}

/// The cargo for this machine's own programs: that which built this one.
pub(crate) fn host_cargo() -> PathBuf {
    std::env::var_os("OCHE_CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

impl BareMetal {
    /// Chooses, and installs what the choice needs. The lock has to be held.
    pub(crate) fn choose(workspace: &Workspace) -> Outcome<Self> {
        let choice = Self::prefer(workspace)?;
        if choice == BareMetal::Debian {
            ensure(workspace, "build for the bare machine", DEBIAN)?;
            check_debian()?;
        }
        Ok(choice)
    }

    /// What has to be installed for what would be chosen.
    pub(crate) fn needs(workspace: &Workspace) -> Outcome<Vec<Need>> {
        Ok(match Self::prefer(workspace)? {
            BareMetal::Rustup(_) => Vec::new(),
            BareMetal::Debian => DEBIAN.to_vec(),
        })
    }

    /// The choice alone. `OCHE_TOOLCHAIN` set to `rustup` or `debian` overrides it.
    fn prefer(workspace: &Workspace) -> Outcome<Self> {
        let wish = std::env::var("OCHE_TOOLCHAIN").unwrap_or_default();
        let rustup = match wish.as_str() {
            "debian" => None,
            "rustup" | "" => rustup(workspace)?,
            other => {
                return Err(Failure::new(format!(
                    "OCHE_TOOLCHAIN is `{other}`: it can be `rustup` or `debian`"
                )));
            }
        };
        if let Some(cargo) = rustup {
            return Ok(BareMetal::Rustup(cargo));
        }
        if wish == "rustup" {
            return Err(Failure::new(format!(
                "rustup has no target {TARGET} here (try: rustup target add {TARGET})"
            )));
        }
        Ok(BareMetal::Debian)
    }

    /// A cargo command for the bare machine, with everything that every such command needs:
    /// this is the one place for it.
    pub(crate) fn cargo(&self, workspace: &Workspace, subcommand: &str) -> Command {
        let command = match self {
            BareMetal::Rustup(cargo) => Command::new(cargo),
            BareMetal::Debian => Command::new("/usr/bin/cargo"),
        };
        self.complete(workspace, command, subcommand)
    }

    /// The same for clippy. Debian's is named outright: a cargo that is asked for a subcommand
    /// looks among rustup's programs first.
    pub(crate) fn clippy(&self, workspace: &Workspace) -> Command {
        let mut command = match self {
            BareMetal::Rustup(cargo) => Command::new(cargo),
            BareMetal::Debian => Command::new("/usr/bin/cargo-clippy"),
        };
        if *self == BareMetal::Debian {
            command.env("CARGO", "/usr/bin/cargo");
        }
        self.complete(workspace, command, "clippy")
    }

    fn complete(&self, workspace: &Workspace, mut command: Command, subcommand: &str) -> Command {
        command
            .arg(subcommand)
            .args(["--release", "--target", TARGET])
            .arg("--manifest-path")
            .arg(workspace.root().join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", workspace.cache("target"))
            // The image moves itself, so its code has to run at any address.
            .env(
                "RUSTFLAGS",
                "-Crelocation-model=pic -Cforce-frame-pointers=yes",
            );
        if *self == BareMetal::Debian {
            command
                .args(["-Zbuild-std=core,alloc,compiler_builtins"])
                .args(["-Zbuild-std-features=compiler-builtins-mem"])
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env(
                    "CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER",
                    "ld.lld",
                )
                // A second target folder: the two toolchains would rebuild each other's work.
                .env("CARGO_TARGET_DIR", workspace.cache("target-debian"))
                .env_remove("RUSTUP_TOOLCHAIN");
        }
        command
    }

    /// Where [`Self::cargo`] leaves programs.
    pub(crate) fn output(&self, workspace: &Workspace) -> PathBuf {
        let folder = match self {
            BareMetal::Rustup(_) => "target",
            BareMetal::Debian => "target-debian",
        };
        workspace.cache(folder).join(TARGET).join("release")
    }
}

/// Debian has two cargos, and the plain one is too old.
fn check_debian() -> Outcome<()> {
    let says = output_of("/usr/bin/cargo", &["--version"]).unwrap_or_default();
    if is_recent(&says) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "/usr/bin/cargo says `{says}`, and Rust 1.88 or later is needed: take rustup \
         (https://rustup.rs) with its target {TARGET}, or as root run: {}",
        apt_line("cargo-web rustc-web")
    )))
}

/// Whether `cargo --version` said 1.88 or later.
fn is_recent(says: &str) -> bool {
    let number = says.strip_prefix("cargo ").unwrap_or_default();
    let mut parts = number.split('.').map(|part| part.parse::<u32>());
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return false;
    };
    (major, minor) >= OLDEST
}

/// A subcommand of the host's cargo that may not be installed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subcommand {
    name: &'static str,
    /// Rustup's name for it.
    component: &'static str,
    /// Debian's program and package. The bare machine's code wants it too where rustup has no target.
    pub(crate) debian: Need,
}

/// The formatter.
pub(crate) const FMT: Subcommand = Subcommand {
    name: "fmt",
    component: "rustfmt",
    debian: program("/usr/bin/cargo-fmt", "rustfmt-web"),
};

/// The linter.
pub(crate) const CLIPPY: Subcommand = Subcommand {
    name: "clippy",
    component: "clippy",
    debian: program("/usr/bin/cargo-clippy", "rust-web-clippy"),
};

impl Subcommand {
    /// What has to be installed for it, where the host's cargo is Debian's.
    pub(crate) fn need(self) -> Option<Need> {
        (host_cargo() == Path::new("/usr/bin/cargo")).then_some(self.debian)
    }

    /// Sees to it that it is there.
    pub(crate) fn ensure(self, workspace: &Workspace) -> Outcome<()> {
        if let Some(need) = self.need() {
            return ensure(workspace, "look at the code", &[need]);
        }
        let cargo = host_cargo();
        // Rustup has a program of that name whether or not the component is installed.
        if output_of(&cargo, &[self.name, "--version"]).is_some() {
            return Ok(());
        }
        let (cargo, name, component) = (cargo.display(), self.name, self.component);
        Err(Failure::new(match beside(&host_cargo(), "rustup") {
            Some(_) => format!("{cargo} has no `{name}`; run: rustup component add {component}"),
            None => format!("{cargo} has no `{name}`: install what brings it ({component})"),
        }))
    }
}

/// Rustup's cargo, if it has the target or can get it. The answer is kept, so that a machine
/// where the target cannot be had is not asked again at every run.
fn rustup(workspace: &Workspace) -> Outcome<Option<PathBuf>> {
    let cargo = host_cargo();
    let Some(rustup) = beside(&cargo, "rustup") else {
        return Ok(None);
    };
    let version = beside(&cargo, "rustc")
        .and_then(|rustc| output_of(rustc, &["--version"]))
        .unwrap_or_default();
    let verdict = workspace.cache("toolchain");
    let [has, lacks] = ["has", "lacks"].map(|word| format!("{version} {word} {TARGET}\n"));
    match fs::read_to_string(&verdict) {
        Ok(text) if text == has => return Ok(Some(cargo)),
        Ok(text) if text == lacks => return Ok(None),
        _ => {}
    }
    let installed = output_of(&rustup, &["target", "list", "--installed"]).unwrap_or_default();
    let there = installed.lines().any(|line| line == TARGET) || add_target(workspace, &rustup)?;
    write_whole(&verdict, if there { has } else { lacks }.as_bytes())?;
    Ok(there.then_some(cargo))
}

/// Asks rustup for the target, for at most a minute: where no server can be reached it may hang.
fn add_target(workspace: &Workspace, rustup: &Path) -> Outcome<bool> {
    let log = workspace.folder("log")?.join("rustup.log");
    let mut task = Task::start(format!("rustup target add {TARGET}"));
    let mut command = Command::new("timeout");
    command
        .arg("60")
        .arg(rustup)
        .args(["target", "add", TARGET]);
    let result = run_logged(&mut command, &log, &mut task);
    task.done();
    match result {
        Ok(()) => Ok(true),
        Err(failure) if crate::command::interrupted() => Err(failure),
        Err(_) => {
            eprintln!("oche: rustup cannot get {TARGET}: building with Debian's toolchain");
            Ok(false)
        }
    }
}

/// A program in the folder of cargo, or on the search path if cargo was named without one.
fn beside(cargo: &Path, name: &str) -> Option<PathBuf> {
    match cargo.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            Some(folder.join(name)).filter(|path| path.is_file())
        }
        _ => which(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_cargo_is_recognised() {
        assert!(is_recent("cargo 1.88.0 (873a06493 2025-05-10)"));
        assert!(is_recent("cargo 2.0.0"));
        assert!(!is_recent("cargo 1.65.0"));
        assert!(!is_recent(""));
    }
}
