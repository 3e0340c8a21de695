//! From the first instruction with a stack to the guest's first instruction, in order.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

use boot::console::Style;
use boot::machine::{self, Early, Machine};
use boot::range::PaRange;
use guest_abi::bundle::Bundle;
use guest_abi::config::{ConsoleStyle, GuestConfig, RunConfig};
use guest_abi::summary::{Outcome, Summary, reason};
use hv_core::Pa;
use hv_core::arch::aarch64::mmu::MmuRegisters;
use hv_core::arch::aarch64::{barrier, core as cpu};
use hv_core::layout::{GICD_SIZE, GICR_STRIDE};
use hv_core::ownership::GuestId;
use hv_core::psci::MAX_VCPUS;
use log::{error, info};

extern crate alloc;

use super::address_space::AddressSpace;
use super::console::{self, Port};
use super::guest::{self, Entry, Ingredients};
use super::messages::ASSIGNMENTS;
use super::platform::{self, Platform, QemuVirt};
use super::ram::Ram;
use super::sentence::{Sentence, sentence};
use super::{cores, device_tree, image, refuse};

/// What the physical counter was at Oche's first instruction.
static ENTERED: AtomicU64 = AtomicU64::new(0);

/// Microseconds from then to when the counter was `ticks`.
pub(super) fn since_entry(ticks: u64) -> u64 {
    cpu::microseconds(ticks.saturating_sub(ENTERED.load(Ordering::Relaxed)))
}

/// Starts Oche, then its guest. The way out is the guest's end, or a sentence and power-off.
pub(super) fn start(tree: Pa, entered: u64) -> ! {
    ENTERED.store(entered, Ordering::Relaxed);
    let Some((bytes, early)) =
        device_tree(tree).and_then(|bytes| Some((bytes, machine::early(bytes).ok()?)))
    else {
        barrier::halt() // `oche_early` has read the same bytes
    };
    let Some(console) = early.console else {
        barrier::halt() // nobody to tell
    };
    let Ok(space) = AddressSpace::new(&early.ram, &early.reserved, console) else {
        let why = "Oche's own tables are too few for this machine: its RAM lies in too many places";
        refuse(&early, &why)
    };
    // SAFETY: the space maps all of RAM, the image with its stack among it, and the console at their own addresses.
    unsafe { space.registers().enable() };
    // SAFETY: the device tree says that a PL011 is there, it is mapped, and `oche_early`'s port is gone.
    if let Some(port) = unsafe { Port::new(console.start()) } {
        console::start(port);
    }
    info!(
        "Oche {} at EL2, image at {}",
        env!("CARGO_PKG_VERSION"),
        image::range()
    );
    match boot_guest(tree, bytes, &early, space) {
        Err(why) => {
            error!("{why}");
            platform::current().power_off()
        }
        Ok(Entry {
            guest,
            kernel,
            tree,
        }) => {
            info!(
                "guest starts at {kernel} with {} vCPUs",
                guest.affinities.len()
            );
            guest.start(kernel.get(), tree.get());
            cores::park()
        }
    }
}

fn boot_guest(
    tree: Pa,
    bytes: &'static [u8],
    early: &Early,
    mut space: AddressSpace,
) -> Result<Entry, Sentence> {
    let too_long = || sentence!("the device tree runs past the end of memory");
    let mut ram = Ram::new(
        early,
        PaRange::new(tree, bytes.len() as u64).ok_or_else(too_long)?,
    );
    ram.take_heap()?;
    let machine: &'static Machine = Box::leak(Box::new(
        machine::parse(bytes).map_err(|error| sentence!("{error}"))?,
    ));
    let platform = platform::install(QemuVirt::new(machine.psci));
    let (cores, mib) = (machine.cpus.len(), ram.total() >> 20);
    info!("{}: {cores} cores, {mib} MiB of RAM", platform.name());
    map_devices(&mut space, machine)?;

    let bundle = bundle(early)?;
    let run_text = bundle.run_config().map_err(|error| sentence!("{error}"))?;
    let run = RunConfig::parse(run_text).map_err(|error| sentence!("oche/config, {error}"))?;
    if machine.cpus.first() != Some(&cpu::affinity()) {
        return Err(sentence!(
            "Oche was started on a core that is not the first in the device tree: the loader must start the first one"
        ));
    }
    start_guest(
        bytes,
        machine,
        &bundle,
        run,
        ram,
        platform,
        space.registers(),
    )
    .inspect_err(|why| {
        let reason = Some(reason(format_args!("{why}")));
        let summary = Summary {
            outcome: Outcome::Stopped,
            reason,
            ..Summary::default()
        };
        console::summary(run.token, &summary);
    })
}

