//! What the words of a guest's DART tables mean. Decoded here and nowhere else: after this nobody
//! looks at bits.

use hv_core::Ipa;

#[cfg(test)]
mod tests;

/// A word of a guest's table, as it was read: once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PteWord(pub u64);

/// What a device may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Read it.
    pub read: bool,
    /// Write it.
    pub write: bool,
}

impl Access {
    /// Both.
    pub const READ_WRITE: Self = Self {
        read: true,
        write: true,
    };
    /// Neither.
    pub const NONE: Self = Self {
        read: false,
        write: false,
    };
}

/// The part of a 16 KiB page that a device may touch: four-byte words, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubPage {
    /// First word allowed.
    pub first: u16,
    /// Last word allowed.
    pub last: u16,
}

impl SubPage {
    /// The whole page.
    pub const WHOLE: Self = Self {
        first: 0,
        last: 0xfff,
    };

    /// Does it contain no word?
    pub const fn is_empty(self) -> bool {
        self.first > self.last
    }
}

/// What a leaf of a DART table says, in any generation's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The guest's page.
    pub frame: Ipa,
    /// What the device may do with it.
    pub access: Access,
    /// Which part of it.
    pub window: SubPage,
}

/// A word taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// Not valid: leads nowhere.
    Empty,
    /// Valid, but no hardware of this kind could follow it (an address out of range or out of
    /// line). Rejected, never truncated.
    Bad,
    /// Valid.
    Good(T),
}

/// How a generation writes its entries (dart reference 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DartFormat {
    /// T8020, which an M1 (T8103) has: addresses in place, 36 bits of them.
    Dart1,
}

const VALID: u64 = 1 << 0;

mod dart1 {
    pub(super) const WINDOW_OFF: u64 = 1 << 1;
    pub(super) const NO_WRITE: u64 = 1 << 7;
    pub(super) const NO_READ: u64 = 1 << 8;
    /// Bits 35:14. Linux's mask is 35:12, m1n1's and QEMU's reach bit 39: sources disagree on how
    /// wide the field is, so bits 39:36 and 13:12 must be zero, which every reading allows.
    pub(super) const ADDRESS: u64 = 0xf_ffff_c000;
    pub(super) const ADDRESS_REJECTED: u64 = LEAF_TOO_WIDE | OUT_OF_LINE;
    /// In a table entry nothing but the address is known above bit 13, so all of it must be zero.
    pub(super) const TABLE_REJECTED: u64 = TABLE_TOO_WIDE | OUT_OF_LINE;
    pub(super) const LEAF_TOO_WIDE: u64 = 0xf0_0000_0000;
    pub(super) const TABLE_TOO_WIDE: u64 = 0xffff_fff0_0000_0000;
    const OUT_OF_LINE: u64 = 0x3000;
    pub(super) const WINDOW_FIRST_SHIFT: u32 = 52;
    pub(super) const WINDOW_LAST_SHIFT: u32 = 40;
}

impl DartFormat {
    /// A table entry (any level but the last): where the next table is.
    ///
    /// Bit 1 is a don't-care: Linux and m1n1 write 0b01, U-Boot and OpenBSD 0b11 (dart reference
    /// 2.2).
    pub fn table(self, word: PteWord) -> Decoded<Ipa> {
        match self {
            Self::Dart1 if word.0 & VALID == 0 => Decoded::Empty,
            Self::Dart1 if word.0 & dart1::TABLE_REJECTED != 0 => Decoded::Bad,
            Self::Dart1 => Decoded::Good(Ipa::new(word.0 & dart1::ADDRESS)),
        }
    }

    /// A table entry whose address is cut to the width of the format. Wrong, but for
    /// [`crate::guards::Guard::AddressWidth`] taken out.
    pub(crate) fn cut_table(self, word: PteWord) -> PteWord {
        match self {
            Self::Dart1 => PteWord(word.0 & !dart1::TABLE_TOO_WIDE),
        }
    }

    /// As [`Self::cut_table`], for a leaf.
    pub(crate) fn cut_leaf(self, word: PteWord) -> PteWord {
        match self {
            Self::Dart1 => PteWord(word.0 & !dart1::LEAF_TOO_WIDE),
        }
    }

    /// A leaf entry.
    pub fn leaf(self, word: PteWord) -> Decoded<Leaf> {
        match self {
            Self::Dart1 if word.0 & VALID == 0 => Decoded::Empty,
            Self::Dart1 if word.0 & dart1::ADDRESS_REJECTED != 0 => Decoded::Bad,
            Self::Dart1 => {
                let field = |shift: u32| ((word.0 >> shift) & 0xfff) as u16;
                let window = if word.0 & dart1::WINDOW_OFF != 0 {
                    SubPage::WHOLE
                } else {
                    SubPage {
                        first: field(dart1::WINDOW_FIRST_SHIFT),
                        last: field(dart1::WINDOW_LAST_SHIFT),
                    }
                };
                Decoded::Good(Leaf {
                    frame: Ipa::new(word.0 & dart1::ADDRESS),
                    access: Access {
                        read: word.0 & dart1::NO_READ == 0,
                        write: word.0 & dart1::NO_WRITE == 0,
                    },
                    window,
                })
            }
        }
    }
}
