//! Where things go: the guest's RAM in the machine's, and kernel, ramdisk and device tree in the
//! guest's.

use core::fmt;

use hv_core::{Ipa, Pa};

use crate::image::ImageHeader;
use crate::range::PaRange;

/// A kernel lies on a boundary of this, but for its `text_offset`; a device tree does not cross
/// one (Linux `booting.rst`: it is mapped with blocks of this size).
const BLOCK: u64 = 0x20_0000;

/// Where a guest's files go in its RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where the kernel is loaded, and entered.
    pub kernel: Ipa,
    /// Where the ramdisk is loaded, and how long it is.
    pub ramdisk: Option<(Ipa, u64)>,
    /// Where the device tree is loaded.
    pub tree: Ipa,
    /// How many bytes it may take.
    pub tree_room: u64,
}

/// The guest's memory is too small. `Display` gives one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacementError {
    /// How much would do, in bytes, or `None` if no amount would.
    pub needed: Option<u64>,
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.needed {
            Some(needed) => write!(
                f,
                "the guest's memory is too small for its kernel and ramdisk: \
                 give it at least {} MiB",
                needed.div_ceil(1 << 20)
            ),
            None => f.write_str(
                "the guest's kernel or ramdisk claims a size that no memory can hold: \
                 it was damaged",
            ),
        }
    }
}

impl core::error::Error for PlacementError {}

/// Finds room in a guest's RAM of `size` bytes at `base` (a multiple of 2 MiB).
///
/// The kernel goes to the bottom, where it can use all that is above it; the device tree to the
/// last 2 MiB, the ramdisk below that. What the kernel takes beyond its file, `image_size`, stays
/// free.
///
/// # Errors
/// They do not fit.
pub fn place(
    base: Ipa,
    size: u64,
    kernel: &ImageHeader,
    ramdisk_length: Option<u64>,
) -> Result<Placement, PlacementError> {
    let kernel_end = kernel.text_offset.checked_add(kernel.image_size);
    let ramdisk_room = ramdisk_length.unwrap_or(0).checked_next_multiple_of(BLOCK);
    let needed = kernel_end
        .and_then(|end| end.checked_next_multiple_of(BLOCK))
        .zip(ramdisk_room)
        .and_then(|(kernel, ramdisk)| kernel.checked_add(ramdisk)?.checked_add(BLOCK));
    let too_small = PlacementError { needed };

    // Offsets from `base`; `checked_sub` refuses whatever does not fit.
    let fits = || {
        let tree = (size / BLOCK).checked_sub(1)?.checked_mul(BLOCK)?;
        let ramdisk = tree.checked_sub(ramdisk_room?)?;
        (kernel_end? <= ramdisk).then_some((tree, ramdisk))
    };
    let (tree, ramdisk) = fits().ok_or(too_small)?;
    let at = |offset| base.checked_add(offset).ok_or(too_small);
    Ok(Placement {
        kernel: at(kernel.text_offset)?,
        ramdisk: match ramdisk_length {
            Some(length) => Some((at(ramdisk)?, length)),
            None => None,
        },
        tree: at(tree)?,
        tree_room: BLOCK,
    })
}

/// The highest run of `size` bytes on a multiple of `align` (a power of two) that lies in one
/// range of RAM and keeps clear of all that is taken, or `None`.
pub fn choose_region(ram: &[PaRange], taken: &[PaRange], size: u64, align: u64) -> Option<PaRange> {
    ram.iter()
        .filter_map(|range| choose_in(range, taken, size, align))
        .max_by_key(PaRange::start)
}

fn choose_in(ram: &PaRange, taken: &[PaRange], size: u64, align: u64) -> Option<PaRange> {
    let mask = align.checked_sub(1)?;
    let mut end = ram.end();
    loop {
        let start = Pa::new(end.get().checked_sub(size)? & !mask);
        let candidate = PaRange::new(start, size)?;
        if start < ram.start() {
            return None;
        }
        match taken
            .iter()
            .filter(|other| other.size() != 0 && other.overlaps(&candidate))
            .min_by_key(|other| other.start())
        {
            // Strictly lower than before, because it overlaps: the loop ends.
            Some(other) => end = other.start(),
            None => return Some(candidate),
        }
    }
}

/// The largest run that is RAM, keeps clear of all that is taken, and begins and ends on multiples
/// of `align` (a power of two); `None` when nothing is left.
pub fn largest_gap(ram: &[PaRange], taken: &[PaRange], align: u64) -> Option<PaRange> {
    ram.iter()
        .filter_map(|range| largest_gap_in(range, taken, align))
        .max_by_key(PaRange::size)
        .filter(|gap| gap.size() > 0)
}

