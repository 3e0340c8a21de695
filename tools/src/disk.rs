//! The guest's disk: making one, and checksums of what is on it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use md5::{Digest, Md5};

use crate::failure::{Failure, OrSay, Outcome};

/// The size of the disk that a run makes for itself.
pub(crate) const DEFAULT_SIZE: u64 = 64 << 20;
/// The pattern that the built-in guest writes: so many lines of 32 bytes (`tests/guest/init`).
const PATTERN_LINES: u32 = 8192 * 32;
const PATTERN_BYTES: usize = PATTERN_LINES as usize * 32;
const CHUNK: usize = 1 << 20;

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random bytes as hexadecimal digits.
pub(crate) fn random_hex(bytes: usize) -> Outcome<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .or_say("cannot read random bytes")?;
    Ok(hex(&random))
}

/// Makes a disk of random contents.
pub(crate) fn make_random(path: &Path) -> Outcome<()> {
    let make = || -> io::Result<()> {
        let mut disk = File::create_new(path)?;
        io::copy(
            &mut File::open("/dev/urandom")?.take(DEFAULT_SIZE),
            &mut disk,
        )?;
        disk.flush()
    };
    make().or_say(format_args!("cannot make the disk {}", path.display()))
}

/// Refuses a disk that QEMU would refuse or change the size of.
pub(crate) fn check(path: &Path, writable: bool) -> Outcome<u64> {
    let name = path.display();
    let disk = File::options().read(true).write(writable).open(path);
    let mut disk = disk.or_say(format_args!(
        "cannot open the disk {name} (give --disk a raw image that exists)"
    ))?;
    let metadata = disk
        .metadata()
        .or_say(format_args!("cannot look at the disk {name}"))?;
    if metadata.is_dir() {
        return Err(Failure::new(format!(
            "the disk {name} is a folder: give --disk a raw image"
        )));
    }
    // Of a block device the metadata has no size.
    let size = disk
        .seek(SeekFrom::End(0))
        .or_say(format_args!("cannot find the size of the disk {name}"))?;
    if size == 0 || !size.is_multiple_of(512) {
        return Err(Failure::new(format!(
            "the disk {name} has {size} bytes: a raw image has a multiple of 512, and not 0"
        )));
    }
    Ok(size)
}

/// The checksum of a disk followed by a nonce, as the built-in guest computes it.
pub(crate) fn md5(path: &Path, nonce: &str) -> Outcome<String> {
    let compute = || -> io::Result<String> {
        let mut disk = File::open(path)?;
        let mut digest = Md5::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            match disk.read(&mut chunk)? {
                0 => break,
                length => digest.update(&chunk[..length]),
            }
        }
        digest.update(nonce.as_bytes());
        Ok(hex(&digest.finalize()))
    };
    compute().or_say(format_args!("cannot read the disk {}", path.display()))
}

/// Whether the pattern that the built-in guest was asked to write is on the disk.
pub(crate) fn has_pattern(path: &Path, nonce: &str) -> Outcome<bool> {
    let read = || -> io::Result<Vec<u8>> {
        let mut disk = File::open(path)?;
        let size = disk.seek(SeekFrom::End(0))?;
        disk.seek(SeekFrom::Start(pattern_start(size)))?;
        let mut written = Vec::with_capacity(PATTERN_BYTES);
        disk.take(PATTERN_BYTES as u64).read_to_end(&mut written)?;
        Ok(written)
    };
    let written = read().or_say(format_args!("cannot read the disk {}", path.display()))?;
    Ok(written == pattern(nonce))
}

/// The smallest disk that the pattern fits on.
pub(crate) const MINIMUM_FOR_PATTERN: u64 = 2 * PATTERN_BYTES as u64;

/// Where the pattern starts on a disk of `size` bytes: as `tests/guest/init` computes it.
fn pattern_start(size: u64) -> u64 {
    size / 512 / 2 / 128 * 65536
}

fn pattern(nonce: &str) -> Vec<u8> {
    let nonce = nonce.get(..16).unwrap_or(nonce);
    let mut pattern = Vec::with_capacity(PATTERN_BYTES);
    for line in 0..PATTERN_LINES {
        pattern.extend_from_slice(format!("{nonce}{line:015}\n").as_bytes());
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_has_lines_of_32_bytes() {
        let pattern = pattern("0123456789abcdef-and-more");
        assert_eq!(pattern.len(), PATTERN_BYTES);
        assert_eq!(&pattern[32..64], b"0123456789abcdef000000000000001\n");
    }

    #[test]
    fn the_pattern_is_in_the_second_half() {
        assert_eq!(pattern_start(DEFAULT_SIZE), DEFAULT_SIZE / 2);
        assert!(pattern_start(MINIMUM_FOR_PATTERN + 512) <= MINIMUM_FOR_PATTERN / 2 + 256);
    }

    #[test]
    fn the_checksum_covers_disk_and_nonce() {
        let path = std::env::temp_dir().join(format!("oche-md5-{}", std::process::id()));
        std::fs::write(&path, "abc").unwrap();
        let sum = md5(&path, "def");
        std::fs::remove_file(&path).unwrap();
        // md5 of "abcdef".
        assert_eq!(sum.unwrap(), "e80b5017098950fc58aad83c8c14978e");
    }
}
