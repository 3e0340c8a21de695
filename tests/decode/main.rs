//! A64 load/store decoding against a disassembler and a processor; README.md has the how and why.
#![expect(
    clippy::unwrap_used,
    reason = "a test: what is not as expected ends it"
)]

mod effects;
mod normal;
mod render;
mod table;
mod words;

use std::process::Command;

use hv_core::trap::instruction;

const TABLE: &str = include_str!("table.txt");
const EFFECTS: &str = include_str!("effects.txt");
const OBJDUMP: &str = "aarch64-linux-gnu-objdump";

#[test]
fn every_word_decodes_as_the_disassembler_says() {
    let (words, table) = (words::words(), table::read(TABLE));
    assert_eq!(words.len(), table.len(), "the table is for other words");
    let mut wrong = Vec::new();
    for (word, expected) in words.iter().zip(&table) {
        let ours = instruction::decode(*word).map(|access| render::render(&access));
        if ours != *expected {
            wrong.push(format!("{word:#010x}: {ours:?}, expected {expected:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        words.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

/// The words of one form all being undefined would prove nothing.
#[test]
fn the_table_has_every_kind_of_access() {
    let table = table::read(TABLE);
    let has = |name: &str, at_least: usize| {
        let found = table.iter().flatten();
        let found = found
            .filter(|line| line.split(' ').next() == Some(name))
            .count();
        assert!(found >= at_least, "{name}: {found}");
    };
    for name in [
        "ld1", "ld2", "ld4", "ld8", "ld16", "st1", "st2", "st4", "st8", "st16", "pf",
    ] {
        has(name, 100);
    }
    for name in ["lds1", "lds2", "lds4", "tags"] {
        has(name, 100);
    }
    for name in [
        "ldx1", "ldx4a", "ldx8", "stx2l", "stx4", "stx8l", "cas4", "cas8al", "cas1l",
    ] {
        has(name, 8);
    }
    for name in ["ld1a", "ld8a", "st4l", "lds1a", "lds4a", "copy"] {
        has(name, 8);
    }
    for operator in [
        "add", "clr", "eor", "set", "smax", "smin", "umax", "umin", "swp",
    ] {
        for bytes in [1, 2, 4, 8] {
            for ordering in ["", "a", "l", "al"] {
                has(&format!("{operator}{bytes}{ordering}"), 2);
            }
        }
    }
    has("64", 2);
}

#[test]
fn every_load_and_store_does_what_a_processor_does() {
    let records = effects::records();
    let expected: Vec<u32> = EFFECTS
        .split_whitespace()
        .map(|hash| u32::from_str_radix(hash, 16).unwrap())
        .collect();
    assert_eq!(records.len(), expected.len(), "effects.txt is for others");
    assert!(records.len() > 8000, "{}", records.len());
    let mut wrong = Vec::new();
    for (before, expected) in records.iter().zip(expected) {
        if effects::carried_out(before).hash() != expected {
            let word = u32::from_le_bytes(before.bytes[768..772].try_into().unwrap());
            let access = instruction::decode(word).unwrap();
            wrong.push(format!("{word:#010x}: {}", render::render(&access)));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Not a test: writes `effects.txt` anew, from what QEMU's processor does (packages `qemu-system-arm`,
/// `gcc-aarch64-linux-gnu`).
#[test]
#[ignore = "needs qemu-system-aarch64 and aarch64-linux-gnu-gcc; rewrites effects.txt"]
fn regenerate_effects() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (program, list) = (directory.join("processor.elf"), directory.join("records"));
    let here = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/decode"));
    let records = effects::records();
    let mut bytes: Vec<u8> = records.iter().flat_map(|record| record.bytes).collect();
    bytes.extend([0; effects::RECORD]);
    std::fs::write(&list, bytes).unwrap();
    let built = Command::new("aarch64-linux-gnu-gcc")
        .args([
            "-nostdlib",
            "-static",
            "-Wl,--build-id=none,-Ttext=0x40100000",
        ])
        .arg("-o")
        .args([&program, &here.join("processor.S")])
        .status()
        .unwrap();
    assert!(built.success());
    let loader = format!(
        "loader,file={},addr={:#x},force-raw=on",
        list.display(),
        effects::RECORDS
    );
    let output = Command::new("timeout")
        .args(["120", "qemu-system-aarch64", "-M", "virt", "-cpu", "max"])
        .args([
            "-m", "1280M", "-nic", "none", "-display", "none", "-monitor", "none",
        ])
        .args([
            "-no-reboot",
            "-serial",
            "stdio",
            "-device",
            &loader,
            "-kernel",
        ])
        .arg(&program)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let hashes: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(hashes.len(), records.len());
    if let Some(index) = hashes.iter().position(|hash| hash.contains('!')) {
        panic!(
            "the processor aborted {:x?}",
            &records[index].bytes[768..772]
        );
    }
    let lines: Vec<String> = hashes.chunks(8).map(|line| line.join(" ")).collect();
    std::fs::write(here.join("effects.txt"), lines.join("\n") + "\n").unwrap();
}

/// Not a test: writes `table.txt` anew from the disassembler (package `binutils-aarch64-linux-gnu`).
#[test]
#[ignore = "needs aarch64-linux-gnu-objdump; rewrites table.txt"]
fn regenerate_table() {
    let words = words::words();
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let binary = directory.join("words.bin");
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(&binary, bytes).unwrap();
    let output = Command::new(OBJDUMP)
        .args([
            "-D",
            "-z",
            "-b",
            "binary",
            "-m",
            "aarch64",
            "-M",
            "no-aliases",
        ])
        .arg(&binary)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = Vec::new();
    for line in text.lines() {
        // "   1234:\tf9400001 \tldr\tx1, [x0]"
        let mut columns = line.splitn(3, '\t');
        let at = columns.next().and_then(|at| at.trim().strip_suffix(':'));
        let at = at.and_then(|at| i64::from_str_radix(at, 16).ok());
        let (Some(at), Some(word), Some(text)) = (at, columns.next(), columns.next()) else {
            continue;
        };
        let word = u32::from_str_radix(word.trim(), 16).unwrap();
        assert_eq!(words[lines.len()], word, "a line is missing before {line}");
        let normal = normal::normal(at, text);
        // In the group of loads and stores, only a word that is not an instruction may have no line in the table.
        let in_group = word & (1 << 27 | 1 << 25) == 1 << 27;
        assert!(
            normal.is_some() || !in_group || text.starts_with(".inst"),
            "not understood: {line}"
        );
        lines.push(normal.filter(|_| in_group));
    }
    assert_eq!(lines.len(), words.len());
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/decode/table.txt");
    std::fs::write(table, table::write(&lines)).unwrap();
}
