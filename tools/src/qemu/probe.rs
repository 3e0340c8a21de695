//! Whether the QEMU on this machine can do what is needed of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::command::{output_of, which};
use crate::failure::{Failure, OrSay, Outcome};
use crate::packages::{Need, ensure, program};
use crate::workspace::{Workspace, key, write_whole};

/// The oldest QEMU that is known to work: Debian 12's.
const OLDEST: (u32, u32) = (7, 2);
const NAME: &str = "qemu-system-aarch64";

/// CPUs without a 16K granule, without EL2's host mode (VHE), or without 64 bits at all: Oche
/// would hang on them without a word (QEMU's `ID_AA64MMFR0_EL1.TGran16`, `ID_AA64MMFR1_EL1.VH`).
const UNFIT: &[&str] = &[
    "cortex-a35",
    "cortex-a53",
    "cortex-a57",
    "cortex-a72",
    "a64fx",
];

/// A QEMU that will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Qemu {
    pub(crate) program: PathBuf,
    version: String,
    cpus: Vec<String>,
}

/// What has to be installed for it.
pub(crate) fn needs() -> Vec<Need> {
    match std::env::var_os("OCHE_QEMU") {
        Some(_) => Vec::new(),
        None => vec![self::program(NAME, "qemu-system-arm")],
    }
}

/// Finds QEMU (`OCHE_QEMU` names another than the one on the search path), installs it where
/// that can be done, and checks it. What it said is kept until the program changes.
pub(crate) fn find(workspace: &Workspace) -> Outcome<Qemu> {
    let program = match std::env::var("OCHE_QEMU") {
        Ok(name) => which(&name)
            .ok_or_else(|| Failure::new(format!("OCHE_QEMU names `{name}`, which is not there")))?,
        Err(_) => {
            ensure(workspace, "emulate the machine", &needs())?;
            which(NAME).ok_or_else(|| Failure::new(format!("{NAME} is not there")))?
        }
    };
    let metadata =
        fs::metadata(&program).or_say(format_args!("cannot look at {}", program.display()))?;
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |time| time.as_nanos());
    let key = key(&[
        b"2",
        program.as_os_str().as_encoded_bytes(),
        &modified.to_le_bytes(),
        &metadata.len().to_le_bytes(),
    ]);
    let known = workspace.folder("qemu")?.join(format!("{key}.json"));
    let read = fs::read(&known).ok();
    if let Some(qemu) = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(qemu);
    }
    let qemu = ask(&program)?;
    let text = serde_json::to_vec(&qemu).or_say("cannot note QEMU's version")?;
    write_whole(&known, &text)?;
    Ok(qemu)
}

/// Refuses a CPU that QEMU does not have or that Oche cannot run on.
pub(crate) fn check_cpu(qemu: &Qemu, model: &str) -> Outcome<()> {
    // Features may follow the name.
    let name = model.split(',').next().unwrap_or(model);
    if UNFIT.contains(&name) {
        return Err(Failure::new(format!(
            "the CPU {name} lacks the 16K granule or VHE at EL2, which Oche needs: \
             use --cpu neoverse-n1, cortex-a76 or max"
        )));
    }
    if !qemu.cpus.iter().any(|cpu| cpu == name) {
        return Err(Failure::new(format!(
            "QEMU {} has no CPU `{name}`: see {} -M virt -cpu help",
            qemu.version,
            qemu.program.display()
        )));
    }
    Ok(())
}

fn ask(program: &Path) -> Outcome<Qemu> {
    let name = program.display();
    let says = |arguments: &[&str]| {
        output_of(program, arguments).ok_or_else(|| {
            Failure::new(format!("{name} {} fails: is it QEMU?", arguments.join(" ")))
        })
    };
    let version = version(&says(&["--version"])?)
        .ok_or_else(|| Failure::new(format!("{name} does not say its version: is it QEMU?")))?;
    let (major, minor, words) = version;
    if (major, minor) < OLDEST {
        return Err(Failure::new(format!(
            "{name} is version {words}: Oche needs {}.{} or later (Debian: qemu-system-arm)",
            OLDEST.0, OLDEST.1
        )));
    }
    let machine = says(&["-M", "virt,help"])?;
    for option in ["virtualization=", "gic-version=", "iommu="] {
        if !machine
            .lines()
            .any(|line| line.trim_start().starts_with(option))
        {
            return Err(Failure::new(format!(
                "{name} ({words}) has a machine `virt` without `{option}`: \
                 take another build (Debian: qemu-system-arm) and name it in OCHE_QEMU"
            )));
        }
    }
    let devices = says(&["-device", "help"])?;
    for device in ["nvme", "pci-serial"] {
        if !devices.contains(&format!("\"{device}\"")) {
            return Err(Failure::new(format!(
                "{name} ({words}) has no device `{device}`: \
                 take another build (Debian: qemu-system-arm) and name it in OCHE_QEMU"
            )));
        }
    }
    Ok(Qemu {
        program: program.to_path_buf(),
        version: words,
        cpus: cpus(&says(&["-M", "virt", "-cpu", "help"])?),
    })
}

fn version(text: &str) -> Option<(u32, u32, String)> {
    let words = text.strip_prefix("QEMU emulator version ")?;
    let words = words.split_whitespace().next()?;
    let mut numbers = words.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor, words.to_string()))
}

fn cpus(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read() {
        let text = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright";
        assert_eq!(version(text), Some((7, 2, "7.2.22".into())));
        assert_eq!(version("GNU bash, version 5"), None);
    }

    #[test]
    fn a_cpu_has_to_be_known_and_fit() {
        let qemu = Qemu {
            program: "qemu".into(),
            version: "7.2".into(),
            cpus: cpus("Available CPUs:\n  cortex-a72\n  max\n  neoverse-n1\n"),
        };
        assert_eq!(check_cpu(&qemu, "max"), Ok(()));
        assert_eq!(check_cpu(&qemu, "max,pauth=off"), Ok(()));
        assert!(
            check_cpu(&qemu, "cortex-a72")
                .unwrap_err()
                .sentence
                .contains("16K")
        );
        assert!(
            check_cpu(&qemu, "neoverse-n9")
                .unwrap_err()
                .sentence
                .contains("no CPU")
        );
    }
}
