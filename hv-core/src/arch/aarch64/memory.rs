//! RAM through the linear map: words that a guest, a device or a table walker may change at any moment, so they are
//! never behind a Rust reference.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::read_register;
use crate::addr::{FRAME_SIZE, FRAME_WORDS, Frame, Pa};

/// Loads one aligned word, once.
///
/// # Safety
/// `at` is a multiple of 8 in RAM that is mapped at EL2 and that no Rust value occupies.
pub unsafe fn load_word(at: Pa) -> u64 {
    // SAFETY: the caller vouches for the address; an atomic may be changed by others at any time.
    unsafe { AtomicU64::from_ptr(at.get() as *mut u64) }.load(Ordering::Relaxed)
}

/// Stores one aligned word with a single access.
///
/// # Safety
/// As for [`load_word`].
pub unsafe fn store_word(at: Pa, value: u64) {
    // SAFETY: as above.
    unsafe { AtomicU64::from_ptr(at.get() as *mut u64) }.store(value, Ordering::Relaxed);
}

/// Copies a frame out, reading each word once.
///
/// # Safety
/// `frame` is RAM that is mapped at EL2 and that no Rust value occupies.
pub unsafe fn read_frame(frame: Frame, into: &mut [u64; FRAME_WORDS]) {
    // SAFETY: 16 KiB are read from the frame the caller vouches for and written to an array of that size; pairs of
    // 8-byte loads are each single-copy atomic per word (Arm ARM B2.2.1).
    unsafe {
        asm!(
            "2:",
            "ldp {a}, {b}, [{from}]",
            "ldp {c}, {d}, [{from}, #16]",
            "stp {a}, {b}, [{to}]",
            "stp {c}, {d}, [{to}, #16]",
            "add {from}, {from}, #32",
            "add {to}, {to}, #32",
            "cmp {from}, {end}",
            "b.lo 2b",
            from = inout(reg) frame.base().get() => _,
            to = inout(reg) into.as_mut_ptr() => _,
            end = in(reg) frame.base().get() + FRAME_SIZE,
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            options(nostack),
        );
    }
}

/// Fills `bytes` (a multiple of 16) from `at` with zeroes.
///
/// # Safety
/// The range is RAM that is mapped at EL2 and that no Rust value occupies.
pub unsafe fn zero(at: Pa, bytes: u64) {
    // DCZID_EL0: log2 of the words of a block, and whether `DC ZVA` may be used.
    let dczid = read_register!("dczid_el0");
    let block = 4_u64 << (dczid & 0xf);
    if dczid & (1 << 4) == 0 && at.get().is_multiple_of(block) && bytes.is_multiple_of(block) {
        let end = at.get().wrapping_add(bytes);
        // SAFETY: whole blocks of the range that the caller vouches for; RAM is mapped as Normal memory at EL2, for
        // which the instruction stores zeroes.
        unsafe {
            asm!(
                "2:",
                "cmp {at}, {end}",
                "b.hs 3f",
                "dc zva, {at}",
                "add {at}, {at}, {block}",
                "b 2b",
                "3:",
                at = inout(reg) at.get() => _,
                end = in(reg) end,
                block = in(reg) block,
                options(nostack),
            );
        }
        return;
    }
    // SAFETY: the caller vouches for the range.
    unsafe { core::ptr::write_bytes(at.get() as *mut u8, 0, bytes as usize) };
}

/// Copies bytes into RAM.
///
/// # Safety
/// `at .. at + from.len()` is RAM that is mapped at EL2, that no Rust value occupies, and that nobody runs from.
pub unsafe fn write_bytes(at: Pa, from: &[u8]) {
    // SAFETY: the caller vouches for the destination; a slice cannot overlap memory that no Rust value occupies.
    unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), at.get() as *mut u8, from.len()) };
}
