//! The guest's stage 2: what is mapped at its start, and emptied at its end.

use boot::machine::Machine;
use boot::range::PaRange;
use hv_core::addr::FRAME_WORDS;
use hv_core::arch::aarch64::tlb;
use hv_core::frames::Frames;
use hv_core::pci::VirtualBus;
use hv_core::stage2::{Stage2, Stage2Attributes};
use hv_core::table::{Run, Table, Tlb};
use hv_core::{Frame, Ipa, Pa};
use log::error;

use super::super::allocator::FRAMES;
use super::super::failure;
use super::super::sentence::{Sentence, sentence};
use super::{Guest, GuestRam};

/// `ID_AA64MMFR0_EL1.PARange` in bits, and no more than stage 2 needs here.
pub(super) const fn address_bits(pa_range: u64) -> u32 {
    match pa_range {
        0 => 32,
        1 => 36,
        _ => 40,
    }
}

type StageTwoTable = Table<Stage2>;

/// The guest's RAM; where `awaits_userspace`, without the right to execute at EL0, so that its first instruction there
/// is seen.
pub(super) fn map_ram(
    table: &StageTwoTable,
    ram: GuestRam,
    awaits_userspace: bool,
) -> Result<(), Sentence> {
    let attributes = if awaits_userspace {
        Stage2Attributes::RAM_EL1_EXECUTES
    } else {
        Stage2Attributes::RAM
    };
    let run = Run {
        input: ram.base().get(),
        output: ram.host().start(),
        bytes: ram.host().size(),
    };
    table
        .map(&FRAMES, run, attributes)
        .map_err(|error| sentence!("the guest's RAM could not be mapped: {error:?}"))
}

/// What the guest touches without a trap.
pub(super) fn map_devices(
    table: &StageTwoTable,
    machine: &Machine,
    bus: &VirtualBus,
) -> Result<(), Sentence> {
    let page = table.geometry().page_size();
    let map = |input: Ipa, output: Pa, bytes: u64| {
        let bytes = bytes.next_multiple_of(page);
        // Whole pages only: what shares a page with the device would be the guest's too.
        let shared = machine
            .ram
            .iter()
            .any(|ram| PaRange::new(output, bytes).is_none_or(|window| ram.overlaps(&window)));
        if shared || !output.get().is_multiple_of(page) {
            return Err(sentence!(
                "the device at {output} does not lie on pages of its own, so no guest can be given it"
            ));
        }
        let run = Run {
            input: input.get(),
            output,
            bytes,
        };
        table
            .map(&FRAMES, run, Stage2Attributes::DEVICE)
            .map_err(|error| {
                sentence!("the device at {output} could not be mapped for the guest: {error:?}")
            })
    };
    bus.windows()
        .try_for_each(|window| map(window.ipa, window.pa, window.size))
}

/// Clears every entry and frees every table but the root, which cores that sleep in the guest still have loaded.
pub(super) fn empty(guest: &Guest) {
    let table = guest.stage2.lock();
    let geometry = *table.geometry();
    let size = geometry.input_size();
    let cleared = table.clear(&FRAMES, 0, size);
    for entry in 0..geometry.entries(0) as u64 {
        table.detach(&FRAMES, entry << geometry.shift(0), 1);
    }
    StageTwoTlb {
        granule: guest.granule,
    }
    .flush(0, size);
    if cleared.is_err() || table.sweep(&FRAMES, 0, size, |_| {}).is_err() {
        error!("the guest's stage 2 could not be emptied");
    }
}

/// Takes all memory from the guest at once, when Oche has failed: no lock is waited for long, no table is freed. Its cores
/// come out at the next thing they touch.
pub(super) fn revoke(guest: &Guest) {
    let Some(table) = failure::reach(&guest.stage2) else {
        return error!("the guest's stage 2 is still in use");
    };
    let root = table.root().number();
    for word in 0..table.geometry().entries(0) {
        let (frame, index) = (word / FRAME_WORDS, word % FRAME_WORDS);
        FRAMES.store(
            Frame::from_number(root.saturating_add(frame as u64)),
            index,
            0,
        );
    }
    tlb::invalidate_all_guests(); // whichever stage 2 this core has loaded
}

/// Drops stage-2 translations of the guest whose stage 2 this core has loaded.
pub(in crate::el2) struct StageTwoTlb {
    /// Bytes per page of stage 2.
    pub(in crate::el2) granule: u64,
}

impl Tlb for StageTwoTlb {
    fn flush(&mut self, input: u64, bytes: u64) {
        tlb::invalidate_guest_range(Ipa::new(input), bytes, self.granule);
    }
}
