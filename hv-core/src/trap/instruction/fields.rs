//! Fields of an instruction word.

/// Bit `n`.
pub(super) const fn bit(word: u32, n: u32) -> bool {
    (word >> n) & 1 != 0
}

/// Bits `high:low`, fewer than 32 of them.
pub(super) const fn bits(word: u32, high: u32, low: u32) -> u32 {
    (word >> low) & ((1 << (high - low + 1)) - 1)
}

/// Bits `high:low` as a signed number.
pub(super) const fn signed(word: u32, high: u32, low: u32) -> i32 {
    let unused = 31 - (high - low);
    ((bits(word, high, low) << unused) as i32) >> unused
}

/// The register number that begins at bit `low`.
pub(super) const fn register(word: u32, low: u32) -> u8 {
    ((word >> low) & 31) as u8
}

/// Rt, Rn, Rt2, Rs (Rm): the four places of a register number.
pub(super) const RT: u32 = 0;
pub(super) const RN: u32 = 5;
pub(super) const RT2: u32 = 10;
pub(super) const RS: u32 = 16;

/// `1 << size` for a two-bit size.
pub(super) const fn bytes_of(size: u32) -> u8 {
    1 << (size & 3)
}
