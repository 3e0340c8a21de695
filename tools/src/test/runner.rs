//! Runs one case: this program again, as a user would call it, with its output in a log.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::Value;

use super::case::{Case, Contents, TestFile};
use super::meanwhile::{self, Watcher};
use super::typing;
use crate::cli::KernelVariant;
use crate::command::interrupted;
use crate::failure::{Failure, OrSay, Outcome};
use crate::workspace::{Scratch, Workspace};

/// What Linux says when QEMU's drive left its interrupt pin up. It happens without Oche too, under
/// the plain machine with `pci=nomsi`, the more often the busier the host is: QEMU learns from its
/// shadow doorbells too late that the guest has emptied the queue. A guest that uses
/// message-signalled interrupts does not see it.
const PIN_LEFT_UP: &str = ": nobody cared (try booting with the \"irqpoll\" option)";

/// Runs a case, and says everything that is not as it should be. A case that asks for it is tried
/// again after that one mistake of QEMU's, and after nothing else: why the earlier tries failed is
/// added to `earlier`, and their logs are kept.
pub(crate) fn run(workspace: &Workspace, case: &Case, earlier: &mut Vec<String>) -> Outcome<()> {
    let folder = workspace.folder("test")?;
    let log = folder.join(format!("{}.log", case.name));
    let kept = |number| folder.join(format!("{}.try-{number}.log", case.name));
    for number in 1..case.tries.max(1) {
        let _ = fs::remove_file(kept(number));
    }
    for number in 1..case.tries {
        let Err(failure) = attempt(workspace, case, &log) else {
            return Ok(());
        };
        let left_up = fs::read(&log).is_ok_and(|log| contains(&log, PIN_LEFT_UP.as_bytes()));
        if !left_up || interrupted() {
            return Err(failure);
        }
        let kept = kept(number);
        fs::rename(&log, &kept).or_say(format_args!("cannot keep {}", log.display()))?;
        earlier.push(format!(
            "QEMU's drive left its interrupt pin up ({})",
            kept.display()
        ));
    }
    attempt(workspace, case, &log)
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

fn attempt(workspace: &Workspace, case: &Case, log: &Path) -> Outcome<()> {
    let name = format!("run-{}", std::process::id());
    let scratch = Scratch::make(workspace.cache(name))?;
    let folder = scratch.path();
    let kernel = match uses_kernel(case) {
        true => Some(built(workspace, |workspace| {
            crate::build::kernel(workspace, KernelVariant::Pages16K)
        })?),
        false => None,
    };
    let ramdisk = match names(case, "{ramdisk}") {
        true => Some(built(workspace, crate::build::initramfs)?),
        false => None,
    };
    for file in &case.files {
        make(file, folder, kernel.as_deref())?;
    }
    let fill = |word: &String| {
        let mut word = word.replace("{folder}", &folder.to_string_lossy());
        for (name, path) in [("{kernel}", &kernel), ("{ramdisk}", &ramdisk)] {
            if let Some(path) = path {
                word = word.replace(name, &path.to_string_lossy());
            }
        }
        word
    };
    let report = folder.join("report.json");
    let program = std::env::current_exe().or_say("cannot find this program")?;
    let out = File::create(log).or_say(format_args!("cannot write {}", log.display()))?;
    let mut command = Command::new(&program);
    command
        .args(case.args.iter().map(fill))
        .env("OCHE_ROOT", workspace.root())
        .envs(case.env.iter().map(|(name, value)| (name, fill(value))))
        .stdin(match case.input.is_empty() {
            true => Stdio::null(),
            false => Stdio::piped(),
        })
        .stderr(out.try_clone().or_say("cannot write the log")?)
        .stdout(out);
    if case.wants_report() {
        command.arg("--json").arg(&report);
    }
    let mut child = command.spawn().or_say("cannot start this program again")?;
    let run = meanwhile::Run {
        program: &program,
        log,
        root: workspace.root(),
        folder: workspace.cache(format!("run-{}", child.id())),
    };
    let watcher = Watcher::start(&run, &case.meanwhile);
    let untyped = typing::run(&mut child, log, &case.input)?;
    let status = child.wait().or_say("cannot wait for this program")?;

    let output = fs::read(log).or_say(format_args!("cannot read {}", log.display()))?;
    let mut problems = judge(case, &String::from_utf8_lossy(&output), status.code());
    problems.extend(untyped);
    problems.extend(watcher.finish());
    if case.wants_report() {
        problems.extend(judge_summary(case, &report));
    }
    problems.extend(leftovers(workspace));
    if problems.is_empty() {
        return Ok(());
    }
    problems.push(format!("its output: {}", log.display()));
    Err(Failure::new(problems.join("\n")))
}

fn uses_kernel(case: &Case) -> bool {
    names(case, "{kernel}")
        || case
            .files
            .iter()
            .any(|file| matches!(file.contents, Contents::StartOfKernel(_)))
}

fn names(case: &Case, word: &str) -> bool {
    case.args.iter().any(|argument| argument.contains(word))
}

fn built(workspace: &Workspace, build: fn(&Workspace) -> Outcome<PathBuf>) -> Outcome<PathBuf> {
    let _lock = workspace.lock()?;
    build(workspace)
}

fn make(file: &TestFile, folder: &Path, kernel: Option<&Path>) -> Outcome<()> {
    let path = folder.join(&file.name);
    let what = format!("cannot make {}", path.display());
    let result = match &file.contents {
        Contents::Zeroes(size) => File::create(&path).and_then(|new| new.set_len(*size)),
        Contents::Text(text) => fs::write(&path, text),
        Contents::Script(text) => fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755))),
        Contents::StartOfKernel(size) => {
            fs::read(kernel.unwrap_or(Path::new(""))).and_then(|mut bytes| {
                bytes.truncate(usize::try_from(*size).unwrap_or(usize::MAX));
                fs::write(&path, bytes)
            })
        }
    };
    result.or_say(what)
}

