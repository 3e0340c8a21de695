//! One run of the load that is measured, by calling this program again as a user would.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::counts::Counts;
use super::options::IrqOptions;
use crate::command::{interrupted, interruption};
use crate::failure::{Failure, OrSay, Outcome};
use crate::progress::Task;
use crate::workspace::{Scratch, Workspace};

/// A run that went well.
pub(super) struct Loaded {
    /// Reads of 16 KiB that the guest made.
    pub(super) reads: u64,
    /// Interrupts that the guest took of hardware, as it says itself.
    pub(super) interrupts: u64,
    /// Of these the disk's, by the way in which they came.
    pub(super) disk: BTreeMap<String, u64>,
    /// Exits by cause, as Oche's summary has them.
    pub(super) exits: BTreeMap<String, u64>,
    /// What the plugin counted.
    pub(super) counts: Counts,
}

/// Has the guest read so many MiB.
pub(super) fn run(workspace: &Workspace, options: &IrqOptions, mib: u64) -> Outcome<Loaded> {
    let scratch = Scratch::make(workspace.cache(format!("run-{}", std::process::id())))?;
    let (report, counts) = (
        scratch.path().join("report.json"),
        scratch.path().join("counts"),
    );
    let log = workspace
        .folder("log")?
        .join(format!("bench-irq-{mib}.log"));
    let out = File::create(&log).or_say(format_args!("cannot write {}", log.display()))?;
    let program = std::env::current_exe().or_say("cannot find this program")?;
    let task = Task::start(format!("reading {mib} MiB in the guest"));
    let status = Command::new(program)
        .args(["run", "--check", "load", "--timeout", "600"])
        .args(["--append", &format!("oche.mib={mib}")])
        .args(["--smp", &options.smp.to_string(), "--cpu", &options.cpu])
        .arg("--json")
        .arg(&report)
        .arg("--count")
        .arg(&counts)
        .args(&options.more)
        .env("OCHE_ROOT", workspace.root())
        .stdin(Stdio::null())
        .stderr(out.try_clone().or_say("cannot write the log")?)
        .stdout(out)
        .status()
        .or_say("cannot start this program again")?;
    task.done();
    if interrupted() {
        return Err(interruption());
    }
    let text = fs::read(&log).or_say(format_args!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let bad = |why: &str| Failure::new(format!("{why} (its output: {})", log.display()));
    if !status.success() {
        let last = text.trim_end().lines().next_back().unwrap_or("nothing");
        return Err(bad(&format!("the run failed; its last line: {last}")));
    }
    let counts = fs::read_to_string(&counts)
        .ok()
        .and_then(|text| Counts::parse(&text))
        .ok_or_else(|| bad("the plugin counted nothing"))?;
    let report: Option<Value> = fs::read(&report)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut said = interrupts(&text);
    Ok(Loaded {
        reads: mib * 64,
        interrupts: said
            .remove("all")
            .ok_or_else(|| bad("the guest did not say how often it was interrupted"))?,
        disk: said
            .into_iter()
            .filter_map(|(words, count)| Some((words.strip_prefix("nvme ")?.to_string(), count)))
            .collect(),
        exits: report.map(|report| exits(&report)).unwrap_or_default(),
        counts,
    })
}

/// What the guest says in lines such as `oche-guest: interrupts nvme pin 12`.
fn interrupts(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (_, words) = line.trim_end().split_once("oche-guest: interrupts ")?;
            let (of, count) = words.rsplit_once(' ')?;
            Some((of.to_string(), count.parse().ok()?))
        })
        .collect()
}

fn exits(report: &Value) -> BTreeMap<String, u64> {
    let found = report.pointer("/summary/exits").and_then(Value::as_object);
    found
        .into_iter()
        .flatten()
        .filter_map(|(cause, count)| Some((cause.clone(), count.as_u64()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_says_how_often_it_was_interrupted() {
        let text = "[ 1.0] oche-guest: interrupts nvme msi-x 12\r\n\
            [ 1.1] oche-guest: interrupts all 40\r\nother\n";
        let said = interrupts(text);
        assert_eq!(said.get("nvme msi-x"), Some(&12));
        assert_eq!(said.get("all"), Some(&40));
    }
}
