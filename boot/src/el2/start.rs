//! From the first instruction with a stack to the guest's first instruction, in order.

use core::sync::atomic::AtomicU32;

use alloc::boxed::Box;
use alloc::vec::Vec;

use arrayvec::ArrayVec;
use boot::machine::{self, Early, Machine};
use boot::placement::choose_region;
use boot::range::PaRange;
use guest_abi::bundle::Bundle;
use guest_abi::config::{GuestConfig, RunConfig};
use guest_abi::summary::{Outcome, Summary, reason, write_line};
use hv_core::addr::{FRAME_SHIFT, FRAME_SIZE};
use hv_core::arch::aarch64::{barrier, core as cpu, mmio::Mmio};
use hv_core::ownership::{self, GuestId, Owner, Ownership, RamRange};
use hv_core::pci;
use hv_core::{Frame, Pa};
use log::{error, info};

use super::address_space::AddressSpace;
use super::allocator::{self, FRAMES};
use super::console::{self, Port};
use super::guest::{self, Loaded};
use super::pci::Ecam;
use super::platform::{self, Platform, QemuVirt};
use super::sentence::{Sentence, sentence};
use super::{cores, device_tree, image};

extern crate alloc;

/// RAM for Oche's own Rust values, beside the frame states.
const HEAP: u64 = 8 << 20;
/// A guest's RAM begins on one of these, so that stage 2 maps it by blocks at either granule.
const GUEST_ALIGN: u64 = 32 << 20;

/// Starts Oche, then its guest. The way out is the guest's end, or a sentence and power-off.
pub(super) fn start(tree: Pa) -> ! {
    let Some((bytes, early)) =
        device_tree(tree).and_then(|bytes| Some((bytes, machine::early(bytes).ok()?)))
    else {
        barrier::halt(); // `oche_early` has read the same bytes
    };
    match run(tree, bytes, &early) {
        Err(why) => {
            error!("{why}");
            platform::current().power_off()
        }
        Ok((guest, entry, device_tree)) => {
            info!(
                "guest starts at {entry:#x} with {} vCPUs",
                guest.affinities.len()
            );
            guest
                .entered
                .store(cpu::ticks(), core::sync::atomic::Ordering::Relaxed);
            cores::enter(guest, 0, entry, device_tree)
        }
    }
}

type Started = (&'static guest::Guest, u64, u64);

fn run(tree: Pa, bytes: &'static [u8], early: &Early) -> Result<Started, Sentence> {
    let no_console = || sentence!("the device tree names no console");
    let console = early.console.ok_or_else(no_console)?;
    let mut space = AddressSpace::new(&early.ram, &early.reserved, console)
        .map_err(|error| sentence!("Oche's own address space could not be built: {error:?}"))?;
    let mmu = space.registers();
    // SAFETY: the space maps all of RAM, the image with its stack among it, and the console at their own addresses.
    unsafe { mmu.enable() };
    // SAFETY: the device tree says that a PL011 is there, it is mapped, and `oche_early`'s port is gone.
    console::start(unsafe { Port::new(console.start()) }.ok_or_else(no_console)?);
    info!(
        "Oche {} at EL2, image at {}",
        env!("CARGO_PKG_VERSION"),
        image::range()
    );

    let mut taken = taken_at_start(tree, bytes, early);
    let states = frame_count(&early.ram)
        .saturating_mul(4)
        .next_multiple_of(FRAME_SIZE);
    let heap = choose_region(&early.ram, &taken, HEAP.saturating_add(states), FRAME_SIZE)
        .ok_or_else(|| {
            sentence!("there is not enough RAM for Oche's heap: give the machine more memory")
        })?;
    // SAFETY: the region keeps clear of everything in `taken` and is taken itself from here on.
    unsafe { allocator::add_rust_heap(heap) };
    taken.push(heap);

    let machine = machine::parse(bytes).map_err(|error| sentence!("{error}"))?;
    let platform = platform::install(QemuVirt::new(machine.psci));
    info!(
        "{}: {} cores, {} MiB of RAM",
        platform.name(),
        machine.cpus.len(),
        total(&machine.ram) >> 20
    );
    map_devices(&mut space, &machine)?;

    let bundle = bundle(early)?;
    let run_text = bundle.run_config().map_err(|error| sentence!("{error}"))?;
    let run = RunConfig::parse(run_text).map_err(|error| sentence!("oche/config, {error}"))?;
    let plan = Plan {
        tree: bytes,
        machine: &machine,
        early,
        bundle: &bundle,
        run: &run,
        platform,
        mmu,
        taken,
    };
    plan.start_guest().map_err(|why| {
        let summary = Summary {
            outcome: Outcome::Stopped,
            reason: Some(reason(format_args!("{why}"))),
            ..Summary::default()
        };
        console::with(|port| {
            let _ = port.write_str("\n");
            let _ = write_line(&mut &mut *port, run.token, &summary);
            let _ = port.write_str("\n");
        });
        why
    })
}

/// What must not be given out: what the tree reserves, Oche itself, the tree, the bundle.
fn taken_at_start(tree: Pa, bytes: &[u8], early: &Early) -> Taken {
    let own = [
        Some(image::range()),
        PaRange::new(tree, bytes.len() as u64),
        early.initrd,
    ];
    // Room for these and two more is kept: see `Taken`.
    let mut taken = Taken::new();
    taken.extend(
        early
            .reserved
            .iter()
            .copied()
            .chain(own.into_iter().flatten()),
    );
    taken
}

/// 32 reservations of the tree, and Oche's own: image, tree, bundle, heap, guest.
type Taken = ArrayVec<PaRange, { machine::MAX_RESERVED_RANGES + 5 }>;

fn total(ranges: &[PaRange]) -> u64 {
    ranges.iter().map(PaRange::size).sum()
}

fn frame_count(ranges: &[PaRange]) -> u64 {
    total(ranges) >> FRAME_SHIFT
}

fn bundle(early: &Early) -> Result<Bundle<'static>, Sentence> {
    let range = early.initrd.ok_or_else(|| {
        sentence!("there is no bundle: give one as the initial ramdisk (-initrd)")
    })?;
    // SAFETY: the loader put the bundle there; Oche keeps the range out of everything it hands out.
    let bytes = unsafe {
        core::slice::from_raw_parts(range.start().get() as *const u8, range.size() as usize)
    };
    Bundle::open(bytes).map_err(|error| sentence!("the bundle cannot be read: {error}"))
}

