//! A walk of the guest's tables as the DART would make it.

use hv_core::{Iova, Ipa};

use crate::format::{Decoded, Leaf, PteWord};
use crate::seams::GuestMemory;
use crate::variant::{Roots, Variant};

#[cfg(test)]
mod tests;

/// Where a walk ended without a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The `TTBR` is not valid, or the address is past the last one.
    Ttbr,
    /// A table entry is not valid or leads nowhere.
    Table,
    /// The leaf is not valid.
    Leaf,
}

/// Where the guest's tables lead `iova`. Each word is read once. What the leaf allows is not judged
/// here.
///
/// # Errors
/// The level at which there was nothing.
pub fn walk(
    memory: &dyn GuestMemory,
    variant: &Variant,
    roots: Roots,
    iova: Iova,
) -> Result<Leaf, Missing> {
    let geometry = &variant.geometry;
    if iova.get() >= geometry.input_size() {
        return Err(Missing::Ttbr);
    }
    let Decoded::Good(mut table) = roots.table(geometry.index(0, iova.get())) else {
        return Err(Missing::Ttbr);
    };
    for level in 1..geometry.depth() {
        let last = geometry.is_last(level);
        let missing = if last { Missing::Leaf } else { Missing::Table };
        let index = geometry.index(level, iova.get());
        let word = entry(memory, table, index).ok_or(missing)?;
        if last {
            return match variant.format.leaf(word) {
                Decoded::Good(leaf) => Ok(leaf),
                Decoded::Bad | Decoded::Empty => Err(missing),
            };
        }
        match variant.format.table(word) {
            Decoded::Good(next) => table = next,
            Decoded::Bad | Decoded::Empty => return Err(missing),
        }
    }
    Err(Missing::Leaf)
}

fn entry(memory: &dyn GuestMemory, table: Ipa, index: usize) -> Option<PteWord> {
    let at = table.checked_add(u64::try_from(index).ok()?.checked_mul(8)?)?;
    memory.load_u64(at).ok().map(PteWord)
}
