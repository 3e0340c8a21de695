//! The table as `docs/cpu.md` shows it. The file is written by a person but for what lies between two marks.

extern crate std;

use std::fmt::Write as _;
use std::string::String;
use std::vec::Vec;
use std::{env, format, fs};

use super::control::{BASE, Control};
use super::field::{Decision, Field, IdRegister};
use super::table::TABLE;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cpu.md");
const BEGIN: &str =
    "<!-- The table is written by `OCHE_UPDATE_DOCS=1 cargo test -p hv-core --lib cpu`. -->\n";
const END: &str = "<!-- End of the table. -->\n";

#[test]
fn the_document_shows_the_table() {
    let document = fs::read_to_string(FILE).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (old, after) = rest.split_once(END).unwrap();
    let new = rendered();
    if old == new {
        return;
    }
    if env::var_os("OCHE_UPDATE_DOCS").is_some() {
        fs::write(FILE, format!("{before}{BEGIN}{new}{END}{after}")).unwrap();
        return;
    }
    let line = old.lines().zip(new.lines()).find(|(old, new)| old != new);
    panic!(
        "docs/cpu.md shows another table than hv-core/src/cpu/table has, first at {line:?}: \
         run `OCHE_UPDATE_DOCS=1 cargo test -p hv-core --lib cpu` and look at the difference"
    );
}

fn rendered() -> String {
    let mut text = String::new();
    let base: Vec<_> = BASE.iter().map(control).collect();
    writeln!(text, "\nAlways: {}.", base.join(", ")).unwrap();
    for register in TABLE {
        write_register(&mut text, register);
    }
    text.push('\n');
    text
}

fn write_register(text: &mut String, register: &IdRegister) {
    writeln!(text, "\n### {}\n", register.name).unwrap();
    writeln!(text, "| bits | field | a guest sees | by | why |").unwrap();
    writeln!(text, "|---|---|---|---|---|").unwrap();
    for field in register.fields {
        let high = field.low + field.width - 1;
        let controls: Vec<_> = field.controls.iter().map(control).collect();
        writeln!(
            text,
            "| {high}:{} | {} | {} | {} | {} |",
            field.low,
            field.name,
            decision(field),
            controls.join(", "),
            field.why
        )
        .unwrap();
    }
}

fn decision(field: &Field) -> String {
    match field.decision {
        Decision::Show => "the machine's".into(),
        Decision::UpTo(most) => format!("at most {most}"),
        Decision::Hide if field.absent == 0 => "**absent**".into(),
        Decision::Hide => format!("**absent** ({:#x})", field.absent),
    }
}

fn control(control: &Control) -> String {
    match control {
        Control::Bits { name, set, .. } => format!("{name} = {}", u8::from(*set)),
        Control::AboveEl1 => "undefined below EL2".into(),
        Control::Untrapped => "nothing: no trap exists".into(),
    }
}
