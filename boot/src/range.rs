//! A run of physical addresses.

use core::fmt;

use hv_core::Pa;

/// `size` bytes from `start` on. The end does not wrap round: [`PaRange::new`] saw to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaRange {
    start: Pa,
    size: u64,
}

impl PaRange {
    /// The range, or `None` if it would run past the end of 64 bits.
    pub const fn new(start: Pa, size: u64) -> Option<Self> {
        match start.checked_add(size) {
            Some(_) => Some(Self { start, size }),
            None => None,
        }
    }

    /// The range between two addresses, or `None` if the second lies before the first.
    pub fn between(start: Pa, end: Pa) -> Option<Self> {
        Some(Self {
            start,
            size: end.offset_from(start)?,
        })
    }

    /// The first address.
    pub const fn start(&self) -> Pa {
        self.start
    }

    /// The length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The first address behind the range.
    pub const fn end(&self) -> Pa {
        // Cannot wrap: both constructors checked it.
        Pa::new(self.start.get().wrapping_add(self.size))
    }

    /// Does the range hold this address?
    pub fn contains(&self, pa: Pa) -> bool {
        pa >= self.start && pa < self.end()
    }

    /// Does the range hold all of the other?
    pub fn covers(&self, other: &Self) -> bool {
        other.start >= self.start && other.end() <= self.end()
    }

    /// Have the two an address in common?
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

impl fmt::Display for PaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, size: u64) -> PaRange {
        PaRange::new(Pa::new(start), size).unwrap()
    }

    #[test]
    fn a_range_does_not_wrap_round() {
        assert_eq!(PaRange::new(Pa::new(u64::MAX), 2), None);
        assert_eq!(PaRange::between(Pa::new(2), Pa::new(1)), None);
        assert_eq!(PaRange::between(Pa::new(2), Pa::new(8)), Some(range(2, 6)));
    }

    #[test]
    fn neighbours_do_not_overlap() {
        assert!(!range(0, 8).overlaps(&range(8, 8)));
        assert!(range(0, 9).overlaps(&range(8, 8)));
        assert!(range(0, 9).contains(Pa::new(8)));
        assert!(!range(0, 9).contains(Pa::new(9)));
        assert!(range(0, 9).covers(&range(1, 8)));
    }
}
