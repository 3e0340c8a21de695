//! Sizes of memory as people write them.

/// Reads a size in bytes: a number, alone or with `K`, `M` or `G` after it (powers of 1024).
pub(crate) fn parse(word: &str) -> Result<u64, String> {
    let wrong = || format!("`{word}` is not a size: write a number with K, M or G after it");
    let (digits, shift) = match word.as_bytes().last() {
        Some(b'K' | b'k') => (&word[..word.len() - 1], 10),
        Some(b'M' | b'm') => (&word[..word.len() - 1], 20),
        Some(b'G' | b'g') => (&word[..word.len() - 1], 30),
        _ => (word, 0),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A size for people.
pub(crate) fn show(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse("512M"), Ok(512 << 20));
        assert_eq!(parse("2g"), Ok(2 << 30));
        assert_eq!(parse("64K"), Ok(64 << 10));
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(show(512 << 20), "512 MiB");
        assert_eq!(show(1000), "1000 bytes");
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for word in [
            "",
            "M",
            "-1M",
            "+1M",
            "1.5G",
            "1MB",
            "99999999999999999999",
            "18446744073709551615K",
        ] {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
