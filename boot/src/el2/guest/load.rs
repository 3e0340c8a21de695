//! Making a guest: its RAM filled, its devices found, its stage 2 and its DART set up.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use arrayvec::ArrayVec;
use dart_virt::variant::T8103;
use dart_virt::{GuestDma, Host, HostStream, Settings, Widening};
use guest_abi::config;
use hv_core::Ipa;
use hv_core::arch::aarch64::guest::StageTwo;
use hv_core::arch::aarch64::{core as cpu, gic};
use hv_core::layout::{BAR_BASE, BAR_SIZE, RAM_FLOOR};
use hv_core::pci::VirtualBus;
use hv_core::psci::{Cores, MAX_VCPUS};
use hv_core::stage2::{self, Granule, Stage2};
use hv_core::table::Table;
use hv_core::trap::access::Repeats;
use log::info;
use spin::Mutex;

use super::super::allocator::FRAMES;
use super::super::devices::{Devices, bring_up};
use super::super::messages::{Messages, messages};
use super::super::sentence::{Sentence, sentence};
use super::super::{cores, failure};
use super::devices::{assign, forward, give_messages, lines, routes, take_messages};
use super::dma::Dma;
use super::files::fill_ram;
use super::guards::Taken;
use super::ingredients::Ingredients;
use super::interrupts::vgic;
use super::reveal::targets;
use super::stage2::{address_bits, map_devices, map_ram};
use super::uart::GuestUart;
use super::{Counters, Guest, GuestRam, install};

extern crate alloc;

/// The VMID of the only guest.
const VMID: u64 = 1;

/// A guest that is ready to be entered.
pub(in crate::el2) struct Entry {
    pub(in crate::el2) guest: &'static Guest,
    /// Where its kernel begins.
    pub(in crate::el2) kernel: Ipa,
    /// Where its device tree is.
    pub(in crate::el2) tree: Ipa,
}

