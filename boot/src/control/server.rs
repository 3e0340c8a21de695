//! Answers one request at a time, a little on each call.

use arrayvec::ArrayVec;
use guest_abi::control::{
    Asked, BadRequest, Code, Hello, Line, LineBuffer, MAX_REPLY, MAX_REQUEST, Refusal, Reply,
    Request, VERSION, Version, read_request, write_reply,
};
use guest_abi::summary::reason;

use super::{Machine, Order, Port, Refused};

/// The most bytes that one call takes from the line.
pub const RECEIVED_PER_POLL: usize = 64;
/// The most bytes that one call puts on it.
pub const SENT_PER_POLL: usize = 256;
/// The most guests that one answer lists; more are left out.
pub const GUESTS_PER_ANSWER: usize = 64;
/// For how many calls an order waits until its answer has left the machine. Past it the line is taken for stuck, and the
/// order is carried out: whoever gave it did not ask to be told first.
pub const PATIENCE: u32 = 100;

/// What is still to be said or done when the line in `out` has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing: the next request may come.
    Listen,
    /// The guests from this number on, to request `id`.
    Guests { id: u32, number: usize },
    /// The end of the answer to request `id`.
    End { id: u32 },
    /// The order whose acceptance has been said.
    Give { order: Order, polls: u32 },
}

/// The server of one control line.
///
/// While an answer is on its way nothing is read, so what an asker can make it hold is one request and one line of
/// answer. Bytes that come meanwhile wait in the UART; what does not fit there is lost, and the request's check tells.
#[derive(Debug)]
pub struct Server {
    line: LineBuffer<MAX_REQUEST>,
    out: ArrayVec<u8, MAX_REPLY>,
    sent: usize,
    next: Next,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// One that has heard nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            line: LineBuffer::new(),
            out: ArrayVec::new_const(),
            sent: 0,
            next: Next::Listen,
        }
    }

    /// Goes on: takes at most [`RECEIVED_PER_POLL`] bytes and at most one request, makes at most one line of answer,
    /// sends at most [`SENT_PER_POLL`] bytes. `Some` is an order to be carried out now; its answer has left.
    #[must_use = "the asker has been told that the order is carried out"]
    pub fn poll(&mut self, port: &mut impl Port, machine: &mut impl Machine) -> Option<Order> {
        let mut room = SENT_PER_POLL;
        if !self.flush(port, &mut room) {
            return None;
        }
        match self.next {
            Next::Listen => self.listen(port, machine),
            Next::Guests { id, number } => self.tell_guest(machine, id, number),
            Next::End { id } => self.say(id, &Reply::Done, Next::Listen),
            Next::Give { order, polls } => {
                if polls == 0 || port.is_idle() {
                    self.next = Next::Listen;
                    return Some(order);
                }
                self.next = Next::Give {
                    order,
                    polls: polls.saturating_sub(1),
                };
            }
        }
        self.flush(port, &mut room);
        None
    }

    /// Sends what there is; `true` when all of it has been handed over.
    fn flush(&mut self, port: &mut impl Port, room: &mut usize) -> bool {
        while let Some(byte) = self.out.get(self.sent) {
            if *room == 0 || !port.send(*byte) {
                return false;
            }
            *room = room.saturating_sub(1);
            self.sent = self.sent.saturating_add(1);
        }
        true
    }

    /// Puts a line of answer where [`Self::flush`] takes it from.
    fn say(&mut self, id: u32, reply: &Reply, next: Next) {
        self.sent = 0;
        self.next = next;
        if write_reply(&mut self.out, id, reply).is_err() {
            let refusal = refusal(Code::TooLarge, "the answer is too long for its line");
            self.next = Next::Listen;
            if write_reply(&mut self.out, id, &refusal).is_err() {
                self.out.clear();
            }
        }
    }

    fn listen(&mut self, port: &mut impl Port, machine: &mut impl Machine) {
        for _ in 0..RECEIVED_PER_POLL {
            let Some(byte) = port.receive() else {
                return;
            };
            let asked = match self.line.feed(byte) {
                None => continue,
                Some(Line::Whole(line) | Line::TooLong(line)) if is_own(line) => continue,
                Some(Line::TooLong(_)) => Err(BadRequest {
                    id: 0,
                    code: Code::BadRequest,
                }),
                Some(Line::Whole(line)) => {
                    read_request(line).map(|asked| Todo::new(asked, machine))
                }
            };
            return match asked {
                Ok(todo) => self.answer(todo, machine),
                Err(bad) => self.say(bad.id, &explain(bad.code), Next::Listen),
            };
        }
    }

    fn answer(&mut self, todo: Todo, machine: &mut impl Machine) {
        let Todo { id, what } = todo;
        let end = Next::End { id };
        match what {
            What::Hello => {
                let oche = cut(machine.version());
                let protocol = VERSION;
                self.say(id, &Reply::Hello(Hello { oche, protocol }), end);
            }
            What::Status => self.say(id, &Reply::Status(machine.status()), end),
            What::Guests => self.tell_guest(machine, id, 0),
            What::Log(from) => self.say(id, &Reply::Log(machine.log(from)), end),
            What::Order(order) => match machine.check(order) {
                Ok(()) => {
                    let polls = PATIENCE;
                    self.say(id, &Reply::Done, Next::Give { order, polls });
                }
                Err(refused) => self.say(id, &refuse(refused), Next::Listen),
            },
            What::UnknownGuest => {
                let sentence = "there is no guest of that name: `guests` lists those there are";
                self.say(id, &refusal(Code::UnknownGuest, sentence), Next::Listen);
            }
        }
    }

    fn tell_guest(&mut self, machine: &mut impl Machine, id: u32, number: usize) {
        let guest = (number < GUESTS_PER_ANSWER)
            .then(|| machine.guest(number))
            .flatten();
        match guest {
            Some(guest) => {
                let number = number.saturating_add(1);
                self.say(id, &Reply::Guest(guest), Next::Guests { id, number });
            }
            None => self.say(id, &Reply::Done, Next::Listen),
        }
    }
}

