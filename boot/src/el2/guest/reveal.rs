//! A test aid, asked for by the run's configuration: a guest is told where things are that it must not reach, so that a
//! test can try. Knowing an address gives no right to it.

use arrayvec::ArrayVec;
use boot::guest_tree::Target;
use boot::machine::Machine;
use boot::range::PaRange;
use hv_core::addr::{FRAME_SIZE, FRAME_WORDS};
use hv_core::frames::Frames;
use hv_core::{Frame, Pa};

use super::super::allocator::FRAMES;
use super::super::image;
use super::super::sentence::{Sentence, sentence};
use super::{Guest, GuestRam};

/// What fills a frame that is Oche's own, so that a test can tell it when it sees it.
const CANARY: u64 = 0x0c4e_0c4e_ca4a_7135;

/// A DART1 leaf's low bits: valid, no sub-page window (dart reference 2.2).
const LEAF: u64 = 0b11;

/// Frames of Oche's own that a guest was told of, and the word that fills each.
pub(in crate::el2) type Canaries = ArrayVec<(Frame, u64), 2>;

/// What a guest is told.
pub(in crate::el2) type Targets = ArrayVec<Target<'static>, TARGETS>;

/// At most this many things are revealed.
const TARGETS: usize = 6;

/// What the guest is told: nothing, unless the run says `reveal = on`.
pub(super) fn targets(
    reveal: bool,
    machine: &Machine,
    ram: GuestRam,
    stage2: Pa,
) -> Result<(Targets, Canaries), Sentence> {
    let mut targets = Targets::new();
    let mut canaries = Canaries::new();
    if !reveal {
        return Ok((targets, canaries));
    }
    let mut filled = |word: u64| {
        let frame = FRAMES
            .allocate()
            .ok_or_else(|| sentence!("no frame to reveal"))?;
        (0..FRAME_WORDS).for_each(|index| FRAMES.store(frame, index, word));
        canaries.push((frame, word));
        Ok(frame.base())
    };
    let mut tell = |name, pa, size| targets.push(Target { name, pa, size });
    tell("free-ram", filled(CANARY)?, FRAME_SIZE);
    // Taken for a table, it leads to the guest's first frame wherever one looks.
    tell("table", filled(ram.base().get() | LEAF)?, FRAME_SIZE);
    tell("host-table", stage2, FRAME_SIZE);
    tell("image", image::range().start(), image::range().size());
    let uart: PaRange = machine.console.registers;
    tell("mmio", uart.start(), uart.size());
    tell("guest-ram", ram.host().start(), ram.host().size());
    Ok((targets, canaries))
}

impl Guest {
    /// How many revealed frames no longer say what they did.
    pub(in crate::el2) fn targets_changed(&self) -> u64 {
        let changed = |(frame, word): &&(Frame, u64)| {
            (0..FRAME_WORDS).any(|index| FRAMES.load(*frame, index) != *word)
        };
        self.canaries.iter().filter(changed).count() as u64
    }
}
