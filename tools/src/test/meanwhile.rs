//! Runs `oche` again beside a run that goes on, when what was waited for has been shown: for `oche ctl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use regex::Regex;

use super::case::Meanwhile;

/// How often to look at what was shown.
const TICK: Duration = Duration::from_millis(50);

/// What is watched.
pub(super) struct Run<'a> {
    /// The program to call: this one.
    pub(super) program: &'a Path,
    /// Where the run's output goes.
    pub(super) log: &'a Path,
    /// The clone.
    pub(super) root: &'a Path,
    /// The folder of the run, for `{run}`.
    pub(super) folder: PathBuf,
}

/// Waits and calls, in a thread of its own.
pub(super) struct Watcher {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Watcher {
    /// Begins; calls are made in their order, each behind what the one before has waited for.
    pub(super) fn start(run: &Run<'_>, calls: &[Meanwhile]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (program, log) = (run.program.to_path_buf(), run.log.to_path_buf());
        let (root, folder) = (run.root.to_path_buf(), run.folder.clone());
        let (calls, seen_over) = (calls.to_vec(), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let mut problems = Vec::new();
            let mut seen = 0;
            for call in &calls {
                match wait(&call.after, &log, &mut seen, &seen_over) {
                    Ok(true) => problems.extend(make(&program, &root, &folder, call)),
                    Ok(false) => {
                        problems.push(format!("`{}` was waited for in vain", call.after));
                        break;
                    }
                    Err(error) => {
                        problems.push(error);
                        break;
                    }
                }
            }
            problems
        });
        Watcher { over, thread }
    }

    /// The run is over: everything that was not as it should be.
    pub(super) fn finish(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|_| vec!["the calls beside the run failed".into()])
    }
}

/// Waits for output that matches, behind `seen`. `false`: the run was over before.
fn wait(after: &str, log: &Path, seen: &mut usize, over: &AtomicBool) -> Result<bool, String> {
    let pattern = regex::bytes::Regex::new(after).map_err(|error| error.to_string())?;
    loop {
        // Asked first: what has been shown by then is all there is.
        let ended = over.load(Ordering::Relaxed);
        let output = fs::read(log).map_err(|error| error.to_string())?;
        if let Some(found) = pattern.find_at(&output, *seen) {
            *seen = found.end();
            return Ok(true);
        }
        if ended {
            return Ok(false);
        }
        thread::sleep(TICK);
    }
}

fn make(program: &Path, root: &Path, folder: &Path, call: &Meanwhile) -> Vec<String> {
    let fill = |word: &String| word.replace("{run}", &folder.to_string_lossy());
    let called = Command::new(program)
        .args(call.args.iter().map(fill))
        .env("OCHE_ROOT", root)
        .stdin(Stdio::null())
        .output();
    let name = call.args.join(" ");
    match called {
        Ok(called) => {
            let output = [called.stdout, called.stderr].concat();
            let output = String::from_utf8_lossy(&output);
            judge(call, &output, called.status.code())
                .into_iter()
                .map(|problem| format!("`{name}`: {problem}; it says: {output}"))
                .collect()
        }
        Err(error) => vec![format!("`{name}` cannot be called: {error}")],
    }
}

fn judge(call: &Meanwhile, output: &str, status: Option<i32>) -> Vec<String> {
    let mut problems = Vec::new();
    if status != Some(i32::from(call.status)) {
        problems.push(format!(
            "its exit status is {status:?}, not {}",
            call.status
        ));
    }
    for pattern in &call.output {
        match Regex::new(pattern) {
            Ok(regex) if output.lines().any(|line| regex.is_match(line)) => {}
            Ok(_) => problems.push(format!("no line of it matches `{pattern}`")),
            Err(error) => problems.push(error.to_string()),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Scratch;

    fn call(after: &str, args: &[&str], status: u8, output: &[&str]) -> Meanwhile {
        let strings = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Meanwhile {
            after: after.into(),
            args: strings(args),
            status,
            output: strings(output),
        }
    }

    fn problems(name: &str, calls: &[Meanwhile]) -> Vec<String> {
        let folder =
            std::env::temp_dir().join(format!("oche-meanwhile-{}-{name}", std::process::id()));
        let folder = Scratch::make(folder).unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "one\ntwo\n").unwrap();
        let run = Run {
            program: Path::new("sh"),
            log: &log,
            root: folder.path(),
            folder: "/the/run".into(),
        };
        Watcher::start(&run, calls).finish()
    }

    #[test]
    fn calls_are_made_and_judged() {
        let good = [
            call(
                "one",
                &["-c", "echo is {run}; exit 3"],
                3,
                &["^is /the/run$"],
            ),
            call("two", &["-c", "echo no >&2"], 0, &["no"]),
        ];
        assert_eq!(problems("good", &good), [""; 0]);
        let bad = [call("one", &["-c", "echo a; exit 3"], 0, &["b"])];
        assert_eq!(problems("bad", &bad).len(), 2);
    }

    #[test]
    fn a_call_that_never_had_its_time_is_a_problem() {
        let calls = [
            call("two", &["-c", "true"], 0, &[]),
            call("one", &["-c", "true"], 0, &[]),
        ];
        assert_eq!(problems("never", &calls), ["`one` was waited for in vain"]);
    }
}
