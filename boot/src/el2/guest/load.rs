//! Making a guest: its RAM filled, its devices found, its stage 2 and its DART set up.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use arrayvec::ArrayVec;
use boot::machine::Machine;
use boot::range::PaRange;
use dart_virt::iommu::smmuv3::Smmuv3;
use dart_virt::variant::T8103;
use dart_virt::{GuestDma, Host, HostStream, Settings, StreamId, Widening};
use guest_abi::config::{self, GuestConfig};
use hv_core::Ipa;
use hv_core::arch::aarch64::guest::StageTwo;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::arch::aarch64::{core as cpu, gic};
use hv_core::layout::{BAR_BASE, BAR_SIZE, RAM_FLOOR};
use hv_core::pci::{Bus, Function, VirtualBus};
use hv_core::psci::{Cores, MAX_VCPUS};
use hv_core::stage2::{self, Granule, Stage2};
use hv_core::table::Table;
use hv_core::trap::access::Repeats;
use hv_core::vgic::Vgic;
use log::info;
use spin::Mutex;

use super::super::allocator::FRAMES;
use super::super::cores;
use super::super::interrupts::{Feed, host, set_feed};
use super::super::pci::{ecam, scan};
use super::super::sentence::{Sentence, sentence};
use super::dma::{Dma, SmmuWindow, SystemFence};
use super::files::fill_ram;
use super::guards::Taken;
use super::ingredients::{Ingredients, Lines, Route, Routes};
use super::interrupts::vgic;
use super::reveal::targets;
use super::stage2::{address_bits, map_devices, map_ram};
use super::{Counters, Guest, GuestRam, install};

extern crate alloc;

/// Two register pages of 64 KiB (IHI 0070, 6.1).
const SMMU_WINDOW: u64 = 0x2_0000;

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

    if machine.smmu.registers.size() < SMMU_WINDOW {
        return Err(sentence!(
            "the SMMU's registers take {SMMU_WINDOW:#x} bytes, and the device tree gives {:#x}",
            machine.smmu.registers.size()
        ));
    }

    // The IOMMU before anything that could make a device master the bus, then the bus.
    let registers: &'static SmmuWindow = Box::leak(Box::new(SmmuWindow(
        // SAFETY: the device tree's SMMU, mapped at boot; the driver owns it and keeps its tables to itself.
        unsafe {
            Mmio::new(
                machine.smmu.registers.start(),
                machine.smmu.registers.size(),
            )
        },
    )));
    let top = machine
        .ram
        .iter()
        .map(PaRange::end)
        .max()
        .unwrap_or_default();
    let mut iommu = Smmuv3::start(registers, &FRAMES, &SystemFence, top)
        .map_err(|error| sentence!("{error}"))?;
    let config_space = ecam(machine);
    let found = scan(machine, &config_space);
    let routes = routes(machine, config, &found)?;
    let bus = VirtualBus::new(
        routes.iter().filter_map(|route| found.find(route.function)),
        BAR_BASE,
        BAR_SIZE,
    )
    .map_err(|error| sentence!("{error}"))?;

    let fresh_bus = bus.clone();

    let ram = GuestRam::new(Ipa::new(config.ram_base), from.ram);
    let affinities: ArrayVec<u64, MAX_VCPUS> = machine.cpus.iter().copied().take(vcpus).collect();
    let delivery = from.run.interrupts.unwrap_or(from.platform.interrupts());
    let mut vgic = vgic(&affinities, delivery);
    let lines = lines(machine, &routes, &found)?;
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
    // From here on every frame belongs to the guest, and is back at its end.
    let frames_free_at_start =
        FRAMES.free_frames() + (from.ram.size() >> hv_core::addr::FRAME_SHIFT);
    let awaits_userspace = cpu::has_xnx();
    map_ram(&stage2, ram, awaits_userspace)?;
    let lpis = guards.lpis;
    map_devices(&stage2, machine, &bus)?;

    let placement = fill_ram(from, ram, &routes, &targets, 0)?;
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
        inside: AtomicUsize::new(0),
        counter_offset: AtomicU64::new(0),
        dart_line: AtomicBool::new(false),
        dart_intid: machine.smmu.event_queue.intid(),
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
        frames_free_at_start,
        from,
        routes,
        lines,
        fresh_bus,
        targets,
        restarts: AtomicU64::new(0),
    };
    Ok(Entry {
        guest: install(guest),
        kernel: placement.kernel,
        tree: placement.tree,
    })
}

/// Puts the guest's functions behind their streams.
pub(super) fn assign(
    dart: &mut GuestDma,
    host: &mut Host<'_>,
    routes: &[Route],
) -> Result<(), Sentence> {
    for route in routes {
        let stream = StreamId::new(route.stream)
            .ok_or_else(|| sentence!("a DART has no stream {}", route.stream))?;
        dart.assign(host, stream, HostStream(route.host))
            .map_err(|error| sentence!("{}: {error}", route.function))?;
    }
    Ok(())
}

/// The machine's lines that feed the guest: its cores' timers, the pins of its PCI functions, the serial line. Says so
/// to the machine's GIC.
fn lines(machine: &Machine, routes: &[Route], found: &Bus) -> Result<Lines, Sentence> {
    let gic = host().ok_or_else(|| sentence!("the GIC was not set up"))?;
    let mut lines = Lines::new();
    let pins = routes
        .iter()
        .filter_map(|route| found.find(route.function))
        .filter_map(|found| machine.pci.pin_interrupt(found.function, found.pin));
    let timers = [machine.timer.virtual_timer, machine.timer.physical];
    for line in timers
        .into_iter()
        .chain(pins)
        .chain([machine.console.interrupt])
    {
        let intid = line.intid();
        if lines.contains(&intid) {
            continue;
        }
        gic.set_trigger(line);
        gic.route(0, intid);
        set_feed(intid, Feed::Guest(intid));
        lines.try_push(intid).map_err(|_| {
            sentence!("the guest's devices pull more interrupt lines than Oche keeps")
        })?;
    }
    Ok(lines)
}

/// Tells the guest's GIC of them.
pub(super) fn forward(vgic: &mut Vgic, vcpus: usize, lines: &Lines) {
    for intid in lines {
        let Ok(physical) = u16::try_from(*intid) else {
            continue; // no INTID of a line is so large
        };
        let each = if *intid < 32 { vcpus } else { 1 };
        for vcpu in 0..each {
            // Refused for a number that no guest has: such a device stays silent.
            let _ = vgic.forward(vcpu, *intid, physical);
        }
    }
}

fn routes(machine: &Machine, config: &GuestConfig<'_>, found: &Bus) -> Result<Routes, Sentence> {
    let mut routes = Routes::new();
    for device in &config.devices {
        let name = config.name;
        let known = Function::from_rid(device.function.requester())
            .and_then(|function| found.find(function));
        let known = known.ok_or_else(|| {
            let wanted = device.function;
            sentence!(
                "guest {name} wants PCI function {wanted}, and there is none: see the PCI lines above for what is there"
            )
        })?;
        let function = known.function;
        if known.identity.bypasses_iommu() {
            return Err(sentence!(
                "PCI function {function} is a virtio device, whose DMA no IOMMU need see, so no guest may have it"
            ));
        }
        let host = machine
            .pci
            .stream_of(function)
            .filter(|stream| stream.iommu == machine.smmu.phandle)
            .ok_or_else(|| {
                sentence!(
                    "no IOMMU sees the DMA of PCI function {function}, so no guest may have it"
                )
            })?;
        routes.push(Route {
            function,
            stream: device.stream,
            host: host.stream,
        });
    }
    Ok(routes)
}
