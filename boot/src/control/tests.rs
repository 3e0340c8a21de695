mod log_ring;
mod uart16550;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use arrayvec::ArrayString;
use guest_abi::control::{
    Asked, Code, GuestState, LogChunk, Reply, Request, Status, VERSION, read_reply, write_request,
};
use proptest::prelude::*;

use super::*;

/// A line whose far end is this test.
#[derive(Default)]
struct Wire {
    to_server: VecDeque<u8>,
    from_server: Vec<u8>,
    /// Bytes that it takes before it is full; refilled by nobody.
    room: Option<usize>,
    busy: bool,
    received: usize,
}

impl Port for Wire {
    fn receive(&mut self) -> Option<u8> {
        let byte = self.to_server.pop_front()?;
        self.received += 1;
        Some(byte)
    }

    fn send(&mut self, byte: u8) -> bool {
        match &mut self.room {
            Some(0) => return false,
            Some(room) => *room -= 1,
            None => {}
        }
        self.from_server.push(byte);
        true
    }

    fn is_idle(&mut self) -> bool {
        !self.busy
    }
}

struct Oche {
    names: Vec<&'static str>,
    log: LogRing<1024>,
    busy: bool,
}

impl Machine for Oche {
    fn version(&self) -> &str {
        "0.1.0"
    }

    fn status(&mut self) -> Status {
        Status {
            cores: 4,
            ..Status::default()
        }
    }

    fn guest(&mut self, number: usize) -> Option<GuestState> {
        let name = ArrayString::from(self.names.get(number)?).unwrap();
        Some(GuestState {
            name,
            ..GuestState::default()
        })
    }

    fn find(&mut self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }

    fn log(&mut self, from: u64) -> LogChunk {
        self.log.read(from)
    }

    fn check(&mut self, order: Order) -> Result<(), Refused> {
        match order {
            Order::Restart(_) => Err(Refused::Unable),
            _ if self.busy => Err(Refused::NotNow),
            _ => Ok(()),
        }
    }
}

struct Bench {
    server: Server,
    wire: Wire,
    oche: Oche,
    orders: Vec<Order>,
}

impl Bench {
    fn new() -> Self {
        let oche = Oche {
            names: ["one", "two", "three"].to_vec(),
            log: LogRing::new(),
            busy: false,
        };
        Self {
            server: Server::new(),
            wire: Wire::default(),
            oche,
            orders: Vec::new(),
        }
    }

    fn poll(&mut self) {
        let order = self.server.poll(&mut self.wire, &mut self.oche);
        self.orders.extend(order);
    }

