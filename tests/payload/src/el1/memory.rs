//! Pages of 16 KiB, taken and never given back.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in a page.
pub(super) const PAGE_SIZE: u64 = 0x4000;
/// Eight-byte words in a page.
pub(super) const PAGE_WORDS: usize = 2048;
/// Pages there are: 4 MiB. A test that asks for more fails.
const PAGES: usize = 256;

#[repr(C, align(16384))]
struct Pool(UnsafeCell<[[u64; PAGE_WORDS]; PAGES]>);

// SAFETY: the pool is only reached through `Page`s, which make volatile accesses of whole words.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new([[0; PAGE_WORDS]; PAGES]));
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// A page. Devices write to it as they like, hence volatile words and no reference to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    words: *mut u64,
}

impl Page {
    /// The next page, zeroed.
    pub(super) fn take() -> Option<Self> {
        let number = TAKEN.fetch_add(1, Ordering::Relaxed);
        if number >= PAGES {
            return None;
        }
        Some(Self::numbered(number))
    }

    /// `number` is below [`PAGES`], so the page is inside the pool.
    fn numbered(number: usize) -> Self {
        let first = POOL.0.get().cast::<u64>();
        Self {
            words: first.wrapping_add(number * PAGE_WORDS),
        }
    }

    /// The page that was at this address when it was taken.
    ///
    /// # Panics
    /// There is none.
    pub(super) fn at(address: u64) -> Self {
        let offset = address
            .checked_sub(POOL.0.get() as u64)
            .filter(|it| it % PAGE_SIZE == 0);
        let number = offset.map(|offset| (offset / PAGE_SIZE) as usize);
        match number.filter(|number| *number < PAGES) {
            Some(number) => Self::numbered(number),
            None => panic!("no page is at {address:#x}"),
        }
    }

    /// Where it is: what the payload calls physical.
    pub(super) fn address(self) -> u64 {
        self.words as u64
    }

    /// A word.
    pub(super) fn read(self, index: usize) -> u64 {
        assert!(index < PAGE_WORDS);
        // SAFETY: inside the page, which is inside the pool and aligned.
        unsafe { self.words.wrapping_add(index).read_volatile() }
    }

    /// Changes a word.
    pub(super) fn write(self, index: usize, value: u64) {
        assert!(index < PAGE_WORDS);
        // SAFETY: inside the page, which is inside the pool and aligned.
        unsafe { self.words.wrapping_add(index).write_volatile(value) }
    }

    /// Half a word, which is what queues are made of.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "one half of the word is wanted"
    )]
    pub(super) fn read32(self, index: usize) -> u32 {
        (self.read(index / 2) >> (32 * (index % 2))) as u32
    }

    /// Fills it with a pattern: the seed in the upper half of each word, its index in the lower.
    pub(super) fn fill(self, seed: u32) {
        for index in 0..PAGE_WORDS {
            self.write(index, pattern(seed, index));
        }
    }

    /// Do the first `words` words hold that pattern?
    pub(super) fn holds(self, seed: u32, words: usize) -> bool {
        (0..words).all(|index| self.read(index) == pattern(seed, index))
    }

    /// Clears it.
    pub(super) fn clear(self) {
        for index in 0..PAGE_WORDS {
            self.write(index, 0);
        }
    }
}

/// The word at `index` of a page that was filled with `seed`.
pub(super) fn pattern(seed: u32, index: usize) -> u64 {
    u64::from(seed) << 32 | index as u64
}