/// Maps the registers that Oche itself uses. BARs are not among them.
fn map_devices(space: &mut AddressSpace, machine: &Machine) -> Result<(), Sentence> {
    let bus0 = PaRange::new(machine.pci.ecam.start(), hv_core::layout::ECAM_SIZE);
    let devices = [machine.smmu.registers]
        .into_iter()
        .chain(machine.gic.redistributors.iter().copied())
        .chain(bus0);
    for range in devices {
        // A redistributor region may be far larger than the cores that are there.
        let most = hv_core::layout::GICR_STRIDE * hv_core::psci::MAX_VCPUS as u64;
        let part = PaRange::new(
            range.start(),
            range.size().min(most.max(hv_core::layout::ECAM_SIZE)),
        )
        .unwrap_or(range);
        space.map_device(part).map_err(|error| {
            sentence!("the device registers {part} could not be mapped: {error:?}")
        })?;
    }
    Ok(())
}

/// Whole frames only: an odd rest at either end of a range of RAM is not used.
fn frames_of(range: &PaRange) -> RamRange {
    let first = range.start().get().div_ceil(FRAME_SIZE);
    let past = range.end().get() >> FRAME_SHIFT;
    RamRange {
        first: Frame::from_number(first),
        frames: past.saturating_sub(first),
    }
}

struct Plan<'a> {
    tree: &'static [u8],
    machine: &'a Machine,
    early: &'a Early,
    bundle: &'a Bundle<'static>,
    run: &'a RunConfig<'a>,
    platform: &'static dyn Platform,
    mmu: hv_core::arch::aarch64::mmu::MmuRegisters,
    taken: Taken,
}