    /// What comes back of these bytes.
    fn say(&mut self, bytes: &[u8]) -> Vec<(u32, Reply)> {
        self.wire.to_server.extend(bytes);
        let polls = 50 + bytes.len();
        (0..polls).for_each(|_| self.poll());
        let answer = core::mem::take(&mut self.wire.from_server);
        let lines = answer.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let line = read_reply(line).unwrap();
                (line.id, serde_json::from_str(line.json).unwrap())
            })
            .collect()
    }

    fn ask(&mut self, request: Request<'_>) -> Vec<Reply> {
        let line = write_request(VERSION, &Asked { id: 5, request }).unwrap();
        let answer = self.say(&line);
        assert!(answer.iter().all(|(id, _)| *id == 5));
        let replies: Vec<_> = answer.into_iter().map(|(_, reply)| reply).collect();
        let (last, others) = replies.split_last().unwrap();
        assert!(last.is_last() && !others.iter().any(Reply::is_last));
        replies
    }

    fn code(&mut self, bytes: &[u8]) -> (u32, Code) {
        match &self.say(bytes)[..] {
            [(id, Reply::Error(refusal))] => (*id, refusal.code),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_request_is_answered() {
    let mut bench = Bench::new();
    let answer = bench.ask(Request::Hello);
    assert!(matches!(&answer[..], [Reply::Hello(hello), Reply::Done] if hello.protocol == 1));
    let answer = bench.ask(Request::Status);
    assert!(matches!(&answer[..], [Reply::Status(status), Reply::Done] if status.cores == 4));
    let names: Vec<_> = bench
        .ask(Request::Guests)
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::Guest(guest) => Some(guest.name.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
    bench.oche.log.push(format_args!("hello"));
    let answer = bench.ask(Request::Log { from: 0 });
    assert!(matches!(&answer[..], [Reply::Log(log), Reply::Done] if &log.text == "hello\n"));
    assert_eq!(bench.ask(Request::Kill { guest: "two" }), [Reply::Done]);
    assert_eq!(bench.ask(Request::Reset), [Reply::Done]);
    assert_eq!(bench.orders, [Order::Kill(1), Order::Reset]);
}

#[test]
fn what_cannot_be_done_is_refused_with_a_code() {
    let mut bench = Bench::new();
    assert_eq!(bench.code(b"oche 1 9 kill four\n"), (9, Code::UnknownGuest));
    assert_eq!(bench.code(b"oche 1 9 restart one\n"), (9, Code::Unable));
    bench.oche.busy = true;
    assert_eq!(bench.code(b"oche 1 9 reset\n"), (9, Code::NotNow));
    assert_eq!(bench.code(b"oche 2 9 status\n"), (9, Code::BadVersion));
    assert_eq!(bench.code(b"status\n"), (0, Code::BadRequest));
    assert_eq!(bench.orders, []);
}

#[test]
fn an_overlong_request_is_answered_when_it_ends() {
    let mut bench = Bench::new();
    assert_eq!(bench.say(&[b'x'; 500]), []);
    assert_eq!(bench.code(b"\n"), (0, Code::BadRequest));
    assert_eq!(bench.ask(Request::Hello).len(), 2);
}

#[test]
fn half_a_request_of_an_earlier_asker_does_not_spoil_the_next() {
    let mut bench = Bench::new();
    assert_eq!(bench.say(b"oche 1 3 kill on"), []);
    let line = write_request(
        VERSION,
        &Asked {
            id: 4,
            request: Request::Hello,
        },
    );
    let ids: Vec<_> = bench
        .say(&line.unwrap())
        .iter()
        .map(|(id, _)| *id)
        .collect();
    // The half asked for a guest that there is not: an error with the earlier number.
    assert_eq!(ids, [3, 4, 4]);
    assert_eq!(bench.orders, []);
}

#[test]
fn answers_that_come_back_are_passed_over() {
    let mut bench = Bench::new();
    bench.wire.to_server.extend(b"oche 1 1 guests\n");
    (0..50).for_each(|_| bench.poll());
    let echo = core::mem::take(&mut bench.wire.from_server);
    assert!(echo.len() > 100);
    assert_eq!(bench.say(&echo), []);
}

#[test]
fn an_order_is_given_when_its_answer_has_left() {
    let mut bench = Bench::new();
    bench.wire.busy = true;
    assert_eq!(bench.ask(Request::Reset), [Reply::Done]);
    assert_eq!(bench.orders, []);
    bench.wire.busy = false;
    bench.poll();
    assert_eq!(bench.orders, [Order::Reset]);
    bench.poll();
    assert_eq!(bench.orders.len(), 1);
}

#[test]
fn an_order_is_given_in_the_end_when_the_line_is_stuck() {
    let mut bench = Bench::new();
    bench.wire.busy = true;
    assert_eq!(bench.ask(Request::Reset), [Reply::Done]);
    (0..PATIENCE).for_each(|_| bench.poll());
    assert_eq!(bench.orders, [Order::Reset]);
}

#[test]
fn a_line_that_takes_nothing_is_not_read_either() {
    let mut bench = Bench::new();
    bench.wire.room = Some(10);
    assert!(bench.wire.to_server.is_empty());
    bench
        .wire
        .to_server
        .extend(b"oche 1 1 status\noche 1 2 reset\n");
    (0..100).for_each(|_| bench.poll());
    assert_eq!(bench.wire.from_server.len(), 10);
    assert_eq!(bench.wire.received, b"oche 1 1 status\n".len());
    assert_eq!(bench.orders, []);
}

#[test]
fn a_call_does_a_bounded_amount() {
    let mut bench = Bench::new();
    bench.wire.to_server.extend([b' '; 1000]);
    bench.poll();
    assert_eq!(bench.wire.received, RECEIVED_PER_POLL);
    let mut bench = Bench::new();
    (0..100).for_each(|_| bench.oche.log.push(format_args!("{:9}", 1)));
    bench.wire.to_server.extend(b"oche 1 1 log 0\n");
    bench.poll();
    assert_eq!(bench.wire.from_server.len(), SENT_PER_POLL);
}

#[test]
fn an_answer_names_what_is_wrong() {
    let mut bench = Bench::new();
    let answer = format!("{:?}", bench.say(b"oche 7 1 status\n"));
    assert!(answer.contains("speaks version 1 of the control protocol"));
}

proptest! {
    #[test]
    fn no_bytes_stop_the_server(garbage: Vec<u8>) {
        let mut bench = Bench::new();
        bench.wire.to_server.extend(&garbage);
        (0..garbage.len() * 3 + 50).for_each(|_| bench.poll());
        bench.wire.from_server.clear();
        let line = write_request(VERSION, &Asked { id: 77, request: Request::Status }).unwrap();
        let answer = bench.say(&line);
        prop_assert_eq!(answer.iter().filter(|(id, _)| *id == 77).count(), 2);
        prop_assert_eq!(bench.orders, []);
    }
}
