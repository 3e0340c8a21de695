//! The disassembler's text in the words of the table. Nothing here knows the decoder that is under test.

/// One line of the table for the instruction at `at`; `None` for a word that is no load or store.
pub(crate) fn normal(at: i64, text: &str) -> Option<String> {
    // What follows `//` or `;` is the disassembler's comment.
    let text = text.split("//").next()?.split(';').next()?.trim();
    let (mnemonic, operands) = text.split_once(char::is_whitespace)?;
    let operands = operands.trim();
    if mnemonic.starts_with('.') {
        return None;
    }
    if operands.contains("z") && is_scalable(operands) {
        return None;
    }
    match mnemonic {
        "ldg" | "stg" | "st2g" | "stzg" | "stz2g" | "stgp" | "ldgm" | "stgm" | "stzgm" => {
            return Some("tags".into());
        }
        "ld64b" | "st64b" | "st64bv" | "st64bv0" => return Some("64".into()),
        _ if mnemonic.starts_with("cpy") || is_set(mnemonic) => return Some("copy".into()),
        "prfm" | "prfum" => {
            let (_, address) = operands.split_once(", ")?;
            return Some(format!("pf {}", self::address(at, address)?));
        }
        _ => {}
    }
    if let Some(list) = operands.strip_prefix('{') {
        return structure(mnemonic, list);
    }
    let (registers, address) = split_address(operands)?;
    let registers: Vec<&str> = registers.split(", ").collect();
    let name = name(mnemonic, &registers)?;
    let mut address = self::address(at, address)?;
    if mnemonic == "ldraa" || mnemonic == "ldrab" {
        address = address.replacen('[', "[auth", 1);
    }
    let registers: Option<Vec<String>> =
        registers.iter().map(|register| number(register)).collect();
    Some(format!("{name} {} {address}", registers?.join(",")))
}

/// Operands of SVE: `z` and `p` registers.
fn is_scalable(operands: &str) -> bool {
    operands
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| {
            word.strip_prefix('z')
                .is_some_and(|n| n.parse::<u8>().is_ok())
        })
}

/// `SETP`, `SETGMTN` ..., but not `SETF8`.
fn is_set(mnemonic: &str) -> bool {
    mnemonic.strip_prefix("set").is_some_and(|rest| {
        let rest = rest.strip_prefix('g').unwrap_or(rest);
        rest.starts_with(['p', 'm', 'e'])
    })
}

/// The registers, and the address that comes after them.
fn split_address(operands: &str) -> Option<(&str, &str)> {
    match operands.find('[') {
        Some(at) => Some((operands[..at].trim_end_matches([',', ' ']), &operands[at..])),
        None => operands.rsplit_once(", "),
    }
}

/// Operation, bytes and ordering.
fn name(mnemonic: &str, registers: &[&str]) -> Option<String> {
    let first = *registers.first()?;
    // What the last register of the list is: its width is the access's where the mnemonic has no suffix.
    let width = width(registers.last()?)?;
    for stem in ["ldraa", "ldrab"] {
        if mnemonic == stem {
            return Some("ld8".into());
        }
    }
    if let Some(rest) = mnemonic.strip_prefix("cas") {
        let rest = rest.strip_prefix('p').unwrap_or(rest);
        return suffixed("cas", rest, width);
    }
    let atomics = [
        ("ldadd", "add"),
        ("ldclr", "clr"),
        ("ldeor", "eor"),
        ("ldset", "set"),
        ("ldsmax", "smax"),
        ("ldsmin", "smin"),
        ("ldumax", "umax"),
        ("ldumin", "umin"),
        ("swp", "swp"),
    ];
    for (stem, name) in atomics {
        if let Some(rest) = mnemonic.strip_prefix(stem) {
            return suffixed(name, rest, width);
        }
    }
    // Stem, name in the table, ordering; longer stems first.
    let moves = [
        ("ldaxp", "ldx", "a"),
        ("ldaxr", "ldx", "a"),
        ("ldxp", "ldx", ""),
        ("ldxr", "ldx", ""),
        ("stlxp", "stx", "l"),
        ("stlxr", "stx", "l"),
        ("stxp", "stx", ""),
        ("stxr", "stx", ""),
        ("ldapur", "ld", "a"),
        ("ldapr", "ld", "a"),
        ("ldlar", "ld", "a"),
        ("ldar", "ld", "a"),
        ("stllr", "st", "l"),
        ("stlur", "st", "l"),
        ("stlr", "st", "l"),
        ("ldtr", "ld", ""),
        ("ldur", "ld", ""),
        ("ldnp", "ld", ""),
        ("ldp", "ld", ""),
        ("ldr", "ld", ""),
        ("sttr", "st", ""),
        ("stur", "st", ""),
        ("stnp", "st", ""),
        ("stp", "st", ""),
        ("str", "st", ""),
    ];
    for (stem, name, ordering) in moves {
        let Some(rest) = mnemonic.strip_prefix(stem) else {
            continue;
        };
        let (sign, rest) = match rest.strip_prefix('s') {
            Some(rest) => ("s", rest),
            None => ("", rest),
        };
        let bytes = match rest {
            "" => width,
            "b" => 1,
            "h" => 2,
            "w" => 4,
            _ => return None,
        };
        // The status register of a store-exclusive is always 32 bits wide.
        if name == "stx" && !first.starts_with('w') {
            return None;
        }
        return Some(format!("{name}{sign}{bytes}{ordering}"));
    }
    None
}

