//! Starting QEMU, passing its serial line on, and ending it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::console::Console;
use super::terminal::{Attach, Terminal, pass_input_on};
use super::trace::Names;
use super::verdict::QemuEnd;
use crate::build::Built;
use crate::command::{interrupted, which};
use crate::failure::{OrSay, Outcome};
use crate::qemu::{Qemu, RAM_BASE};

/// How often to look whether the time is up.
const TICK: Duration = Duration::from_millis(100);
/// How long QEMU may go on after Oche's summary, or after it was asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// A run that is over.
pub(crate) struct Ended {
    pub(crate) end: QemuEnd,
    pub(crate) console: Console,
}

/// Runs QEMU to its end, or for at most `limit` seconds. Its serial line is on pipes, so that it leaves
/// the terminal alone.
pub(crate) fn start_and_watch(
    qemu: &Qemu,
    arguments: &[String],
    token: &str,
    names: Names,
    limit: Option<u64>,
    attach: Attach,
) -> Outcome<Ended> {
    let mut command = tied_to_us(qemu);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .or_say(format_args!("cannot start {}", qemu.program.display()))?;
    let terminal = Terminal::take(attach);
    pass_input_on(child.stdin.take(), attach);
    let output = forward(child.stdout.take());
    let complaints = echo_errors(child.stderr.take());

    let mut console = Console::new(token, names);
    let early = watch(&output, &mut console, limit);
    let status = match early {
        Some(_) => end(&mut child)?,
        None => child.wait().or_say("cannot wait for QEMU")?,
    };
    // What it still said while it ended.
    while let Ok(bytes) = output.recv_timeout(TICK) {
        show(&console.feed(&bytes));
    }
    show(&console.finish());
    drop(terminal);
    let complaint = complaints.join().unwrap_or_default();
    let by_itself = || match interrupted() {
        // The terminal interrupts QEMU too, which may be the quicker to end.
        true => QemuEnd::Interrupted,
        false => QemuEnd::Exited(judge_exit(status, complaint)),
    };
    Ok(Ended {
        end: early.unwrap_or_else(by_itself),
        console,
    })
}

/// QEMU, ended by the kernel when this program is killed, if `setpriv` is there to arrange it.
fn tied_to_us(qemu: &Qemu) -> Command {
    match which("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM"]).arg(&qemu.program);
            command
        }
        None => Command::new(&qemu.program),
    }
}

/// Passes the serial line on until it closes. `Some` is the reason to end QEMU before.
fn watch(output: &Receiver<Vec<u8>>, console: &mut Console, limit: Option<u64>) -> Option<QemuEnd> {
    let started = Instant::now();
    let mut summary_at = None;
    loop {
        match output.recv_timeout(TICK) {
            Ok(bytes) => show(&console.feed(&bytes)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        if interrupted() {
            return Some(QemuEnd::Interrupted);
        }
        if console.summary.is_some() {
            let since = *summary_at.get_or_insert_with(Instant::now);
            if since.elapsed() > GRACE {
                // Oche has said everything; that its machine did not go off changes nothing.
                return Some(QemuEnd::Exited(Ok(())));
            }
        }
        if let Some(seconds) = limit
            && started.elapsed() > Duration::from_secs(seconds)
        {
            return Some(QemuEnd::TimedOut(seconds));
        }
    }
}

/// Asks QEMU to end, and makes it.
fn end(child: &mut Child) -> Outcome<ExitStatus> {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process(pid, Signal::TERM);
    }
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        if let Ok(Some(status)) = child.try_wait() {
            return Ok(status);
        }
        thread::sleep(TICK);
    }
    let _ = child.kill();
    child.wait().or_say("cannot wait for QEMU")
}

/// Reads in a thread of its own, so that waiting can end.
fn forward(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    if let Some(mut stream) = stream {
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = stream.read(&mut buffer) {
                if length == 0 || sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// Passes QEMU's own words on, and returns the last of them.
fn echo_errors(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut last = String::new();
        if let Some(stream) = stream {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                eprintln!("{line}");
                last = line;
            }
        }
        last
    })
}

fn show(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    // Whoever reads may be gone; the run goes on for its status.
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

fn judge_exit(status: ExitStatus, complaint: String) -> Result<(), String> {
    match status.success() {
        true => Ok(()),
        false if complaint.is_empty() => Err(status.to_string()),
        false => Err(complaint),
    }
}

/// Says how to attach a debugger. Oche moves itself to the top of the RAM, so its symbols have
/// to move too.
pub(crate) fn explain_debugging(oche: &Built, memory: u64) -> Outcome<()> {
    let image =
        std::fs::read(&oche.image).or_say(format_args!("cannot read {}", oche.image.display()))?;
    let base = moved_base(&image, memory);
    println!("oche: QEMU waits for a debugger; in gdb-multiarch:");
    println!("  target remote localhost:1234");
    println!("  add-symbol-file {} -o {base:#x}", oche.elf.display());
    Ok(())
}

/// Where Oche moves its image: to the top of the RAM, at a multiple of 2 MiB.
pub(crate) fn moved_base(image: &[u8], memory: u64) -> u64 {
    let top = RAM_BASE.saturating_add(memory);
    top.saturating_sub(image_size(image)) & !((2 << 20) - 1)
}

/// How much memory an image takes, as its header says (Linux `booting.rst`).
pub(crate) fn image_size(image: &[u8]) -> u64 {
    image
        .get(16..24)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_moves_to_the_top_of_the_ram() {
        let mut image = vec![0; 64];
        image[16..24].copy_from_slice(&0x20_0000_u64.to_le_bytes());
        assert_eq!(moved_base(&image, 0x3200_0000), 0x7200_0000 - 0x20_0000);
    }
}
