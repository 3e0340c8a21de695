//! A strict reader of newc cpio archives (Linux `Documentation/driver-api/early-userspace/
//! buffer-format.rst`), over a byte slice.
//!
//! Written here because the readers that exist without `std` end silently where an archive is
//! cut off or malformed, and a cut-off bundle has to be refused.

use super::BundleError;

const MAGIC: &[u8] = b"070701";
const TRAILER: &str = "TRAILER!!!";
/// Magic and thirteen fields of eight hexadecimal digits.
const HEADER: usize = 110;
const MODE_FIELD: usize = 1;
const SIZE_FIELD: usize = 6;
const NAME_SIZE_FIELD: usize = 11;

const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_DIRECTORY: u32 = 0o040_000;

/// One entry of the archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) data: &'a [u8],
    mode: u32,
}

impl Entry<'_> {
    pub(super) fn is_file(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_FILE
    }

    pub(super) fn is_directory(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_DIRECTORY
    }
}

/// The entries up to the end marker; an error is the last item.
pub(super) struct Entries<'a> {
    archive: &'a [u8],
    /// Where the next header starts; `None` after the end marker or an error.
    next: Option<usize>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(archive: &'a [u8]) -> Self {
        Entries {
            archive,
            next: Some(0),
        }
    }

    /// The entry whose header starts at `at`, and where the next one starts.
    fn read(&self, at: usize) -> Result<(Entry<'a>, usize), BundleError<'a>> {
        let truncated = BundleError::Truncated(at);
        let slice = |start: usize, length: usize| {
            start
                .checked_add(length)
                .and_then(|end| self.archive.get(start..end))
                .ok_or(truncated)
        };
        let rest = self.archive.get(at..).ok_or(truncated)?;
        let seen = rest.len().min(MAGIC.len());
        if rest[..seen] != MAGIC[..seen] {
            return Err(BundleError::NotNewc(at));
        }
        let header = slice(at, HEADER)?;
        let field = |index| field(header, index).ok_or(BundleError::Malformed(at));
        let mode = field(MODE_FIELD)?;
        let size = to_usize(field(SIZE_FIELD)?);
        let name_size = to_usize(field(NAME_SIZE_FIELD)?);

        let name_start = at.checked_add(HEADER).ok_or(truncated)?;
        let name = slice(name_start, name_size)?;
        let name = name
            .split_last()
            .filter(|(end, _)| **end == 0)
            .and_then(|(_, name)| core::str::from_utf8(name).ok())
            .filter(|name| !name.contains('\0'))
            .ok_or(BundleError::Malformed(at))?;
        let name_end = name_start.checked_add(name_size).ok_or(truncated)?;
        let data_start = pad(name_end).ok_or(truncated)?;
        let data = slice(data_start, size)?;
        let data_end = data_start.checked_add(size).ok_or(truncated)?;
        let next = pad(data_end).ok_or(truncated)?;
        Ok((Entry { name, data, mode }, next))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, BundleError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.next.take()?;
        match self.read(at) {
            Ok((entry, _)) if entry.name == TRAILER => None,
            Ok((entry, next)) => {
                self.next = Some(next);
                Some(Ok(entry))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// Headers and contents start at multiples of four bytes.
fn pad(offset: usize) -> Option<usize> {
    offset.checked_next_multiple_of(4)
}

fn field(header: &[u8], index: usize) -> Option<u32> {
    let start = MAGIC.len().checked_add(index.checked_mul(8)?)?;
    let digits = header.get(start..start.checked_add(8)?)?;
    // `from_str_radix` would take a sign.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// Lossless on the machines Oche runs on; saturates elsewhere, which then reads as truncated.
fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