/// Makes the guest and puts it where traps find it.
pub(in crate::el2) fn load(from: Ingredients) -> Result<Entry, Sentence> {
    let from: &'static Ingredients = Box::leak(Box::new(from));
    let Ingredients {
        machine, config, ..
    } = from;
    let vcpus = usize::from(config.vcpus);
    if vcpus > machine.cpus.len() {
        return Err(sentence!(
            "guest {} wants {vcpus} vCPUs, each on a core of its own, and the machine has {}: start QEMU with -smp {vcpus}",
            config.name,
            machine.cpus.len()
        ));
    }
    for core in 0..vcpus {
        if !cores::is_ready(core) {
            return Err(sentence!(
                "guest {} wants {vcpus} vCPUs, and core {core} did not start",
                config.name
            ));
        }
    }
    if Ipa::new(config.ram_base) < RAM_FLOOR {
        return Err(sentence!(
            "guest {}: ram-base {:#x} lies among the devices, choose {RAM_FLOOR} or above",
            config.name,
            config.ram_base
        ));
    }
    let guards = Taken::out(from.run.guards_out)?;

    let Devices {
        mut iommu,
        config_space,
        found,
    } = bring_up(machine)?;
    let routes = routes(machine, config, &found)?;
    // All of its functions, or none: the guest's bus has one answer.
    let messages = messages().filter(|messages| {
        routes
            .iter()
            .all(|route| messages.serves(machine, route.function))
    });
    let bus = VirtualBus::new(
        routes.iter().filter_map(|route| found.find(route.function)),
        BAR_BASE,
        BAR_SIZE,
        messages.is_some(),
    )
    .map_err(|error| sentence!("{error}"))?;

    let fresh_bus = bus.clone();

    let ram = GuestRam::new(Ipa::new(config.ram_base), from.ram)
        .with_doorbell(messages.map(Messages::doorbell));
    let affinities: ArrayVec<u64, MAX_VCPUS> = machine.cpus.iter().copied().take(vcpus).collect();
    let delivery = from.run.interrupts.unwrap_or(from.platform.interrupts());
    let mut vgic = vgic(&affinities, delivery);
    let lines = lines(machine, &routes)?;
    forward(&mut vgic, vcpus, &lines);

    let granule = match config.stage2_granule {
        config::Granule::Size4K => Granule::K4,
        config::Granule::Size16K => Granule::K16,
    };
    // An M1 has 36 bits of physical address, others more; a guest needs no more than its devices and its RAM.
    let bits = address_bits(cpu::pa_range());
    if ram.base().get().saturating_add(from.ram.size()) > 1 << bits {
        return Err(sentence!(
            "guest {}: its RAM ends above this CPU's {bits} address bits, choose a lower ram-base",
            config.name
        ));
    }
    let geometry = stage2::geometry_for(bits, granule)
        .ok_or_else(|| sentence!("no stage 2 for {bits} address bits"))?;
    let stage2 = Table::new(&FRAMES, geometry, Stage2)
        .ok_or_else(|| sentence!("no memory for the guest's stage 2"))?;
    for route in &routes {
        iommu
            .reserve(HostStream(route.host))
            .map_err(|error| sentence!("{}: {error}", route.function))?;
    }
    let (targets, canaries) = targets(from.run.reveal, machine, ram, stage2.root().base())?;
    // What the ITS keeps for good once it knows the functions is not the guest's.
    give_messages(from, messages, &routes)?;
    take_messages(from, messages)?;
    // From here on every frame belongs to the guest, and is back at its end.
    let frames_free_at_start =
        FRAMES.free_frames() + (from.ram.size() >> hv_core::addr::FRAME_SHIFT);
    give_messages(from, messages, &routes)?;
    let awaits_userspace = cpu::has_xnx();
    map_ram(&stage2, ram, awaits_userspace)?;
    let lpis = guards.lpis;
    map_devices(&stage2, machine, &bus)?;

    let placement = fill_ram(from, ram, &routes, &bus, messages.is_some(), &targets, 0)?;
    let dart = {
        let mut host = Host {
            memory: &ram,
            frames: &FRAMES,
            ownership: &from.ownership,
            iommu: &mut iommu,
        };
        let settings = Settings {
            guest: from.id,
            variant: match config.dart {
                config::DartModel::T8103 => &T8103,
            },
            widening: Widening::Widen,
            shadow: from.run.shadow,
            guards: guards.dart,
        };
        let mut dart = GuestDma::new(&mut host, settings).map_err(|error| sentence!("{error}"))?;
        assign(&mut dart, &mut host, &routes)?;
        dart
    };
    for route in &routes {
        config_space
            .space_of(route.function)
            .and_then(|space| failure::given(space).ok())
            .ok_or_else(|| sentence!("PCI {}: guests have too many functions", route.function))?;
        info!(
            "PCI {} is the guest's, stream {} of its DART",
            route.function, route.stream
        );
    }
    let guest = Guest {
        id: from.id,
        guards_out: !from.run.guards_out.is_empty(),
        lpis,
        platform: from.platform,
        ram,
        ownership: from.ownership,
        stage2_registers: StageTwo {
            vtcr: stage2::vtcr(&geometry, cpu::pa_range()),
            vttbr: stage2.root().base().get() | (VMID << 48),
        },
        stage2: Mutex::new(stage2),
        granule: geometry.page_size(),
        cores: Mutex::new(Cores::new(affinities.iter().copied())),
        affinities,
        vgic: Mutex::new(vgic),
        delivery,
        list_registers: gic::list_registers(),
        lists_used: [const { AtomicUsize::new(0) }; MAX_VCPUS],
        settling: AtomicUsize::new(0),
        inside: AtomicUsize::new(0),
        counter_offset: AtomicU64::new(0),
        dart_line: AtomicBool::new(false),
        uart: GuestUart::new(from.id.number(), config.name),
        bus: Mutex::new(bus),
        config_space,
        dma: Mutex::new(Dma { dart, iommu }),
        counters: Counters::default(),
        entered: AtomicU64::new(0),
        userspace: AtomicU64::new(0),
        awaits_userspace: AtomicBool::new(awaits_userspace),
        fetched_again: [const { AtomicBool::new(false) }; MAX_VCPUS],
        repeats: [const { Mutex::new(Repeats::NONE) }; MAX_VCPUS],
        canaries,
        ending: AtomicBool::new(false),
        doom: Mutex::new(None),
        frames_free_at_start,
        from,
        routes,
        lines,
        messages,
        fresh_bus,
        found,
        targets,
        restarts: AtomicU64::new(0),
    };
    Ok(Entry {
        guest: install(guest),
        kernel: placement.kernel,
        tree: placement.tree,
    })
}
