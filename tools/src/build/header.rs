//! The header of an arm64 `Image` (Linux `Documentation/arch/arm64/booting.rst`), looked at
//! before a guest's kernel goes anywhere.

use std::fs;
use std::path::Path;

use crate::failure::{Failure, OrSay, Outcome};

const HEADER: usize = 64;
const MAGIC: &[u8] = b"ARM\x64";

/// Refuses a file that is not a whole arm64 `Image`. `Some` is a warning.
pub(crate) fn check_kernel(path: &Path) -> Outcome<Option<String>> {
    let name = path.display();
    let bytes = fs::read(path).or_say(format_args!("cannot read the kernel {name}"))?;
    check_image(&bytes).map_err(|problem| Failure::new(format!("the kernel {name} {problem}")))
}

fn check_image(bytes: &[u8]) -> Result<Option<String>, String> {
    if bytes.starts_with(b"\x7fELF") {
        return Err("is an ELF file: give arch/arm64/boot/Image, not vmlinux".into());
    }
    for (magic, program) in [
        (&b"\x1f\x8b"[..], "gunzip"),
        (b"\xfd7zXZ", "unxz"),
        (b"\x28\xb5\x2f\xfd", "unzstd"),
        (b"BZh", "bunzip2"),
    ] {
        if bytes.starts_with(magic) {
            return Err(format!("is compressed: unpack it with {program} first"));
        }
    }
    let header = bytes
        .get(..HEADER)
        .ok_or_else(|| format!("is truncated: {} bytes are less than a header", bytes.len()))?;
    if header[56..60] != *MAGIC {
        return Err("is not an arm64 Image: give arch/arm64/boot/Image of a Linux build".into());
    }
    let field = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let (image_size, flags) = (field(16), field(24));
    if flags & 1 != 0 {
        return Err("is big-endian, which Oche does not run".into());
    }
    // The size counts memory that is not in the file (BSS), which is a small part of a kernel.
    let length = bytes.len() as u64;
    if length < image_size / 2 {
        return Err(format!(
            "is truncated: {length} bytes of an image that takes {image_size} in memory"
        ));
    }
    // Bits 1 and 2: 0 unspecified, 1 4K, 2 16K, 3 64K.
    Ok((flags >> 1 & 3 == 1).then(|| {
        "has 4K pages: Linux uses a DART, whose pages have 16K, only with 16K pages of its own"
            .into()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: u64, flags: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[16..24].copy_from_slice(&size.to_le_bytes());
        bytes[24..32].copy_from_slice(&flags.to_le_bytes());
        bytes[56..60].copy_from_slice(MAGIC);
        bytes
    }

    #[test]
    fn a_whole_image_passes() {
        assert_eq!(check_image(&image(1200, 2 << 1, 1000)), Ok(None));
    }

    #[test]
    fn what_is_no_image_is_refused_by_what_it_is() {
        let says = |bytes: &[u8], words: &str| {
            let problem = check_image(bytes).unwrap_err();
            assert!(problem.contains(words), "{problem}");
        };
        says(b"", "truncated");
        says(&image(1200, 4, 1000)[..63], "truncated");
        says(&image(10_000, 4, 1000), "truncated");
        says(&image(1200, 5, 1000), "big-endian");
        says(&[0; 1000], "not an arm64 Image");
        says(b"\x7fELF and so on", "vmlinux");
        says(b"\x1f\x8b\x08 and so on", "gunzip");
    }

    #[test]
    fn pages_of_4k_are_worth_a_word() {
        let warning = check_image(&image(1200, 1 << 1, 1000)).unwrap();
        assert!(warning.unwrap().contains("4K pages"));
    }
}
