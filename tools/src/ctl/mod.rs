//! `oche ctl`: asks a running Oche, and tells it what to do. The protocol is `guest_abi::control`.

mod find;
mod link;
mod show;
pub(crate) mod socket;

use std::time::Duration;

use guest_abi::control::{LOG_CHUNK, LogChunk, Reply, Request};
use serde_json::{Value, json};

use crate::cli::{CtlCommand, CtlOptions};
use crate::command::{interrupted, interruption};
use crate::failure::{Failure, Outcome, Status};
use crate::workspace::Workspace;
use find::Place;
use link::{Answer, Link};

/// How often `log --follow` asks.
const FOLLOW: Duration = Duration::from_millis(300);

/// `oche ctl`.
pub(crate) fn ctl(workspace: &Workspace, options: &CtlOptions) -> Outcome<Status> {
    let place = find::place(workspace, options)?;
    let line = Line { place, options };
    match &options.command {
        CtlCommand::Status => match &line.ask(Request::Status)?[..] {
            [Reply::Status(status)] => line.show(&json!(status), || show::status(status)),
            _ => Err(strange()),
        },
        CtlCommand::Guests => {
            let guests = line
                .ask(Request::Guests)?
                .into_iter()
                .map(|reply| match reply {
                    Reply::Guest(guest) => Ok(guest),
                    _ => Err(strange()),
                });
            let guests = guests.collect::<Outcome<Vec<_>>>()?;
            line.show(&json!(guests), || show::guests(&guests))
        }
        CtlCommand::Kill { name } => {
            line.ask(Request::Kill { guest: name })?;
            line.done(&format!("guest {name} is being stopped"))
        }
        CtlCommand::Restart { name } => {
            line.ask(Request::Restart { guest: name })?;
            line.done(&format!("guest {name} is being started again"))
        }
        CtlCommand::Reset => {
            line.ask(Request::Reset)?;
            line.done("the machine is being reset")
        }
        CtlCommand::Log { follow, from } => log(&line, *follow, *from),
    }
}

/// Where to ask, and how to show it.
struct Line<'a> {
    place: Place,
    options: &'a CtlOptions,
}

impl Line<'_> {
    /// One question, on a connection of its own: QEMU's socket serves one at a time.
    fn ask(&self, request: Request<'_>) -> Outcome<Vec<Reply>> {
        match Link::open(&self.place)?.ask(self.options.protocol, request)? {
            Answer::Done(replies) => Ok(replies),
            Answer::Refused(refusal) => {
                if self.options.json {
                    println!("{}", json!({ "error": refusal }));
                }
                Err(Failure::new(refusal.sentence.as_str()))
            }
        }
    }

    fn show(&self, value: &Value, words: impl FnOnce() -> String) -> Outcome<Status> {
        match self.options.json {
            true => println!("{value}"),
            false => print!("{}", words()),
        }
        Ok(Status::Good)
    }

    fn done(&self, sentence: &str) -> Outcome<Status> {
        self.show(&json!({ "done": sentence }), || {
            format!("oche: {sentence}\n")
        })
    }
}

fn log(line: &Line<'_>, follow: bool, mut from: u64) -> Outcome<Status> {
    let mut known = false;
    loop {
        let piece = match line.ask(Request::Log { from }) {
            Ok(replies) => match replies.into_iter().next() {
                Some(Reply::Log(piece)) => piece,
                _ => return Err(strange()),
            },
            // A run that is followed ends some time.
            Err(_) if follow && known && !line.place.is_there() => return Ok(Status::Good),
            Err(failure) => return Err(failure),
        };
        known = true;
        show_piece(line, from, &piece);
        from = piece.next;
        // A piece that is not full is the last one there is.
        if piece.text.len().saturating_add(char::MAX.len_utf8()) > LOG_CHUNK {
            continue;
        }
        if !follow {
            return Ok(Status::Good);
        }
        std::thread::sleep(FOLLOW);
        if interrupted() {
            return Err(interruption());
        }
    }
}

fn show_piece(line: &Line<'_>, asked: u64, piece: &LogChunk) {
    if line.options.json {
        if piece.next != piece.from || piece.lost > 0 {
            println!("{}", json!(piece));
        }
        return;
    }
    if piece.from < asked {
        eprintln!("oche: the log began anew");
    }
    if piece.lost > 0 {
        eprintln!(
            "oche: {} bytes of the log were overwritten before this",
            piece.lost
        );
    }
    print!("{}", piece.text);
}

fn strange() -> Failure {
    Failure::new(
        "Oche answers something else than what was asked: are this program and that Oche of the same version?",
    )
}