/// A request, its guest looked up: it no longer borrows the line that it came in.
struct Todo {
    id: u32,
    what: What,
}

enum What {
    Hello,
    Status,
    Guests,
    Log(u64),
    Order(Order),
    UnknownGuest,
}

impl Todo {
    fn new(asked: Asked<'_>, machine: &mut impl Machine) -> Self {
        let mut find = |name, order: fn(usize) -> Order| match machine.find(name) {
            Some(number) => What::Order(order(number)),
            None => What::UnknownGuest,
        };
        let what = match asked.request {
            Request::Hello => What::Hello,
            Request::Status => What::Status,
            Request::Guests => What::Guests,
            Request::Log { from } => What::Log(from),
            Request::Reset => What::Order(Order::Reset),
            Request::Kill { guest } => find(guest, Order::Kill),
            Request::Restart { guest } => find(guest, Order::Restart),
        };
        Self { id: asked.id, what }
    }
}

/// Is it an answer of ours that the other end sends back?
fn is_own(line: &[u8]) -> bool {
    line.starts_with(guest_abi::control::REPLY_WORD.as_bytes())
}

/// As much of Oche's version as fits.
fn cut(version: &str) -> Version {
    let mut cut = Version::new();
    for letter in version.chars() {
        if cut.try_push(letter).is_err() {
            break;
        }
    }
    cut
}

fn refusal(code: Code, sentence: &str) -> Reply {
    let sentence = reason(format_args!("{sentence}"));
    Reply::Error(Refusal { code, sentence })
}

fn refuse(refused: Refused) -> Reply {
    match refused {
        Refused::NotNow => refusal(
            Code::NotNow,
            "an earlier order is still being carried out: try again",
        ),
        Refused::Off => refusal(Code::NotNow, "the guest does not run"),
        Refused::Unable => refusal(
            Code::Unable,
            "this Oche has no way to do that on this machine",
        ),
    }
}

fn explain(code: Code) -> Reply {
    match code {
        Code::BadVersion => {
            let sentence = reason(format_args!(
                "this Oche speaks version {VERSION} of the control protocol alone"
            ));
            Reply::Error(Refusal { code, sentence })
        }
        Code::Damaged => refusal(code, "the line's check is wrong: send it again"),
        _ => refusal(
            code,
            "not a request: `oche 1 NUMBER` and hello, status, guests, kill NAME, restart NAME, reset, or log POSITION",
        ),
    }
}
