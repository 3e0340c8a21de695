use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use arrayvec::ArrayVec;
use guest_abi::control::{Code, MAX_REQUEST, Status, read_request, write_reply};
use guest_abi::summary::reason;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::*;

/// Answers the next request on that stream with these replies, after some noise.
fn oche(mut stream: impl Stream + Send + 'static, replies: Vec<Reply>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = LineBuffer::<MAX_REQUEST>::new();
        let mut byte = [0];
        let id = loop {
            stream.read_exact(&mut byte).unwrap();
            if let Some(Line::Whole(line)) = buffer.feed(byte[0]) {
                break read_request(line).unwrap().id;
            }
        };
        let mut line = ArrayVec::new();
        // What somebody else did not wait for, and half a line.
        write_reply(&mut line, id ^ 1, &Reply::Done).unwrap();
        stream.write_all(&line).unwrap();
        stream.write_all(b"oche-reply 1 {\"sta\xff\n").unwrap();
        for reply in &replies {
            write_reply(&mut line, id, reply).unwrap();
            stream.write_all(&line).unwrap();
        }
    })
}

fn linked() -> (Link, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let link = Link {
        stream: Box::new(near),
        buffer: LineBuffer::new(),
        patience: ANSWER_WITHIN,
    };
    (link, far)
}

fn status() -> Reply {
    Reply::Status(Status {
        cores: 3,
        ..Status::default()
    })
}

#[test]
fn an_answer_is_taken_out_of_what_else_comes() {
    let (mut link, far) = linked();
    let oche = oche(far, vec![status(), Reply::Done]);
    let Answer::Done(replies) = link.ask(VERSION, Request::Status).unwrap() else {
        panic!("refused");
    };
    assert_eq!(replies, [status()]);
    oche.join().unwrap();
}

#[test]
fn a_refusal_ends_the_answer() {
    let (mut link, far) = linked();
    let refusal = Refusal {
        code: Code::UnknownGuest,
        sentence: reason(format_args!("no")),
    };
    let oche = oche(far, vec![Reply::Error(refusal)]);
    let answer = link.ask(VERSION, Request::Kill { guest: "a" }).unwrap();
    assert!(matches!(answer, Answer::Refused(what) if what == refusal));
    oche.join().unwrap();
}

#[test]
fn an_oche_that_does_not_answer_is_told() {
    let (mut link, _far) = linked();
    link.patience = Duration::from_millis(20);
    let failure = link.ask(VERSION, Request::Status).unwrap_err();
    assert!(failure.sentence.starts_with("Oche did not answer within "));
}

#[test]
fn a_machine_that_goes_is_told() {
    let (mut link, far) = linked();
    far.shutdown(Shutdown::Both).unwrap();
    let failure = link.ask(VERSION, Request::Status).unwrap_err();
    assert!(failure.sentence.contains("has gone"));
}

#[test]
fn a_serial_device_is_spoken_to_raw() {
    let far: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&far).unwrap();
    unlockpt(&far).unwrap();
    let path = ptsname(&far, Vec::new()).unwrap().into_string().unwrap();
    let place = Place::Serial {
        path: path.into(),
        baud: 115_200,
    };
    let mut link = Link::open(&place).unwrap();
    let oche = oche(
        File::from(far.try_clone().unwrap()),
        vec![status(), Reply::Done],
    );
    let answer = link.ask(VERSION, Request::Status).unwrap();
    assert!(matches!(answer, Answer::Done(replies) if replies == [status()]));
    oche.join().unwrap();
}

#[test]
fn where_nobody_listens_a_sentence_says_so() {
    let path = std::env::temp_dir().join(format!("oche-nobody-{}", std::process::id()));
    let Err(failure) = Link::open(&Place::Socket(path)) else {
        panic!("somebody is there");
    };
    assert!(failure.sentence.starts_with("no Oche is there at "));
}
