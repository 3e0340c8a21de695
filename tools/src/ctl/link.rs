//! One connection to a control line: a question goes out, an answer comes back.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use guest_abi::control::{
    Asked, Line, LineBuffer, MAX_REPLY, Refusal, Reply, Request, VERSION, read_reply, write_request,
};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};

use super::find::Place;
use super::socket;
use crate::command::{interrupted, interruption};
use crate::failure::{Failure, OrSay, Outcome};

/// How long the next line of an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before looking again when nothing is there.
const PAUSE: Duration = Duration::from_millis(5);

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// What came of a question.
#[derive(Debug)]
pub(super) enum Answer {
    /// All lines but the last, which says that it is done.
    Done(Vec<Reply>),
    /// It is not done.
    Refused(Refusal),
}

/// An open line.
pub(super) struct Link {
    /// Nothing here blocks.
    stream: Box<dyn Stream>,
    buffer: LineBuffer<MAX_REPLY>,
    patience: Duration,
}

impl Link {
    /// Opens a line.
    pub(super) fn open(place: &Place) -> Outcome<Self> {
        let stream: Box<dyn Stream> = match place {
            Place::Socket(path) => Box::new(open_socket(path)?),
            Place::Serial { path, baud } => Box::new(open_serial(path, *baud)?),
        };
        Ok(Self {
            stream,
            buffer: LineBuffer::new(),
            patience: ANSWER_WITHIN,
        })
    }

    /// Asks, and waits for the whole answer.
    pub(super) fn ask(&mut self, version: u32, request: Request<'_>) -> Outcome<Answer> {
        // Lines for somebody who asked before and did not wait bear another number.
        let id = number()?;
        let line = write_request(version, &Asked { id, request })
            .map_err(|_| Failure::new("that is too long for a request"))?;
        self.send(&line)?;
        let mut replies = Vec::new();
        loop {
            match self.line(id)? {
                Reply::Done => return Ok(Answer::Done(replies)),
                Reply::Error(refusal) => return Ok(Answer::Refused(refusal)),
                reply => replies.push(reply),
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> Outcome<()> {
        let started = Instant::now();
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(gone()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) => wait(&error, started, self.patience)?,
            }
        }
        Ok(())
    }

    /// The next line of the answer to that question.
    fn line(&mut self, id: u32) -> Outcome<Reply> {
        let started = Instant::now();
        loop {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(0) => return Err(gone()),
                Ok(_) => {
                    if let Some(Line::Whole(line)) = self.buffer.feed(byte[0])
                        && let Some(reply) = read_reply(line).filter(|reply| reply.id == id)
                    {
                        return understand(reply.version, reply.json);
                    }
                }
                Err(error) => wait(&error, started, self.patience)?,
            }
        }
    }
}

fn understand(version: u64, json: &str) -> Outcome<Reply> {
    if version != u64::from(VERSION) {
        return Err(Failure::new(format!(
            "that Oche speaks version {version} of the control protocol, and this program version {VERSION}"
        )));
    }
    serde_json::from_str(json).or_say("Oche's answer is not understood")
}

/// A pause when there is nothing to do yet.
fn wait(error: &std::io::Error, started: Instant, patience: Duration) -> Outcome<()> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => return Err(gone()),
        _ => return Err(Failure::new(format!("the control line fails: {error}"))),
    }
    if interrupted() {
        return Err(interruption());
    }
    if started.elapsed() > patience {
        return Err(Failure::new(format!(
            "Oche did not answer within {} s: is another `oche ctl` speaking to it, or has it not come up yet?",
            patience.as_secs()
        )));
    }
    thread::sleep(PAUSE);
    Ok(())
}

fn gone() -> Failure {
    Failure::new("the machine at the other end has gone")
}

fn number() -> Outcome<u32> {
    let hex = crate::disk::random_hex(4)?;
    // Eight hexadecimal digits. 0 is what Oche says when it could not read a number.
    Ok(u32::from_str_radix(&hex, 16).unwrap_or(1).max(1))
}

fn open_socket(path: &Path) -> Outcome<UnixStream> {
    let cannot = || format!("cannot reach Oche at {}", path.display());
    let stream = socket::connect(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::new(format!(
            "no Oche is there at {}: start one with ./oche run",
            path.display()
        )),
        _ => Failure::new(format!("{}: {error}", cannot())),
    })?;
    stream.set_nonblocking(true).or_say(cannot())?;
    Ok(stream)
}

/// Opens a serial device: raw, eight bits, no flow control, whoever holds the modem lines.
fn open_serial(path: &Path, baud: u32) -> Outcome<File> {
    let cannot = || format!("cannot use the serial line {}", path.display());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open(path, flags, Mode::empty()).or_say(cannot())?;
    let mut settings = tcgetattr(&device).or_say(cannot())?;
    settings.make_raw();
    settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    settings.control_modes &= !(ControlModes::CRTSCTS | ControlModes::CSTOPB);
    settings.set_speed(baud).or_say(cannot())?;
    tcsetattr(&device, OptionalActions::Now, &settings).or_say(cannot())?;
    Ok(File::from(device))
}

#[cfg(test)]
mod tests;