fn largest_gap_in(ram: &PaRange, taken: &[PaRange], align: u64) -> Option<PaRange> {
    let mask = align.checked_sub(1)?;
    let mut best: Option<PaRange> = None;
    let mut from = ram.start();
    loop {
        // The first blocker that ends behind `from`: every turn moves `from` to the end of one.
        let blocker = taken
            .iter()
            .filter(|other| other.size() != 0 && other.end() > from && other.overlaps(ram))
            .min_by_key(|other| other.start());
        let until = blocker.map_or(ram.end(), |other| other.start());
        let first = Pa::new(from.get().checked_add(mask)? & !mask);
        let past = Pa::new(until.get() & !mask);
        let gap = PaRange::between(first, past);
        best = best.into_iter().chain(gap).max_by_key(PaRange::size);
        match blocker {
            Some(other) if other.end() < ram.end() => from = other.end(),
            _ => return best,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const BASE: Ipa = Ipa::new(0x8_0000_0000);
    const MIB: u64 = 1 << 20;

    fn kernel(image_size: u64) -> ImageHeader {
        ImageHeader {
            text_offset: 0,
            image_size,
            page_size: None,
        }
    }

    fn range(start: u64, size: u64) -> PaRange {
        PaRange::new(Pa::new(start), size).unwrap()
    }

    #[test]
    fn kernel_below_ramdisk_below_tree() {
        let placement = place(BASE, 256 * MIB, &kernel(6 * MIB), Some(3 * MIB)).unwrap();
        assert_eq!(placement.kernel, BASE);
        assert_eq!(placement.tree, Ipa::new(0x8_0000_0000 + 254 * MIB));
        assert_eq!(
            placement.ramdisk,
            Some((Ipa::new(0x8_0000_0000 + 250 * MIB), 3 * MIB))
        );
    }

    #[test]
    fn a_memory_that_just_fits_is_enough_and_one_block_less_is_refused() {
        assert!(place(BASE, 12 * MIB, &kernel(6 * MIB), Some(3 * MIB)).is_ok());
        let error = place(BASE, 10 * MIB, &kernel(6 * MIB), Some(3 * MIB)).unwrap_err();
        assert_eq!(error.needed, Some(12 * MIB));
        assert!(error.to_string().contains("at least 12 MiB"));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(place(BASE, 256 * MIB, &kernel(u64::MAX), None).is_err());
        assert!(place(BASE, 256 * MIB, &kernel(1), Some(u64::MAX)).is_err());
        assert!(place(BASE, 0, &kernel(1), None).is_err());
    }

    #[test]
    fn the_highest_free_run_is_chosen() {
        let ram = [range(0x4000_0000, 0x4000_0000)];
        let taken = [
            range(0x7f00_0000, 0x100_0000),
            range(0x4800_0000, 0x10_0000),
        ];
        assert_eq!(
            choose_region(&ram, &taken, 0x1000_0000, 0x200_0000),
            Some(range(0x6e00_0000, 0x1000_0000))
        );
        assert_eq!(choose_region(&ram, &taken, 0x4000_0000, 0x200_0000), None);
    }

    proptest! {
        #[test]
        fn a_chosen_region_is_in_ram_aligned_and_free(
            ram in prop::collection::vec((0u64..64, 1u64..64), 1..4),
            taken in prop::collection::vec((0u64..128, 0u64..16), 0..6),
            size in 1u64..32,
            shift in 0u32..4,
        ) {
            let build = |list: Vec<(u64, u64)>| -> Vec<PaRange> {
                list.into_iter().map(|(start, size)| range(start, size)).collect()
            };
            let (ram, taken, align) = (build(ram), build(taken), 1 << shift);
            let free = |candidate: &PaRange| {
                ram.iter().any(|range| range.covers(candidate))
                    && !taken.iter().any(|range| range.size() != 0 && range.overlaps(candidate))
            };
            let best = (0u64..128).filter(|start| start % align == 0).map(|start| range(start, size))
                .rfind(free);
            prop_assert_eq!(choose_region(&ram, &taken, size, align), best);
        }
    }

    proptest! {
        #[test]
        fn the_largest_gap_is_free_aligned_and_no_smaller_than_any_other(
            ram in proptest::collection::vec((0u64..64, 1u64..64), 1..3),
            taken in proptest::collection::vec((0u64..96, 0u64..24), 0..6),
        ) {
            let range = |(start, size): (u64, u64)| PaRange::new(Pa::new(start), size).unwrap();
            let ram: Vec<PaRange> = ram.into_iter().map(range).collect();
            let taken: Vec<PaRange> = taken.into_iter().map(range).collect();
            let free = |at: u64| {
                let one = PaRange::new(Pa::new(at * 4), 4).unwrap();
                taken.iter().all(|other| other.size() == 0 || !other.overlaps(&one))
            };
            // Naively: the longest run of free whole units of 4 inside one range.
            let longest = ram.iter().map(|range| {
                let units = range.start().get().div_ceil(4)..range.end().get() / 4;
                let mut best = 0;
                let mut run = 0;
                for unit in units {
                    run = if free(unit) { run + 1 } else { 0 };
                    best = best.max(run);
                }
                best
            }).max().unwrap_or(0);
            let gap = largest_gap(&ram, &taken, 4);
            prop_assert_eq!(gap.map_or(0, |gap| gap.size()), longest * 4);
            if let Some(gap) = gap {
                prop_assert!(ram.iter().any(|range| range.covers(&gap)));
                prop_assert!(taken.iter().all(|other| other.size() == 0 || !other.overlaps(&gap)));
            }
        }
    }
}
