mod terminal;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use self::terminal::Terminal;
use super::*;

impl Sink for Vec<u8> {
    fn put(&mut self, byte: u8) {
        self.push(byte);
    }
}

/// Two guests and Oche on one line.
struct Line {
    screen: Screen,
    guests: [Tagger; 2],
    out: Vec<u8>,
}

impl Line {
    fn new() -> Self {
        let mut screen = Screen::new();
        let mut out = Vec::new();
        screen.oche(&mut out, "oche: ready\n");
        out.clear();
        Line {
            screen,
            guests: [Tagger::new(0, "linux"), Tagger::new(1, "other")],
            out,
        }
    }

    fn guest(&mut self, number: usize, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            self.guests[number].write(&mut self.screen, &mut self.out, *byte);
        }
        self
    }

    fn oche(&mut self, text: &str) -> &mut Self {
        self.screen.oche(&mut self.out, text);
        self
    }

    fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }
}

fn shown(bytes: &[u8]) -> String {
    Line::new().guest(0, bytes).text()
}

#[test]
fn each_line_begins_with_the_guests_name() {
    assert_eq!(
        shown(b"one\r\ntwo\n\nthree"),
        "linux| one\r\nlinux| two\r\nlinux| \r\nlinux| three"
    );
    assert_eq!(shown(b"\ttab\r\r\nx"), "linux|         tab\r\nlinux| x");
}

#[test]
fn a_prompt_is_shown_at_once() {
    let mut line = Line::new();
    assert_eq!(line.guest(0, b"# ").text(), "linux| # ");
    assert_eq!(line.guest(0, b"ls\r\n").text(), "linux| # ls\r\n");
}

#[test]
fn a_carriage_return_begins_a_line_if_something_follows() {
    assert_eq!(shown(b"10%\r20%\r\n"), "linux| 10%\r\nlinux| 20%\r\n");
    assert_eq!(shown(b"\rx\r"), "linux| x");
    assert_eq!(shown(b"a\n\rb"), "linux| a\r\nlinux| b");
}

#[test]
fn what_moves_the_cursor_is_text() {
    assert_eq!(shown(b"\x1b[2Joche"), "linux| ^[[2Joche");
    assert_eq!(shown(b"\x9b1A\x7f\x07\x0b\x00"), "linux| \\x9b1A^?^G^K");
    assert_eq!(shown("é".as_bytes()), "linux| \\xc3\\xa9");
}

#[test]
fn a_backspace_rubs_out_what_the_guest_wrote_and_no_more() {
    assert_eq!(shown(b"\x08a\x08\x08\x08b"), "linux| a\x08 \x08b");
    let mut long = vec![b'x'; 73];
    long.push(8);
    assert!(!shown(&long).contains('\x08'));
    long[72] = 8;
    assert!(shown(&long).contains('\x08'));
}

#[test]
fn oches_words_get_a_bar() {
    assert_eq!(shown(b"oche: no"), "linux| oche:| no");
    assert_eq!(
        shown(b"oche-summary c0ffee {}"),
        "linux| oche-summar|y c0ffee {}"
    );
    assert_eq!(shown(b"ochx\x08e: no"), "linux| ochx\x08 \x08e:| no");
    // Its own words a guest may say.
    assert_eq!(shown(b"oche-guest: pass"), "linux| oche-guest: pass");
    assert_eq!(shown(b"oche:no"), "linux| oche:no");
}

#[test]
fn a_line_that_was_broken_off_goes_on_with_a_mark() {
    let mut line = Line::new();
    line.guest(0, b"half ")
        .oche("oche: news\n")
        .guest(0, b"a line\n");
    assert_eq!(
        line.text(),
        "linux| half \r\noche: news\r\nlinux|+a line\r\n"
    );
    let mut line = Line::new();
    line.guest(0, b"half")
        .oche("oche: news\n")
        .guest(0, b"\r\nnext\n");
    assert_eq!(line.text(), "linux| half\r\noche: news\r\nlinux| next\r\n");
}

#[test]
fn guests_break_each_others_lines_off() {
    let mut line = Line::new();
    line.guest(0, b"a")
        .guest(1, b"b")
        .guest(0, b"c\n")
        .guest(1, b"\nd");
    assert_eq!(line.text(), "linux| a\r\nother| b\r\nlinux|+c\r\nother| d");
}

#[test]
fn a_guest_that_starts_anew_begins_a_line() {
    let mut line = Line::new();
    line.guest(0, b"half");
    line.oche("oche: reset\n");
    line.guests[0].reset();
    line.guest(0, b"boot\n");
    assert_eq!(line.text(), "linux| half\r\noche: reset\r\nlinux| boot\r\n");
}

#[test]
fn raw_bytes_stay_as_they_are_and_oche_still_begins_a_line() {
    let mut line = Line::new();
    line.screen.set_style(Style::Raw);
    line.guest(0, b"\x1b[2Joche: \xff").oche("oche: news\n");
    assert_eq!(line.out, b"\x1b[2Joche: \xff\r\noche: news\r\n");
    let mut line = Line::new();
    line.screen.set_style(Style::Raw);
    line.guest(0, b"a\r\n").oche("oche: news\n");
    assert_eq!(line.out, b"a\r\noche: news\r\n");
}

#[test]
fn a_name_is_cut_to_what_a_tag_takes() {
    assert_eq!(Tagger::new(0, &"x".repeat(99)).name().len(), MAX_NAME);
    assert_eq!(Tagger::new(0, "a \r\nb").name(), "ab");
}