impl Plan<'_> {
    fn start_guest(mut self) -> Result<Started, Sentence> {
        let mut guests = self.bundle.guests();
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
            return Err(sentence!(
                "guests/{name}/config gives the name `{}`: it must be the folder's",
                config.name
            ));
        }
        let ram = choose_region(&self.early.ram, &self.taken, config.memory, GUEST_ALIGN).ok_or_else(|| {
            sentence!(
                "guest {name} wants {} MiB in one piece, and no part of the machine's {} MiB is large enough: give the machine more memory",
                config.memory >> 20,
                total(&self.early.ram) >> 20
            )
        })?;
        self.taken.push(ram);
        self.fill_pool();
        let id = GuestId::new(0).ok_or_else(|| sentence!("no guest number is left"))?;
        let ownership = self.frame_states(id, ram)?;

        let loaded = guest::load(Loaded {
            tree: self.tree,
            machine: self.machine,
            run: self.run,
            files,
            config: &config,
            id,
            ram,
            ownership,
            platform: self.platform,
            mmu: self.mmu,
        })?;
        Ok(loaded)
    }

    /// Everything that is left of RAM becomes frames.
    fn fill_pool(&self) {
        let mut ranges = ArrayVec::<PaRange, 16>::new();
        let mut rest = self.taken.clone();
        // The largest pieces first, until there is no room to note more of them.
        while !ranges.is_full() {
            let Some(piece) = largest_gap(&self.early.ram, &rest) else {
                break;
            };
            ranges.push(piece);
            if rest.try_push(piece).is_err() {
                break;
            }
        }
        // SAFETY: the pieces are RAM in the linear map, disjoint from each other and from everything that is taken.
        unsafe { FRAMES.fill(ranges) };
    }

    /// The state of every frame: the guest's, the firmware's, nobody's, or Oche's.
    fn frame_states(
        &self,
        id: GuestId,
        guest_ram: PaRange,
    ) -> Result<Ownership<'static>, Sentence> {
        ownership::self_test()
            .map_err(|error| sentence!("the ownership self-test failed: {error:?}"))?;
        let ranges: Vec<RamRange> = self.early.ram.iter().map(frames_of).collect();
        let ranges: &'static [RamRange] = Box::leak(ranges.into_boxed_slice());
        let words = Ownership::states_needed(ranges).unwrap_or(usize::MAX);
        let mut states = Vec::new();
        states
            .try_reserve_exact(words)
            .map_err(|_| sentence!("no memory for the state of {words} frames"))?;
        states.resize_with(words, || AtomicU32::new(0));
        let ownership = Ownership::new(ranges, Box::leak(states.into_boxed_slice()))
            .map_err(|error| sentence!("{error}"))?;
        let give = |range: &PaRange, owner: Owner| {
            let RamRange { first, frames } = frames_of(range);
            ownership
                .transfer_run(first, frames, Owner::Nobody, owner)
                .map_err(|(frame, why)| sentence!("{frame:?}: {why}"))
        };
        give(&guest_ram, Owner::Guest(id))?;
        for range in self
            .early
            .reserved
            .iter()
            .filter(|range| self.early.ram.iter().any(|ram| ram.covers(range)))
        {
            // Reservations may overlap each other; what is the firmware's already stays so.
            let _ = give(range, Owner::Firmware);
        }
        for RamRange { first, frames } in ranges {
            for number in first.number()..first.number().saturating_add(*frames) {
                let frame = Frame::from_number(number);
                if ownership
                    .state(frame)
                    .is_some_and(|state| state.owner == Owner::Nobody)
                {
                    ownership
                        .transfer(frame, Owner::Nobody, Owner::Hypervisor)
                        .map_err(|why| sentence!("{frame:?}: {why}"))?;
                }
            }
        }
        Ok(ownership)
    }
}

/// The largest run of whole frames that is RAM and not taken.
fn largest_gap(ram: &[PaRange], taken: &[PaRange]) -> Option<PaRange> {
    let mut best: Option<PaRange> = None;
    for range in ram {
        let mut from = range.start();
        loop {
            let next = taken
                .iter()
                .filter(|other| other.size() > 0 && other.end() > from && other.overlaps(range))
                .min_by_key(|other| other.start());
            let until = next.map_or(range.end(), |other| other.start().max(from));
            let first = Pa::new(from.get().div_ceil(FRAME_SIZE) * FRAME_SIZE);
            if let Some(gap) = PaRange::between(first, until.frame_base()) {
                if gap.size() > best.map_or(0, |best| best.size()) {
                    best = Some(gap);
                }
            }
            match next {
                Some(other) if other.end() < range.end() => from = other.end().max(from),
                _ => break,
            }
        }
    }
    best
}

/// The ECAM of the machine's first bus.
pub(super) fn ecam(machine: &Machine) -> Ecam {
    // SAFETY: the device tree's ECAM, mapped by `map_devices`; configuration space is no memory of ours.
    Ecam(unsafe { Mmio::new(machine.pci.ecam.start(), hv_core::layout::ECAM_SIZE) })
}

/// What stands on the bus, every function silent and its BARs placed.
pub(super) fn scan(machine: &Machine, config_space: &Ecam) -> pci::Bus {
    let bus = pci::enumerate(config_space, &machine.pci.windows);
    for found in &bus.functions {
        info!(
            "PCI {}: device {:08x}, class {:06x}",
            found.function,
            found.identity.device,
            found.identity.class >> 8
        );
    }
    if bus.bridges + bus.left_out + bus.bars_unplaced > 0 {
        info!(
            "PCI: {} bridges not descended, {} functions and {} BARs left out",
            bus.bridges, bus.left_out, bus.bars_unplaced
        );
    }
    bus
}
