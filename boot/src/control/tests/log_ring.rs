use alloc::string::String;

use proptest::prelude::*;

use super::super::{LogRing, MAX_LOG_LINE};

/// Reads to the end of a ring, as an asker does.
fn read_all<const N: usize>(ring: &LogRing<N>, mut from: u64) -> (String, u64) {
    let (mut text, mut lost) = (String::new(), 0);
    loop {
        let chunk = ring.read(from);
        lost += chunk.lost;
        text += &chunk.text;
        if chunk.next == chunk.from {
            return (text, lost);
        }
        from = chunk.next;
    }
}

#[test]
fn a_log_that_began_anew_is_read_from_its_start() {
    let mut ring = LogRing::<1024>::new();
    ring.push(format_args!("anew"));
    let chunk = ring.read(1000);
    assert_eq!((chunk.from, chunk.lost), (0, 0));
    assert_eq!(&chunk.text, "anew\n");
}

#[test]
fn a_line_cannot_be_forged_inside_another() {
    let mut ring = LogRing::<1024>::new();
    ring.push(format_args!("a\noche: b\r\x1b[0m"));
    assert_eq!(read_all(&ring, 0).0, "a oche: b  [0m\n");
}

#[test]
fn a_long_line_is_cut() {
    let mut ring = LogRing::<1024>::new();
    ring.push(format_args!("{}", "\u{e9}".repeat(999)));
    assert_eq!(read_all(&ring, 0).0.len(), MAX_LOG_LINE + 1);
}

proptest! {
    #[test]
    fn what_a_reader_misses_is_counted_to_the_byte(
        lines in proptest::collection::vec("[ -~\u{e0}-\u{ff}]{0,300}", 0..40), from in 0_u64..2000,
    ) {
        let mut ring = LogRing::<1024>::new();
        let mut all = String::new();
        for line in &lines {
            ring.push(format_args!("{line}"));
            all += line;
            all += "\n";
        }
        let (text, lost) = read_all(&ring, 0);
        prop_assert_eq!(lost + text.len() as u64, all.len() as u64);
        prop_assert!(all.ends_with(&text));
        prop_assert!(lost == 0 || all.as_bytes()[usize::try_from(lost).unwrap() - 1] == b'\n');
        prop_assert!(all.len() - text.len() == 0 || text.len() + 302 + 302 > 1024);
        // From anywhere else, too, and in the middle of a character.
        let from = from.min(ring.end());
        let (text, lost) = read_all(&ring, from);
        prop_assert_eq!(from + lost + text.len() as u64, all.len() as u64);
    }
}
