//! What lies in the guest's RAM when it starts.

use arrayvec::ArrayVec;
use boot::guest_tree::{self, GuestFunction, GuestPlan, Target};
use boot::image::ImageHeader;
use boot::machine::Interrupt;
use boot::placement::{Placement, place};
use guest_abi::config;
use hv_core::arch::aarch64::{cache, memory};
use hv_core::pci::VirtualBus;

use super::super::sentence::{Sentence, sentence};
use super::GuestRam;
use super::ingredients::{Ingredients, Route};

/// Kernel, ramdisk and device tree into the guest's RAM, everything else zero, and all of it visible to a core whose
/// caches are off.
pub(super) fn fill_ram(
    from: &Ingredients,
    ram: GuestRam,
    routes: &[Route],
    bus: &VirtualBus,
    messages: bool,
    targets: &[Target<'_>],
    restarts: u64,
) -> Result<Placement, Sentence> {
    let Ingredients { config, files, .. } = from;
    let name = config.name;
    let header = ImageHeader::parse(files.kernel)
        .map_err(|error| sentence!("the kernel of guest {name} is not usable: {error}"))?;
    let ramdisk_length = files.ramdisk.map(|ramdisk| ramdisk.len() as u64);
    let placement = place(ram.base(), ram.host().size(), &header, ramdisk_length)
        .map_err(|error| sentence!("guest {name}: {error}"))?;
    let functions: ArrayVec<GuestFunction, { config::MAX_DEVICES }> = routes
        .iter()
        .filter_map(|route| {
            Some(GuestFunction {
                function: bus.guest_address(route.function)?,
                stream: route.stream,
                wire: route.wire.map(|wire| {
                    let line = Interrupt::of_guest(wire.line.intid, wire.line.machine.trigger());
                    (wire.pin, line)
                }),
            })
        })
        .collect();
    let tree = guest_tree::build(
        from.tree,
        from.machine,
        &GuestPlan {
            memory: (ram.base(), ram.host().size()),
            vcpus: usize::from(config.vcpus),
            bootargs: config.arguments,
            ramdisk: placement.ramdisk,
            functions: &functions,
            messages,
            targets,
            restarts,
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
