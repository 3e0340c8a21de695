//! Two arenas: a small heap for Oche's own Rust values, and the frames that tables and shadows are made of. A guest
//! can make the second run dry, never the first.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use boot::range::PaRange;
use buddy_system_allocator::Heap;
use hv_core::addr::{FRAME_SHIFT, FRAME_SIZE, FRAME_WORDS};
use hv_core::arch::aarch64::memory;
use hv_core::frames::Frames;
use hv_core::{Frame, Pa};
use spin::{Mutex, Once};

/// Block sizes are powers of two below this one: any range of RAM.
const ORDERS: usize = 48;

struct RustHeap(Mutex<Heap<32>>);

#[global_allocator]
static RUST_HEAP: RustHeap = RustHeap(Mutex::new(Heap::empty()));

// SAFETY: blocks come from `Heap`, which hands out disjoint, aligned parts of the memory given to `add_rust_heap`.
unsafe impl GlobalAlloc for RustHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0
            .lock()
            .alloc(layout)
            .map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller of `dealloc` vouches that `alloc` gave this block for this layout.
            unsafe { self.0.lock().dealloc(block, layout) }
        }
    }
}

/// Gives the Rust heap its memory.
///
/// # Safety
/// The range is RAM in the linear map that nothing else uses, now or later.
pub(super) unsafe fn add_rust_heap(range: PaRange) {
    // SAFETY: the caller's promise.
    unsafe {
        RUST_HEAP
            .0
            .lock()
            .init(range.start().get() as usize, range.size() as usize)
    }
}

/// Pieces of RAM that the pool is made of, at most: those of boot, and one that comes later.
pub(super) const RANGES: usize = 17;

/// Host frames, from the RAM that is left.
pub(super) struct FramePool {
    heap: Mutex<Heap<ORDERS>>,
    /// Where pool memory lies: only words inside are ever touched.
    ranges: Once<ArrayVec<PaRange, RANGES>>,
    total: AtomicU64,
    free: AtomicU64,
}

/// The pool. One of it, because there is one RAM.
pub(super) static FRAMES: FramePool = FramePool {
    heap: Mutex::new(Heap::empty()),
    ranges: Once::new(),
    total: AtomicU64::new(0),
    free: AtomicU64::new(0),
};

impl FramePool {
    /// Gives the pool its memory; once, at boot. `later` is RAM in use that [`FramePool::release`] may bring.
    ///
    /// # Safety
    /// The ranges are whole frames of RAM in the linear map, disjoint, and nothing else uses them; no Rust value lies
    /// in `later`.
    pub(super) unsafe fn fill(&self, mut ranges: ArrayVec<PaRange, RANGES>, later: PaRange) {
        for range in &ranges {
            // SAFETY: the caller's promise.
            unsafe { self.release(*range) };
        }
        ranges.push(later);
        self.ranges.call_once(|| ranges);
    }

    /// Adds memory that nothing uses any more, such as the RAM of a guest that has ended.
    ///
    /// # Safety
    /// As for [`FramePool::fill`].
    pub(super) unsafe fn release(&self, range: PaRange) {
        let (from, to) = (range.start().get() as usize, range.end().get() as usize);
        // SAFETY: the caller's promise.
        unsafe { self.heap.lock().add_to_heap(from, to) };
        let frames = range.size() >> FRAME_SHIFT;
        self.total.fetch_add(frames, Ordering::Relaxed);
        self.free.fetch_add(frames, Ordering::Relaxed);
    }

    /// Frames the pool was given.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Frames nobody uses.
    pub(super) fn free_frames(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Is this frame the pool's to read?
    pub(super) fn holds(&self, frame: Frame) -> bool {
        self.word(frame, 0).is_some()
    }

    fn layout(order: u32) -> Option<Layout> {
        let bytes = usize::try_from(FRAME_SIZE.checked_shl(order)?).ok()?;
        Layout::from_size_align(bytes, bytes).ok()
    }

    /// The address of a word, if the pool may touch it.
    fn word(&self, frame: Frame, index: usize) -> Option<Pa> {
        let base = frame.base();
        let inside = self.ranges.get()?.iter().any(|range| range.contains(base));
        (inside && index < FRAME_WORDS)
            .then(|| base.checked_add(index as u64 * 8))
            .flatten()
    }
}

impl Frames for FramePool {
    fn allocate_contiguous(&self, order: u32) -> Option<Frame> {
        let layout = Self::layout(order)?;
        let block = self.heap.lock().alloc(layout).ok()?;
        self.free.fetch_sub(1 << order, Ordering::Relaxed);
        let pa = Pa::new(block.as_ptr() as u64);
        // SAFETY: the block is RAM that the allocator has just given to us alone.
        unsafe { memory::zero(pa, layout.size() as u64) };
        Some(Frame::containing(pa))
    }

    fn free_contiguous(&self, first: Frame, order: u32) {
        let Some((layout, block)) =
            Self::layout(order).zip(NonNull::new(first.base().get() as *mut u8))
        else {
            return;
        };
        // SAFETY: `Frames` asks for what `allocate_contiguous` gave, with the same order; `word` keeps later accesses
        // harmless even where a caller keeps using the frame, because pool words are never Rust values.
        unsafe { self.heap.lock().dealloc(block, layout) };
        self.free.fetch_add(1 << order, Ordering::Relaxed);
    }

    fn load(&self, frame: Frame, index: usize) -> u64 {
        // SAFETY: `word` answers only with aligned addresses inside the pool's ranges, which hold no Rust values.
        self.word(frame, index)
            .map_or(0, |at| unsafe { memory::load_word(at) })
    }

    fn store(&self, frame: Frame, index: usize, value: u64) {
        if let Some(at) = self.word(frame, index) {
            // SAFETY: as above.
            unsafe { memory::store_word(at, value) };
        }
    }

    fn read_all(&self, frame: Frame, into: &mut [u64; FRAME_WORDS]) {
        if self.holds(frame) {
            // SAFETY: as above, and ranges consist of whole frames.
            unsafe { memory::read_frame(frame, into) };
        }
    }
}
