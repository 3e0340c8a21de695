//! Generations of DARTs, each a row of data.

use hv_core::Ipa;
use hv_core::table::Geometry;

use crate::format::{DartFormat, Decoded};

/// The most streams a row may have.
pub const MAX_STREAMS: usize = 16;
/// The most `TTBR`s a stream may have.
pub const MAX_TTBRS: usize = 4;

/// One generation (dart reference 1.1 to 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its device tree `compatible`.
    pub compatible: &'static str,
    /// `PARAMS1`, read-only: log2 of the page size in bits 27:24.
    pub params1: u32,
    /// `PARAMS2`, read-only: bit 0 bypass supported, bit 1 lock supported.
    pub params2: u32,
    /// Bytes of the register window.
    pub window: u64,
    /// Offset of `TCR[0]`; one word per stream.
    pub tcr: u32,
    /// Offset of `TTBR[0][0]`; `ttbrs` words per stream.
    pub ttbr: u32,
    /// Streams.
    pub streams: u8,
    /// `TTBR`s of a stream.
    pub ttbrs: u8,
    /// How entries are written.
    pub format: DartFormat,
    /// How an IOVA is cut up; the top level is the index of the `TTBR`.
    pub geometry: Geometry,
}

const DART_16K: Geometry = match Geometry::new(14, &[2, 11, 11]) {
    Some(geometry) => geometry,
    None => panic!("38 bits are two, eleven, eleven and fourteen"),
};

/// The DART of an M1 (T8020 registers, DART1 entries). Bypass is not offered yet, so `PARAMS2` does
/// not promise it and Linux does not ask for it.
pub const T8103: Variant = Variant {
    compatible: "apple,t8103-dart",
    params1: 14 << 24,
    params2: 1 << 1,
    window: 0x4000,
    tcr: 0x100,
    ttbr: 0x200,
    streams: 16,
    ttbrs: 4,
    format: DartFormat::Dart1,
    geometry: DART_16K,
};

/// The `TTBR`s of one stream, as the guest wrote them: what makes two streams' address spaces the
/// same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots([u32; MAX_TTBRS]);

impl Roots {
    const VALID: u32 = 1 << 31;
    /// Table address >> 12. Sources disagree on the field's width (24 to 31 bits); 24 suffice for
    /// the 36 bits of DART1, and a bit above them makes the root bad rather than another root.
    const FIELD: u32 = 0x7fff_ffff;
    const FIELD_BAD: u32 = 0x7f00_0003;

    /// Roots from register values. What an invalid one holds beside is forgotten, so that it does
    /// not make two spaces of one.
    pub fn new(registers: [u32; MAX_TTBRS]) -> Self {
        Self(registers.map(|value| if value & Self::VALID == 0 { 0 } else { value }))
    }

    /// Is every root invalid?
    pub fn is_empty(self) -> bool {
        self.0.iter().all(|&value| value == 0)
    }

    /// The table that the `TTBR` with this index names.
    pub fn table(self, index: usize) -> Decoded<Ipa> {
        match self.0.get(index) {
            Some(value) if value & Self::VALID == 0 => Decoded::Empty,
            Some(value) if value & Self::FIELD_BAD != 0 => Decoded::Bad,
            Some(value) => Decoded::Good(Ipa::new(u64::from(value & Self::FIELD) << 12)),
            None => Decoded::Empty,
        }
    }
}
