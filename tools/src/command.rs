//! Programs that this one runs.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, OrSay, Outcome, Status};
use crate::progress::Task;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on an interrupt is noted, and whoever waits for something looks.
pub(crate) fn catch_interrupts() -> Outcome<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed))
        .or_say("cannot catch interrupts")
}

/// As if an interrupt had come.
pub(crate) fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Whether an interrupt came.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// The failure that an interrupt is.
pub(crate) fn interruption() -> Failure {
    Failure {
        status: Status::Interrupted,
        sentence: "interrupted".into(),
    }
}

/// Runs a program to its end with its output in `log`, counting lines as steps of `task`.
pub(crate) fn run_logged(command: &mut Command, log: &Path, task: &mut Task) -> Outcome<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let cannot = format!("cannot run {name}");
    let mut out = File::options()
        .create(true)
        .append(true)
        .open(log)
        .or_say(format_args!("cannot write {}", log.display()))?;
    let (reader, writer) = std::io::pipe().or_say(&cannot)?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().or_say(&cannot)?)
        .stderr(writer);
    let mut child = command.spawn().or_say(&cannot)?;
    // The command holds the writing ends of the pipe: with them open there is no end of file.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut last = String::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.or_say(&cannot)?;
        out.write_all(&line)
            .and_then(|()| out.write_all(b"\n"))
            .or_say(format_args!("cannot write {}", log.display()))?;
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            last = text.trim().to_string();
        }
        task.step();
    }
    let status = child.wait().or_say(&cannot)?;
    if interrupted() {
        return Err(interruption());
    }
    if !status.success() {
        return Err(Failure::new(format!(
            "{name} failed ({status}); its last line: {last} (all of it: {})",
            log.display()
        )));
    }
    Ok(())
}

/// What a program prints, or nothing if it is not there or fails.
pub(crate) fn output_of(
    program: impl AsRef<std::ffi::OsStr>,
    arguments: &[&str],
) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// Where a program is on the search path.
pub(crate) fn which(program: &str) -> Option<std::path::PathBuf> {
    if program.contains('/') {
        let path = Path::new(program);
        return path.is_file().then(|| path.to_path_buf());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
