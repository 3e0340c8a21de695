//! The header of an arm64 `Image` (Linux `Documentation/arch/arm64/booting.rst`).

use core::fmt;

/// Bytes of the header.
pub const HEADER_SIZE: usize = 64;
/// Where the magic number is.
const MAGIC_AT: usize = 0x38;
const MAGIC: [u8; 4] = *b"ARM\x64";

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// Bytes from a 2 MiB boundary to where the image wants to lie.
    pub text_offset: u64,
    /// Bytes it takes in memory from there, with what is not in the file.
    pub image_size: u64,
    /// Its page size in bytes, if it says.
    pub page_size: Option<u32>,
}

/// Why something is no kernel. `Display` gives one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// Shorter than a header.
    Truncated,
    /// Not an arm64 `Image`.
    NoMagic,
    /// An `Image`, compressed with gzip.
    Compressed,
    /// Big-endian code.
    BigEndian,
    /// Kernels before 3.17 do not say how large they are.
    NoSize,
    /// The file is longer than the header says the kernel is in memory.
    LongerThanItSays,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the kernel is truncated: it is shorter than an arm64 Image header",
            Self::NoMagic => {
                "the kernel is no arm64 Image (no magic number at 0x38): \
                 use arch/arm64/boot/Image of a kernel build"
            }
            Self::Compressed => "the kernel is compressed: unpack it with gunzip first",
            Self::BigEndian => "the kernel is big-endian: build it with CONFIG_CPU_LITTLE_ENDIAN",
            Self::NoSize => "the kernel does not say how much memory it takes: use Linux 3.17 or newer",
            Self::LongerThanItSays => {
                "the kernel is longer than its header says: it was damaged or something was appended"
            }
        })
    }
}

impl core::error::Error for ImageError {}

impl ImageHeader {
    /// Reads the header of the kernel that `image` holds, all of it.
    ///
    /// # Errors
    /// It is not a kernel that can be started.
    pub fn parse(image: &[u8]) -> Result<Self, ImageError> {
        if image.starts_with(&[0x1f, 0x8b]) {
            return Err(ImageError::Compressed);
        }
        let Some(header) = image.first_chunk::<HEADER_SIZE>() else {
            return Err(ImageError::Truncated);
        };
        if header[MAGIC_AT..MAGIC_AT + 4] != MAGIC {
            return Err(ImageError::NoMagic);
        }
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let (text_offset, image_size, flags) = (word(8), word(16), word(24));
        if flags & 1 != 0 {
            return Err(ImageError::BigEndian);
        }
        if image_size == 0 {
            return Err(ImageError::NoSize);
        }
        // The linker script counts from the first byte of the file to the end of BSS.
        if u64::try_from(image.len()).is_ok_and(|length| length > image_size) {
            return Err(ImageError::LongerThanItSays);
        }
        let page_size = match flags >> 1 & 3 {
            1 => Some(4096),
            2 => Some(16384),
            3 => Some(65536),
            _ => None,
        };
        Ok(Self {
            text_offset,
            image_size,
            page_size,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    fn image(text_offset: u64, size: u64, flags: u64) -> Vec<u8> {
        let mut image = std::vec![0; 100];
        image[8..16].copy_from_slice(&text_offset.to_le_bytes());
        image[16..24].copy_from_slice(&size.to_le_bytes());
        image[24..32].copy_from_slice(&flags.to_le_bytes());
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image
    }

    #[test]
    fn a_linux_header_is_read() {
        let header = ImageHeader::parse(&image(0, 0x60_0000, 0b1100)).unwrap();
        assert_eq!(
            header,
            ImageHeader {
                text_offset: 0,
                image_size: 0x60_0000,
                page_size: Some(16384)
            }
        );
    }

    #[test]
    fn what_is_no_kernel_gets_a_sentence() {
        let parse = |bytes: &[u8]| ImageHeader::parse(bytes).unwrap_err();
        assert_eq!(parse(b""), ImageError::Truncated);
        assert_eq!(parse(&image(0, 0x1000, 0)[..63]), ImageError::Truncated);
        assert_eq!(parse(&[0; 100]), ImageError::NoMagic);
        assert_eq!(parse(&[0x1f, 0x8b, 8]), ImageError::Compressed);
        assert_eq!(parse(&image(0, 0x1000, 1)), ImageError::BigEndian);
        assert_eq!(parse(&image(0, 0, 0)), ImageError::NoSize);
        assert_eq!(parse(&image(0, 99, 0)), ImageError::LongerThanItSays);
        assert!(ImageError::NoMagic.to_string().contains("arm64 Image"));
    }
}
