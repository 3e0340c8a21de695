//! What lies in the guest's RAM when it starts.

use arrayvec::ArrayVec;
use boot::guest_tree::{self, GuestPlan, Target};
use boot::image::ImageHeader;
use boot::machine::Machine;
use boot::placement::{Placement, place};
use guest_abi::config::{self, RunConfig};
use hv_core::Pa;
use hv_core::arch::aarch64::{cache, memory};
use hv_core::frames::Frames;
use hv_core::pci::Function;

use super::super::allocator::FRAMES;
use super::super::sentence::{Sentence, sentence};
use super::GuestRam;
use super::load::{Ingredients, Route};

/// Kernel, ramdisk and device tree into the guest's RAM, everything else zero, and all of it visible to a core whose
/// caches are off.
pub(super) fn fill_ram(
    from: &Ingredients<'_>,
    ram: GuestRam,
    routes: &[Route],
    targets: &[Target<'_>],
) -> Result<Placement, Sentence> {
    let Ingredients { config, files, .. } = from;
    let name = config.name;
    let header = ImageHeader::parse(files.kernel)
        .map_err(|error| sentence!("the kernel of guest {name} is not usable: {error}"))?;
    let ramdisk_length = files.ramdisk.map(|ramdisk| ramdisk.len() as u64);
    let placement = place(ram.base(), ram.host().size(), &header, ramdisk_length)
        .map_err(|error| sentence!("guest {name}: {error}"))?;
    let streams: ArrayVec<(Function, u8), { config::MAX_DEVICES }> = routes
        .iter()
        .map(|route| (route.function, route.stream))
        .collect();
    let tree = guest_tree::build(
        from.tree,
        from.machine,
        &GuestPlan {
            memory: (ram.base(), ram.host().size()),
            vcpus: usize::from(config.vcpus),
            bootargs: config.arguments,
            ramdisk: placement.ramdisk,
            streams: &streams,
            targets,
        },
    )
    .map_err(|error| sentence!("the device tree of guest {name} could not be made: {error}"))?;
    if tree.len() as u64 > placement.tree_room {
        return Err(sentence!(
            "the device tree of guest {name} is larger than {} KiB",
            placement.tree_room >> 10
        ));
    }
    // SAFETY: the guest's RAM, which no Rust value occupies; it does not run yet.
    unsafe { memory::zero(ram.host().start(), ram.host().size()) };
    let no_room = || sentence!("a file of guest {name} does not fit its RAM"); // `place` made room for all three
    ram.write(placement.kernel, files.kernel)
        .ok_or_else(no_room)?;
    if let Some((at, ramdisk)) = placement.ramdisk.map(|(at, _)| at).zip(files.ramdisk) {
        ram.write(at, ramdisk).ok_or_else(no_room)?;
    }
    ram.write(placement.tree, &tree).ok_or_else(no_room)?;
    cache::clean_and_invalidate(ram.host().start(), ram.host().size());
    cache::invalidate_instructions();
    Ok(placement)
}

/// Bytes that a revealed free frame is filled with, so that a test can tell it when it sees it.
const CANARY: u64 = 0x0c4e_0c4e_ca4a_7135;

/// A test aid, asked for by the run's configuration: where things are that no guest may reach.
pub(super) fn targets(
    run: &RunConfig<'_>,
    machine: &Machine,
    stage2: Pa,
) -> Result<ArrayVec<Target<'static>, 4>, Sentence> {
    let mut targets = ArrayVec::new();
    if !run.reveal {
        return Ok(targets);
    }
    let free = FRAMES
        .allocate()
        .ok_or_else(|| sentence!("no frame to reveal"))?;
    for index in 0..hv_core::addr::FRAME_WORDS {
        FRAMES.store(free, index, CANARY);
    }
    let size = hv_core::addr::FRAME_SIZE;
    targets.push(Target {
        name: "free-ram",
        pa: free.base(),
        size,
    });
    targets.push(Target {
        name: "host-table",
        pa: stage2,
        size,
    });
    targets.push(Target {
        name: "image",
        pa: super::super::image::range().start(),
        size,
    });
    targets.push(Target {
        name: "mmio",
        pa: machine.console.registers.start(),
        size,
    });
    Ok(targets)
}
