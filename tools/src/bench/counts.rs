//! What the plugin has counted.

use std::collections::BTreeMap;

/// Why a core was at EL2, in the order of the plugin's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// For no guest: booting, a core's start.
    Start,
    /// An instruction of the guest trapped.
    Synchronous,
    /// An interrupt came.
    Irq,
    /// One of the other kind.
    Fiq,
    /// An asynchronous error.
    SError,
}

/// How many kinds there are.
const KINDS: usize = 5;

/// The interrupts.
pub(super) const INTERRUPTS: [Kind; 2] = [Kind::Irq, Kind::Fiq];

/// What stays of a kind came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stays {
    pub(super) count: u64,
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) instructions: u64,
}

/// Instructions that are executed one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    address: u64,
    length: u64,
    executed: [u64; KINDS],
}

/// The plugin's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Where the image was.
    pub(super) image: u64,
    /// From Oche's first instruction to the guest's first.
    pub(super) boot: u64,
    /// Everything that is not Oche's.
    pub(super) guest: u64,
    stays: [Stays; KINDS],
    blocks: Vec<Block>,
}

impl Counts {
    /// Reads the file's text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut counts = Counts::default();
        let mut kinds = 0;
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let number = |at: usize| words.get(at)?.parse::<u64>().ok();
            match *words.first()? {
                "image" => counts.image = u64::from_str_radix(words.get(1)?, 16).ok()?,
                "boot" => counts.boot = number(1)?,
                "guest" => counts.guest = number(1)?,
                "stay" => {
                    *counts.stays.get_mut(usize::try_from(number(1)?).ok()?)? = Stays {
                        count: number(2)?,
                        least: number(3)?,
                        most: number(4)?,
                        instructions: number(5)?,
                    };
                    kinds += 1;
                }
                "block" => {
                    let mut executed = [0; KINDS];
                    for (at, count) in executed.iter_mut().enumerate() {
                        *count = number(at.checked_add(3)?)?;
                    }
                    counts.blocks.push(Block {
                        address: u64::from_str_radix(words.get(1)?, 16).ok()?,
                        length: number(2)?,
                        executed,
                    });
                }
                _ => return None,
            }
        }
        (kinds == KINDS).then_some(counts)
    }

    /// Stays of all these kinds together.
    pub(super) fn stays(&self, kinds: &[Kind]) -> Stays {
        let mut all = Stays::default();
        for stays in kinds.iter().map(|kind| self.stays[*kind as usize]) {
            if stays.count == 0 {
                continue;
            }
            all.least = match all.count {
                0 => stays.least,
                _ => all.least.min(stays.least),
            };
            all.most = all.most.max(stays.most);
            all.count += stays.count;
            all.instructions += stays.instructions;
        }
        all
    }

    /// How often the instruction at each address was executed in stays of these kinds.
    pub(super) fn by_address(&self, kinds: &[Kind]) -> BTreeMap<u64, u64> {
        let mut found = BTreeMap::new();
        for block in &self.blocks {
            let count: u64 = kinds
                .iter()
                .map(|kind| block.executed[*kind as usize])
                .sum();
            for at in 0..block.length {
                *found.entry(block.address + 4 * at).or_insert(0) += count;
            }
        }
        found.retain(|_, count| *count != 0);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "image 1000\nboot 900\nguest 1000\n\
        stay 0 1 900 900 900\nstay 1 10 5 50 200\nstay 2 3 100 120 330\n\
        stay 3 1 90 90 90\nstay 4 0 0 0 0\n\
        block 1000 2 1 0 3 1 0\nblock 1004 1 0 0 2 0 0\n";

    #[test]
    fn kinds_are_added_up() {
        let counts = Counts::parse(TEXT).unwrap();
        assert_eq!(
            (counts.image, counts.boot, counts.guest),
            (0x1000, 900, 1000)
        );
        let interrupts = counts.stays(&INTERRUPTS);
        assert_eq!((interrupts.count, interrupts.instructions), (4, 420));
        assert_eq!((interrupts.least, interrupts.most), (90, 120));
        assert_eq!(counts.stays(&[Kind::SError]), Stays::default());
    }

    #[test]
    fn instructions_of_overlapping_blocks_are_added_up() {
        let counts = Counts::parse(TEXT).unwrap();
        let found = counts.by_address(&INTERRUPTS);
        assert_eq!(found, [(0x1000, 4), (0x1004, 6)].into());
        assert_eq!(counts.by_address(&[Kind::Synchronous]), [].into());
    }

    #[test]
    fn half_a_file_is_none() {
        assert_eq!(Counts::parse("boot 900\nguest 1000\n"), None);
        assert_eq!(Counts::parse(&TEXT.replace("guest", "host")), None);
    }
}
