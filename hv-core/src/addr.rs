//! The three address spaces, each a type of its own.
//!
//! None of them has `+`: an address that a guest chose is moved with [`Ipa::checked_add`] and its
//! siblings, so that a wrap-round is a `None` somebody must look at.

use core::fmt;

/// log2 of the frame size: 16 KiB, the granule of every DART on an M1.
pub const FRAME_SHIFT: u32 = 14;
/// Bytes in a frame.
pub const FRAME_SIZE: u64 = 1 << FRAME_SHIFT;
/// Eight-byte words in a frame, which is also the number of entries of a 16 KiB table.
pub const FRAME_WORDS: usize = 1 << (FRAME_SHIFT - 3);

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The address whose number is `value`.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }
            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }
            /// The address `bytes` further on, or `None` past the end of 64 bits.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
            /// How many bytes `self` lies behind `base`, or `None` if it lies before it.
            pub const fn offset_from(self, base: Self) -> Option<u64> {
                self.0.checked_sub(base.0)
            }
            /// The first address of the frame that holds this one.
            pub const fn frame_base(self) -> Self {
                Self(self.0 & !(FRAME_SIZE - 1))
            }
            /// The offset inside the frame, in bytes.
            pub const fn frame_offset(self) -> u64 {
                self.0 & (FRAME_SIZE - 1)
            }
            /// Is this the first address of a frame?
            pub const fn is_frame_aligned(self) -> bool {
                self.frame_offset() == 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address! {
    /// What a device emits: an address before its IOMMU.
    Iova
}
address! {
    /// What a guest calls physical: an address before stage 2.
    Ipa
}
address! {
    /// What the machine calls physical.
    Pa
}

/// A 16 KiB frame of the machine's memory, by number (`Pa` >> 14).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Frame(u64);

impl Frame {
    /// The frame with this number.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
    /// The frame that holds `pa`.
    pub const fn containing(pa: Pa) -> Self {
        Self(pa.0 >> FRAME_SHIFT)
    }
    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
    /// Its first address.
    pub const fn base(self) -> Pa {
        Pa(self.0 << FRAME_SHIFT)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:#x})", self.base().get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_does_not_wrap_round() {
        assert_eq!(Ipa::new(u64::MAX).checked_add(1), None);
        assert_eq!(Ipa::new(0x1000).checked_add(0x10), Some(Ipa::new(0x1010)));
        assert_eq!(Iova::new(1).offset_from(Iova::new(2)), None);
    }

    #[test]
    fn a_frame_and_its_addresses_agree() {
        let pa = Pa::new(0x8_0000_4abc);
        assert_eq!(pa.frame_base(), Pa::new(0x8_0000_4000));
        assert_eq!(pa.frame_offset(), 0xabc);
        assert_eq!(Frame::containing(pa).base(), Pa::new(0x8_0000_4000));
    }
}
