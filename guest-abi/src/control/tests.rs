use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use arrayvec::{ArrayString, ArrayVec};
use proptest::prelude::*;

use super::*;
use crate::summary::reason;

fn lines<const N: usize>(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut buffer = LineBuffer::<N>::new();
    bytes
        .iter()
        .filter_map(|byte| match buffer.feed(*byte)? {
            Line::Whole(line) => Some(Some(line.to_vec())),
            Line::TooLong(_) => Some(None),
        })
        .collect()
}

fn code(line: &str) -> (u32, Code) {
    let bad = read_request(line.as_bytes()).unwrap_err();
    (bad.id, bad.code)
}

fn reply_line(id: u32, reply: &Reply) -> Vec<u8> {
    let mut line = ArrayVec::new();
    write_reply(&mut line, id, reply).unwrap();
    line.to_vec()
}

#[test]
fn lines_end_with_either_character_or_both() {
    let found = lines::<8>(b"one\r\ntwo\rthree\n\n\nrest");
    let words: Vec<_> = found.into_iter().flatten().collect();
    assert_eq!(words, [&b"one"[..], b"two", b"three"]);
}

#[test]
fn a_line_that_is_too_long_is_told_once_and_the_next_one_is_whole() {
    assert_eq!(lines::<4>(b"12345678\nab\n"), [None, Some(b"ab".to_vec())]);
}

#[test]
fn a_person_can_take_a_letter_back() {
    assert_eq!(lines::<8>(b"\x7fkilk\x08l\n"), [Some(b"kill".to_vec())]);
}

#[test]
fn a_person_need_not_send_the_check() {
    let asked = read_request(b"oche  1 7 kill linux ").unwrap();
    let request = Request::Kill { guest: "linux" };
    assert_eq!(asked, Asked { id: 7, request });
}

#[test]
fn the_check_is_the_crc_of_zlib() {
    let line = write_request(
        VERSION,
        &Asked {
            id: 7,
            request: Request::Status,
        },
    );
    // python3 -c 'import zlib; print("%08x" % zlib.crc32(b"oche 1 7 status"))'
    assert_eq!(&line.unwrap()[..], b"\noche 1 7 status *dcf37e75\n");
}

#[test]
fn a_damaged_request_is_not_obeyed() {
    let line = write_request(
        VERSION,
        &Asked {
            id: 7,
            request: Request::Kill { guest: "a" },
        },
    );
    let mut line = line.unwrap();
    let at = line.iter().position(|byte| *byte == b'a').unwrap();
    line[at] = b'b';
    let bad = read_request(line.trim_ascii()).unwrap_err();
    assert_eq!(bad.code, Code::Damaged);
    assert_eq!(code("oche 1 7 status *12").1, Code::Damaged);
    assert_eq!(code("oche 1 7 status *+1234567").1, Code::Damaged);
}

#[test]
fn what_is_no_request_is_told_from_one_of_another_version() {
    assert_eq!(code("oche 2 7 status"), (7, Code::BadVersion));
    assert_eq!(code("oche 2 7 novelty 1 2 3"), (7, Code::BadVersion));
    assert_eq!(code("oche 2"), (0, Code::BadVersion));
    for line in [
        "status",
        "oche",
        "oche 1",
        "oche x 7 status",
        "oche +1 7 status",
        "oche 1 x status",
        "oche 1 4294967296 status",
        "oche-reply 1 7 \"done\"",
        "oche 1 \u{e9} status",
        "\u{0}",
    ] {
        assert_eq!(code(line), (0, Code::BadRequest), "{line}");
    }
    for line in [
        "oche 1 7",
        "oche 1 7 stat",
        "oche 1 7 status now",
        "oche 1 7 kill",
        "oche 1 7 kill a b",
        "oche 1 7 log",
        "oche 1 7 log -1",
        "oche 1 7 log 18446744073709551616",
        "oche 1 7 kill abcdefghijklmnopqrstuvwxyz-012345",
    ] {
        assert_eq!(code(line), (7, Code::BadRequest), "{line}");
    }
}

#[test]
fn the_longest_request_fits() {
    let guest = "x".repeat(32);
    let request = Request::Restart { guest: &guest };
    let line = write_request(
        VERSION,
        &Asked {
            id: u32::MAX,
            request,
        },
    );
    assert_eq!(line.unwrap().len(), 68 + 2, "with an end on both sides");
}

/// All numbers at their widest, all texts at their longest.
fn widest(reply: &Reply) -> Reply {
    let json = serde_json::to_string(reply).unwrap();
    let json = json.replace(":0", ":18446744073709551615");
    let json = json.replace(
        "\"protocol\":18446744073709551615",
        "\"protocol\":4294967295",
    );
    serde_json::from_str(&json).unwrap()
}