/// What is wrong with how a run ended and what it said.
fn judge(case: &Case, output: &str, status: Option<i32>) -> Vec<String> {
    let mut problems = Vec::new();
    let right = case
        .status
        .iter()
        .any(|right| Some(i32::from(*right)) == status);
    if !right {
        let is = status.map_or("none, a signal ended it".into(), |status| {
            status.to_string()
        });
        let last = output.trim_end().lines().next_back().unwrap_or("nothing");
        problems.push(format!(
            "the exit status is {is}, not {:?}; the last line: {last}",
            case.status
        ));
    }
    let found = |pattern: &String| {
        Regex::new(pattern).map(|regex| output.lines().any(|line| regex.is_match(line)))
    };
    for pattern in &case.output {
        match found(pattern) {
            Ok(true) => {}
            Ok(false) => problems.push(format!("no line of the output matches `{pattern}`")),
            Err(error) => problems.push(error.to_string()),
        }
    }
    for pattern in &case.never {
        match found(pattern) {
            Ok(false) => {}
            Ok(true) => problems.push(format!("a line of the output matches `{pattern}`")),
            Err(error) => problems.push(error.to_string()),
        }
    }
    for word in &case.paths {
        let path = output
            .lines()
            .find_map(|line| line.strip_prefix(word.as_str())?.strip_prefix(' '))
            .map(str::trim);
        match path {
            Some(path) if Path::new(path).is_file() => {}
            Some(path) => problems.push(format!("`{word}` is {path}, where no file is")),
            None => problems.push(format!("no line of the output has the path of `{word}`")),
        }
    }
    problems
}

fn judge_summary(case: &Case, report: &Path) -> Vec<String> {
    let report: Option<Value> = fs::read(report)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match report.as_ref().and_then(|report| report.get("summary")) {
        Some(summary) if summary.is_object() => case
            .summary
            .iter()
            .filter_map(|wanted| wanted.problem(summary))
            .collect(),
        _ => vec!["Oche gave no summary".into()],
    }
}

/// What no run may leave in the cache.
fn leftovers(workspace: &Workspace) -> Vec<String> {
    workspace
        .half_made()
        .iter()
        .map(|path| format!("half-made {} was left in the cache", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(text: &str) -> Case {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn status_and_output_are_judged() {
        let case = case(
            "name = 'a'\nsentence = 's'\nargs = []\nstatus = [3, 5]\n\
             output = ['type DMA$']\nnever = ['panic']",
        );
        assert_eq!(judge(&case, "group 0 type DMA\nend", Some(5)), [""; 0]);
        let problems = judge(&case, "type DMA-FQ\nkernel panic\n", Some(0));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert_eq!(judge(&case, "type DMA", None).len(), 1);
    }

    #[test]
    fn a_path_that_is_printed_has_to_be_there() {
        let case = case("name = 'a'\nsentence = 's'\nargs = []\nstatus = [0]\npaths = ['image']");
        let here = format!("image   {}/Cargo.toml\n", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(judge(&case, &here, Some(0)), [""; 0]);
        assert_eq!(judge(&case, "image   /nowhere", Some(0)).len(), 1);
        assert_eq!(judge(&case, "images  /", Some(0)).len(), 1);
    }
}
