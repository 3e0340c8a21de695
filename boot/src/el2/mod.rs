//! Oche on the machine, from its first instruction in Rust to power-off.
//!
//! `entry.S` calls [`oche_early`] at the loader's place, then [`oche_main`] at Oche's own; [`start`] reads like a
//! table of contents. After that everything happens in [`exits`], one trap at a time.

mod address_space;
mod allocator;
mod console;
mod control;
mod cores;
mod devices;
mod exits;
mod failure;
mod fence;
mod guest;
mod image;
mod interrupts;
mod menu;
mod messages;
mod pci;
mod platform;
mod ram;
#[cfg(feature = "guards-out")]
mod sabotage;
mod sentence;
mod stack;
mod start;

use arrayvec::ArrayVec;
use boot::machine::{self, Early};
use boot::placement::choose_region;
use boot::range::PaRange;
use hv_core::Pa;
use hv_core::arch::aarch64::{barrier, core as cpu};
use smccc::{Hvc, psci};

use self::console::Port;
use self::platform::Platform;

/// A marker that a build with removable guards carries and a shipped image must not: `./oche test` looks for it.
#[cfg(feature = "guards-out")]
#[used]
static GUARDS_OUT_MARKER: [u8; 26] = *b"OCHE-TEST-IMAGE-GUARDS-OUT";

/// The largest device tree Oche takes: what the Linux boot protocol allows a loader to pass.
const MAX_TREE: usize = 2 << 20;

/// The loader's device tree.
fn device_tree(at: Pa) -> Option<&'static [u8]> {
    if at.get() == 0 || !at.get().is_multiple_of(8) {
        return None;
    }
    // SAFETY: the boot protocol says that x0 is the address of a device tree, 8-byte aligned, in RAM.
    let head = unsafe { &*(at.get() as *const [u8; 8]) };
    let size = machine::tree_size(head).filter(|size| *size <= MAX_TREE)?;
    // SAFETY: the header gives the tree's size; Oche keeps that range out of everything it hands out and never writes
    // to it, so the slice stays valid and unchanged.
    Some(unsafe { ::core::slice::from_raw_parts(at.get() as *const u8, size) })
}

/// Where the loader put us: the image must be able to say why it cannot go on, and else find itself a place.
///
/// Runs with the MMU off, in the copy that the loader made, before anything is known.
#[unsafe(no_mangle)]
extern "C" fn oche_early(tree: u64, image: u64, level: u64) -> u64 {
    let Some(bytes) = device_tree(Pa::new(tree)) else {
        barrier::halt(); // no tree, no console: there is nobody to tell
    };
    let early = match machine::early(bytes) {
        Ok(early) => early,
        Err(_) => barrier::halt(), // a tree without RAM has no console either
    };
    if level != 2 {
        refuse_below_el2(&early);
    }
    if let Err(unfit) = cpu::fitness() {
        refuse(&early, &unfit);
    }
    let size = self::image::range().size();
    let here = PaRange::new(Pa::new(image), size);
    let tree = PaRange::new(Pa::new(tree), bytes.len() as u64);
    let own = [here, tree, early.initrd].into_iter().flatten();
    let taken: ArrayVec<PaRange, { machine::MAX_RESERVED_RANGES + 3 }> =
        early.reserved.iter().copied().chain(own).collect();
    match choose_region(&early.ram, &taken, size, 2 << 20) {
        Some(range) => range.start().get(),
        None => refuse(
            &early,
            &"there is not enough RAM for Oche itself: give the machine more memory",
        ),
    }
}

/// Says why Oche cannot run, before there is anything but a UART.
fn refuse(early: &Early, why: &dyn ::core::fmt::Display) -> ! {
    if let Some(console) = early.console {
        // SAFETY: the device tree says that a PL011 is there; this is the only user so far.
        if let Some(mut port) = unsafe { Port::new(console.start()) } {
            let _ =
                ::core::fmt::Write::write_fmt(&mut port, format_args!("\noche: error: {why}\n"));
        }
    }
    platform::QemuVirt::new(machine::Conduit::Smc).power_off()
}

fn refuse_below_el2(early: &Early) -> ! {
    if let Some(console) = early.console {
        // SAFETY: as in `refuse`.
        if let Some(mut port) = unsafe { Port::new(console.start()) } {
            let why = "Oche must be entered at EL2: start QEMU with -M virt,virtualization=on";
            let _ =
                ::core::fmt::Write::write_fmt(&mut port, format_args!("\noche: error: {why}\n"));
        }
    }
    // Without EL2 the firmware answers to HVC.
    let _ = psci::system_off::<Hvc>();
    barrier::halt()
}

/// At the top of RAM, MMU off, on the boot core. `entered`: what the counter was at Oche's first instruction.
#[unsafe(no_mangle)]
extern "C" fn oche_main(tree: u64, entered: u64) -> ! {
    start::start(Pa::new(tree), entered)
}
