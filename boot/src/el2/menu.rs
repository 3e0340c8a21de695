//! What is typed at the console: bytes for a guest, and the choices of Oche's menu.

use core::sync::atomic::Ordering;

use boot::console::Command;
use hv_core::arch::aarch64::core as cpu;
use log::info;

use super::control;
use super::guest::{self, Guest};

/// A byte for the guest that has the keyboard.
pub(super) fn type_to_guest(byte: u8) {
    if let Some(guest) = guest::current() {
        guest.typed(byte);
    }
}

/// Does what was chosen; what is only said has been said.
pub(super) fn carry_out(command: Command) {
    let Some(guest) = guest::current() else {
        return info!("menu: there is no guest");
    };
    match command {
        Command::State => state(guest),
        // One guest is all there is, so it also is the next one.
        Command::Guests | Command::Next => {
            let (vcpus, mib) = (guest.affinities.len(), guest.ram.host().size() >> 20);
            let name = guest.uart.name();
            info!("menu: guest 0, {name}: {vcpus} vCPUs, {mib} MiB, has the keyboard");
        }
        Command::Kill => control::kill_from_console(0),
        Command::Prompt | Command::Help | Command::AskKill | Command::Back => {}
    }
}

fn state(guest: &Guest) {
    let since = guest.entered.load(Ordering::Relaxed);
    let running = guest.cores.lock().running();
    let vcpus = guest.affinities.len();
    let name = guest.uart.name();
    info!(
        "menu: {name} runs for {} s, {running} of {vcpus} vCPUs on",
        cpu::microseconds(cpu::ticks().saturating_sub(since)) / 1_000_000
    );
    let exits = guest.counters.exits();
    info!(
        "menu: {} exits: {} DART, {} PCI, {} HVC, {} system registers, {} WFx",
        exits.total, exits.dart, exits.pci, exits.hvc, exits.sysreg, exits.wfx
    );
    let dma = guest.dma_counters();
    info!(
        "menu: {} pages mapped for DMA, {} faults, {} leaves refused",
        dma.pages_pinned, dma.faults, dma.leaves_refused
    );
}