/// `rest` is the ordering (`a`, `l`, `al`) and the bytes (`b`, `h`).
fn suffixed(name: &str, rest: &str, width: u8) -> Option<String> {
    let (rest, bytes) = match rest.as_bytes().last() {
        Some(b'b') => (&rest[..rest.len() - 1], 1),
        Some(b'h') => (&rest[..rest.len() - 1], 2),
        _ => (rest, width),
    };
    matches!(rest, "" | "a" | "l" | "al").then(|| format!("{name}{bytes}{rest}"))
}

/// Bytes of a register, by its letter.
fn width(register: &str) -> Option<u8> {
    Some(match register.as_bytes().first()? {
        b'w' | b's' => 4,
        b'x' | b'd' => 8,
        b'b' => 1,
        b'h' => 2,
        b'q' => 16,
        _ => return None,
    })
}

/// `w5`, `x31` (for `xzr`), `v5` (for any view of a SIMD&FP register).
fn number(register: &str) -> Option<String> {
    match register {
        "wzr" => return Some("w31".into()),
        "xzr" => return Some("x31".into()),
        _ => {}
    }
    let (letter, digits) = register.split_at_checked(1)?;
    let number: u8 = digits.parse().ok()?;
    Some(match letter {
        "w" | "x" => format!("{letter}{number}"),
        "b" | "h" | "s" | "d" | "q" => format!("v{number}"),
        _ => return None,
    })
}

/// The number of a base register.
fn base(register: &str) -> Option<String> {
    match register {
        "sp" => Some("31".into()),
        _ => Some(register.strip_prefix('x')?.parse::<u8>().ok()?.to_string()),
    }
}

fn address(at: i64, text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('[') else {
        // A label: the disassembler shows where it is, the table how far away.
        let target = u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
        return Some(match target.cast_signed() - at {
            0 => "[pc]".into(),
            offset => format!("[pc{offset:+}]"),
        });
    };
    let (inside, after) = rest.split_once(']')?;
    let parts: Vec<&str> = inside.split(", ").collect();
    let base = base(parts.first()?)?;
    match (parts.as_slice(), after) {
        ([_], "") => Some(format!("[{base}]")),
        ([_], after) if after != "!" => {
            let offset = after.strip_prefix(", ")?;
            Some(match offset.strip_prefix('#') {
                Some(offset) => format!("[{base}]{:+}", offset.parse::<i32>().ok()?),
                None => format!("[{base}]+{}", number(offset)?),
            })
        }
        ([_, offset], after) if offset.starts_with('#') => {
            let offset: i32 = offset[1..].parse().ok()?;
            match (offset, after) {
                (0, "") => Some(format!("[{base}]")),
                (_, "" | "!") => Some(format!("[{base}{offset:+}]{after}")),
                _ => None,
            }
        }
        ([_, offset], "") => index(&base, offset, "lsl"),
        ([_, offset, extend], "") => index(&base, offset, extend),
        _ => None,
    }
}

/// An offset register, extended and shifted.
fn index(base: &str, offset: &str, extend: &str) -> Option<String> {
    let (extend, shift) = match extend.split_once(" #") {
        Some((extend, shift)) => (extend, shift.parse::<u8>().ok()?),
        None => (extend, 0),
    };
    let register = number(offset)?;
    // The register's width says the same as the extension.
    let wide = register.starts_with('x');
    match (extend, wide) {
        ("uxtw" | "sxtw", false) | ("lsl" | "sxtx", true) => {
            Some(format!("[{base}+{}{extend}{shift}]", &register[1..]))
        }
        _ => None,
    }
}

/// `LD1 {v0.4s-v2.4s}, [x1], #48` and its kin; `list` begins behind the brace.
fn structure(mnemonic: &str, list: &str) -> Option<String> {
    let (list, rest) = list.split_once('}')?;
    let names: Vec<&str> = list.split([',', '-']).map(str::trim).collect();
    let part = |name: &str| -> Option<(u8, String)> {
        let (register, arrangement) = name.strip_prefix('v')?.split_once('.')?;
        Some((register.parse().ok()?, arrangement.into()))
    };
    let (first, arrangement) = part(names.first()?)?;
    let (last, _) = part(names.last()?)?;
    let count = (last + 32 - first) % 32 + 1;
    let (letter, lanes) = match arrangement.split_at_checked(arrangement.len() - 1)? {
        ("", letter) => (letter, None),
        (lanes, letter) => (letter, Some(lanes.parse::<u8>().ok()?)),
    };
    let bytes = match letter {
        "b" => 1,
        "h" => 2,
        "s" => 4,
        "d" => 8,
        _ => return None,
    };
    let replicated = mnemonic.ends_with('r');
    let selected: u8 = mnemonic.get(2..3)?.parse().ok()?;
    let operation = &mnemonic[..2];
    let (layout, rest) = match (lanes, rest.strip_prefix('[')) {
        (None, Some(rest)) => {
            let (lane, rest) = rest.split_once(']')?;
            (format!("@{lane}"), rest)
        }
        (Some(lanes), None) if replicated => (format!("r{lanes}"), rest),
        (Some(lanes), None) if selected == 1 => (format!(".{lanes}"), rest),
        (Some(lanes), None) => (format!("i{lanes}"), rest),
        _ => return None,
    };
    // LD2 and its kin name their number of registers; LD1 of whole registers has one to four.
    if (selected != 1 || lanes.is_none() || replicated) && selected != count {
        return None;
    }
    let address = address(0, rest.strip_prefix(", ")?)?;
    Some(format!(
        "{operation}{bytes} v{first}+{count}{layout} {address}"
    ))
}