#[test]
fn the_widest_replies_fit_their_lines() {
    let quotes = |count| "\"".repeat(count);
    let name = ArrayString::from(&"n".repeat(32)).unwrap();
    let oche = ArrayString::from(&quotes(32)).unwrap();
    for reply in [
        Reply::Hello(Hello { oche, protocol: 0 }),
        Reply::Status(Status {
            oche,
            ..Status::default()
        }),
        Reply::Guest(GuestState {
            name,
            state: State::Stopping,
            ..GuestState::default()
        }),
        Reply::Log(LogChunk {
            text: ArrayString::from(&quotes(LOG_CHUNK)).unwrap(),
            ..LogChunk::default()
        }),
        Reply::Done,
        Reply::Error(Refusal {
            code: Code::UnknownGuest,
            sentence: reason(format_args!("{}", quotes(500))),
        }),
    ] {
        let reply = widest(&reply);
        let line = reply_line(u32::MAX, &reply);
        let read = read_reply(line.trim_ascii()).unwrap();
        assert_eq!((read.id, read.version), (u32::MAX, 1));
        assert_eq!(serde_json::from_str::<Reply>(read.json).unwrap(), reply);
    }
}

#[test]
fn only_replies_with_a_good_check_are_read() {
    let line = String::from_utf8(reply_line(7, &Reply::Done)).unwrap();
    assert!(line.starts_with("oche-reply 1 7 \"done\" *"));
    assert!(read_reply(line.trim().as_bytes()).is_some());
    assert_eq!(read_reply(line.replace('7', "8").trim().as_bytes()), None);
    assert_eq!(read_reply(b"oche-reply 1 7 \"done\""), None);
    assert_eq!(read_reply(b"oche 1 7 status"), None);
}

#[test]
fn a_later_oche_may_say_more() {
    let status = r#"{"status":{"oche":"9.9.9","uptime_us":5,"novelty":true}}"#;
    let Reply::Status(status) = serde_json::from_str(status).unwrap() else {
        panic!("no status");
    };
    assert_eq!((status.uptime_us, status.cores), (5, 0));
}

fn requests() -> impl Strategy<Value = (u32, u8, String, u64)> {
    (any::<u32>(), 0_u8..7, "[a-z0-9-]{1,32}", any::<u64>())
}

fn request(kind: u8, guest: &str, from: u64) -> Request<'_> {
    match kind {
        0 => Request::Hello,
        1 => Request::Status,
        2 => Request::Guests,
        3 => Request::Kill { guest },
        4 => Request::Restart { guest },
        5 => Request::Reset,
        _ => Request::Log { from },
    }
}

proptest! {
    #[test]
    fn what_is_asked_is_read((id, kind, guest, from) in requests()) {
        let asked = Asked { id, request: request(kind, &guest, from) };
        let line = write_request(VERSION, &asked).unwrap();
        prop_assert_eq!(read_request(line.trim_ascii()), Ok(asked));
    }

    #[test]
    fn after_any_garbage_the_next_request_is_read(
        garbage: Vec<u8>, (id, kind, guest, from) in requests(),
    ) {
        let asked = Asked { id, request: request(kind, &guest, from) };
        let mut bytes = garbage;
        bytes.extend(write_request(VERSION, &asked).unwrap());
        let found = lines::<MAX_REQUEST>(&bytes);
        let last = found.last().unwrap().as_ref().unwrap();
        prop_assert_eq!(read_request(last), Ok(asked));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, text in "(oche(-reply)? 1 )?[ -~]{0,60}( \\*[0-9a-f]{0,9})?") {
        let _ = lines::<7>(&bytes);
        for line in [&bytes[..], text.as_bytes()] {
            let _ = read_request(line);
            let _ = read_reply(line);
        }
    }

    #[test]
    fn no_damage_of_one_bit_passes(
        (id, kind, guest, from) in requests(), at in any::<prop::sample::Index>(), bit in 0..8,
    ) {
        let asked = Asked { id, request: request(kind, &guest, from) };
        let line = write_request(VERSION, &asked).unwrap();
        let mut line = line.trim_ascii().to_vec();
        let at = at.index(line.len());
        line[at] ^= 1_u8 << bit;
        match read_request(&line) {
            // A digit of the check in upper case is the same digit.
            Ok(read) => prop_assert_eq!(read, asked),
            Err(bad) => prop_assert_ne!(bad.code, Code::BadVersion),
        }
    }

    #[test]
    fn a_log_survives_the_line(text in "[ -~\n\u{e0}-\u{ff}]{0,200}", from: u64, lost: u64) {
        let text = ArrayString::from(&text).unwrap();
        let reply = Reply::Log(LogChunk { from, lost, next: 1, text });
        let line = reply_line(1, &reply);
        let read = read_reply(line.trim_ascii()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Reply>(read.json).unwrap(), reply);
    }
}

#[test]
fn a_request_reads_as_it_is_written() {
    assert_eq!(format!("{}", Request::Log { from: 9 }), "log 9");
    assert_eq!(Request::Kill { guest: "a" }.to_string(), "kill a");
}