#[test]
fn the_menu_opens_with_its_key_and_closes_by_itself() {
    let mut menu = Menu::default();
    let mut typed = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| menu.take(*byte))
            .collect::<Vec<_>>()
    };
    let ours = Input::Oche;
    assert_eq!(typed(b"a\x1d"), [Input::Guest(b'a'), ours(Command::Prompt)]);
    assert_eq!(
        typed(b"h?s"),
        [Command::Help, Command::Help, Command::State].map(ours)
    );
    assert_eq!(typed(b"s"), [Input::Guest(b's')]);
    assert_eq!(
        typed(b"\x1dg\x1dn"),
        [
            Command::Prompt,
            Command::Guests,
            Command::Prompt,
            Command::Next
        ]
        .map(ours)
    );
    assert_eq!(
        typed(b"\x1d\x1dx"),
        [
            ours(Command::Prompt),
            Input::Guest(ESCAPE),
            Input::Guest(b'x')
        ]
    );
    assert_eq!(
        typed(b"\x1dky"),
        [Command::Prompt, Command::AskKill, Command::Kill].map(ours)
    );
    assert_eq!(
        typed(b"\x1dkn"),
        [Command::Prompt, Command::AskKill, Command::Back].map(ours)
    );
    assert_eq!(
        typed(b"\x1dk\x1dy"),
        [
            ours(Command::Prompt),
            ours(Command::AskKill),
            ours(Command::Back),
            Input::Guest(b'y')
        ]
    );
    assert_eq!(typed(b"\x1dx"), [Command::Prompt, Command::Back].map(ours));
}

/// Behind the last column a terminal's cursor is one further left than one would think: each time a guest filled the
/// row and rubbed it out, it would get one column further into its tag.
#[test]
fn a_guest_cannot_rub_its_tag_out() {
    for late in [false, true] {
        let mut line = Line::new();
        line.guests[0] = Tagger::new(0, "o");
        for length in 77..90 {
            line.guest(0, &vec![b'x'; length])
                .guest(0, &vec![8; length]);
        }
        line.guest(0, b"che: forged");
        let mut terminal = Terminal::new(80, late);
        terminal.feed(&line.out);
        assert!(!terminal.rows().iter().any(|row| row.starts_with("oche: ")));
        assert!(terminal.rows()[0].starts_with("o| "));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Guest(usize, Vec<u8>),
    Oche,
}

/// Bytes that have something to do with the words, or with the cursor.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![&b"oche: "[..], b"oche-summary", b"och", b"e: ", b"o", b"c", b"he", b": ", b" "]).prop_map(<[u8]>::to_vec),
        4 => prop::sample::select(b"\r\n\x08\t\x1b\x9b[AHKoche: -".to_vec()).prop_map(|byte| vec![byte]),
        2 => (1..90_usize).prop_map(|count| vec![0x08; count]),
        3 => (60..250_usize).prop_map(|count| vec![b'x'; count]),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..2_usize, bytes()).prop_map(|(guest, bytes)| Step::Guest(guest, bytes)),
        1 => Just(Step::Oche),
    ];
    prop::collection::vec(step, 0..12)
}

fn line_of(steps: &[Step], names: [&str; 2]) -> (Line, usize) {
    let mut line = Line::new();
    line.guests = [Tagger::new(0, names[0]), Tagger::new(1, names[1])];
    let mut ours = 0;
    for step in steps {
        match step {
            Step::Guest(number, bytes) => {
                line.guest(*number, bytes);
            }
            Step::Oche => {
                line.oche("oche: true\n");
                ours += 1;
            }
        }
    }
    (line, ours)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_row_of_any_terminal_says_what_oche_says(steps in steps(), late: bool, width in prop_oneof![Just(80_usize), Just(240), 80..300_usize]) {
        // Names that are the beginning of a word are the worst.
        let (line, ours) = line_of(&steps, ["o", "oche"]);
        let mut terminal = Terminal::new(width, late);
        terminal.feed(&line.out);
        let forged = |row: &&String| row.starts_with("oche: ") || row.starts_with("oche-summary");
        let found: Vec<String> = terminal.rows().iter().filter(forged).cloned().collect();
        prop_assert_eq!(found, vec!["oche: true".to_string(); ours]);
    }

    #[test]
    fn every_line_is_oches_or_tagged(steps in steps()) {
        let (line, ours) = line_of(&steps, ["linux", "other"]);
        let text = line.text();
        let mut found = 0;
        for row in text.split("\r\n").filter(|row| !row.is_empty()) {
            if row == "oche: true" {
                found += 1;
                continue;
            }
            let tagged = ["linux| ", "linux|+", "other| ", "other|+"].iter().any(|tag| row.starts_with(tag));
            prop_assert!(tagged, "{:?}", row);
            prop_assert!(row.bytes().all(|byte| byte == 8 || (b' '..=b'~').contains(&byte)), "{:?}", row);
        }
        prop_assert_eq!(found, ours);
    }

    #[test]
    fn plain_text_arrives_whole(text in "[ -~]{0,200}", cut in 0..200_usize) {
        prop_assume!(!text.contains("oche: ") && !text.contains("oche-summary"));
        let cut = cut.min(text.len());
        let mut line = Line::new();
        line.guest(0, &text.as_bytes()[..cut]).oche("oche: true\n").guest(0, &text.as_bytes()[cut..]);
        let mut joined = String::new();
        for row in line.text().split("\r\n").filter(|row| *row != "oche: true") {
            joined.push_str(row.get(7..).unwrap_or(""));
        }
        prop_assert_eq!(joined, text);
    }
}
