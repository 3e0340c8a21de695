//! Walking and visiting.

use super::{Entry, Format, Table, VALID, load};
use crate::addr::{Frame, Pa};
use crate::frames::Frames;

/// A leaf found by walking to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked<A> {
    /// Where the very address leads.
    pub output: Pa,
    /// What may be done there.
    pub attributes: A,
    /// log2 of what the leaf covers.
    pub shift: u32,
}

/// A leaf met on a visit of the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf<A> {
    /// First input address.
    pub input: u64,
    /// Where it leads.
    pub output: Pa,
    /// What may be done there.
    pub attributes: A,
    /// log2 of what the leaf covers.
    pub shift: u32,
}

impl<F: Format> Table<F> {
    /// Where `input` leads, as the hardware would find it.
    pub fn walk<M: Frames + ?Sized>(
        &self,
        frames: &M,
        input: u64,
    ) -> Option<Walked<F::Attributes>> {
        if input >= self.geometry.input_size() {
            return None;
        }
        let mut table = self.root;
        for level in 0..self.geometry.depth() {
            let word = load(frames, table, self.geometry.index(level, input));
            match self.format.decode(word, self.geometry.is_last(level)) {
                Entry::Invalid => return None,
                Entry::Table(next) => table = Frame::containing(next),
                Entry::Leaf { output, attributes } => {
                    let shift = self.geometry.shift(level);
                    let offset = input & ((1 << shift) - 1);
                    return Some(Walked {
                        output: output.checked_add(offset)?,
                        attributes,
                        shift,
                    });
                }
            }
        }
        None
    }

    /// Visits every valid leaf in ascending order of its input address.
    pub fn for_each_leaf<M: Frames + ?Sized>(
        &self,
        frames: &M,
        mut visit: impl FnMut(Leaf<F::Attributes>),
    ) {
        self.visit(frames, self.root, 0, 0, &mut visit);
    }

    fn visit<M: Frames + ?Sized>(
        &self,
        frames: &M,
        table: Frame,
        level: usize,
        base: u64,
        visit: &mut impl FnMut(Leaf<F::Attributes>),
    ) {
        let shift = self.geometry.shift(level);
        for index in 0..self.geometry.entries(level) {
            let word = load(frames, table, index);
            if word & VALID == 0 {
                continue;
            }
            let input = base + ((index as u64) << shift);
            match self.format.decode(word, self.geometry.is_last(level)) {
                Entry::Invalid => {}
                Entry::Table(next) => {
                    self.visit(frames, Frame::containing(next), level + 1, input, visit);
                }
                Entry::Leaf { output, attributes } => {
                    visit(Leaf {
                        input,
                        output,
                        attributes,
                        shift,
                    });
                }
            }
        }
    }
}