fn bundle(early: &Early) -> Result<Bundle<'static>, Sentence> {
    let range = early.initrd.ok_or_else(|| {
        sentence!("there is no bundle: give one as the initial ramdisk (-initrd)")
    })?;
    let start = range.start().get() as *const u8;
    // SAFETY: the loader put the bundle there; Oche keeps the range out of everything it hands out.
    let bytes = unsafe { core::slice::from_raw_parts(start, range.size() as usize) };
    Bundle::open(bytes).map_err(|error| sentence!("the bundle cannot be read: {error}"))
}

/// Maps the registers that Oche itself uses. BARs are not among them.
fn map_devices(space: &mut AddressSpace, machine: &Machine) -> Result<(), Sentence> {
    let mut map = |range: &PaRange, most: u64| {
        let part = PaRange::new(range.start(), range.size().min(most)).unwrap_or(*range);
        space.map_device(part).map_err(|error| {
            sentence!("the device registers {part} could not be mapped: {error:?}")
        })
    };
    map(&machine.smmu.registers, u64::MAX)?;
    map(&machine.pci.ecam, u64::MAX)?;
    map(&machine.gic.distributor, GICD_SIZE)?;
    if let Some(io) = &machine.pci.windows.io {
        let range = PaRange::new(io.pa, io.size)
            .ok_or_else(|| sentence!("the PCI I/O window runs past the end of memory"))?;
        map(&range, u64::MAX)?;
    }
    if let Some(its) = &machine.gic.its {
        map(&its.registers, u64::MAX)?;
    }
    // A region may be far larger than the cores that are there. GICv4 redistributors are twice as wide.
    let most = 2 * GICR_STRIDE * MAX_VCPUS as u64;
    machine
        .gic
        .redistributors
        .iter()
        .try_for_each(|range| map(range, most))
}

fn start_guest(
    tree: &'static [u8],
    machine: &'static Machine,
    bundle: &Bundle<'static>,
    run: RunConfig<'static>,
    mut ram: Ram<'_>,
    platform: &'static dyn Platform,
    mmu: MmuRegisters,
) -> Result<Entry, Sentence> {
    let mut guests = bundle.guests();
    let files = guests
        .next()
        .ok_or_else(|| sentence!("the bundle holds no guest"))?;
    if guests.next().is_some() {
        return Err(sentence!(
            "the bundle holds more than one guest, and this version of Oche runs one"
        ));
    }
    let name = files.name;
    let config = GuestConfig::parse(files.config)
        .map_err(|error| sentence!("guests/{name}/config, {error}"))?;
    if config.name != name {
        let other = config.name;
        return Err(sentence!(
            "guests/{name}/config gives the name `{other}`: it must be the folder's"
        ));
    }
    let id = GuestId::new(0).ok_or_else(|| sentence!("no guest number is left"))?;
    let guest_ram = ram.take_guest(name, config.memory)?;
    let ownership = ram.states(id, guest_ram)?.with_assignments(&ASSIGNMENTS);
    ram.fill_pool(guest_ram);
    cores::start_all(machine, mmu, platform)?;
    console::set_style(match run.console {
        ConsoleStyle::Tagged => Style::Tagged,
        ConsoleStyle::Raw => Style::Raw,
    });
    guest::load(Ingredients {
        tree,
        machine,
        run,
        files,
        config,
        id,
        ram: guest_ram,
        ownership,
        platform,
    })
}
