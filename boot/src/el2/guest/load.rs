//! Making a guest: its RAM filled, its devices found, its stage 2 and its DART set up.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use arrayvec::ArrayVec;
use boot::machine::{Interrupt, Machine};
use boot::range::PaRange;
use dart_virt::iommu::smmuv3::Smmuv3;
use dart_virt::variant::T8103;
use dart_virt::{GuestDma, Host, HostStream, Settings, StreamId, Widening};
use guest_abi::config::{self, GuestConfig};
use hv_core::Ipa;
use hv_core::arch::aarch64::guest::StageTwo;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::arch::aarch64::{core as cpu, gic};
use hv_core::layout::{BAR_BASE, BAR_SIZE, PCI_PIN_INTID, RAM_FLOOR};
use hv_core::pci::{Bus, Function, Unassignable, VirtualBus, own_serial};
use hv_core::psci::{Cores, MAX_VCPUS};
use hv_core::stage2::{self, Granule, Stage2};
use hv_core::table::Table;
use hv_core::trap::access::Repeats;
use hv_core::vgic::Vgic;
use log::{info, warn};
use spin::Mutex;

use super::super::allocator::FRAMES;
use super::super::control;
use super::super::cores;
use super::super::failure;
use super::super::interrupts::{Feed, host, set_feed};
use super::super::messages::{self, Messages, messages};
use super::super::pci::{Ecam, ecam, scan};
use super::super::sentence::{Sentence, sentence};
use super::dma::{Dma, SmmuWindow, SystemFence};
use super::files::fill_ram;
use super::guards::Taken;
use super::ingredients::{ForwardedLine, Ingredients, Lines, Route, Routes, Wire};
use super::interrupts::vgic;
use super::reveal::targets;
use super::stage2::{address_bits, map_devices, map_ram};
use super::uart::GuestUart;
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
    listen(machine, &config_space, &found);
    messages::start(machine, machine.cpus.len().min(cores::MAX_CORES));
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

/// Opens the control line, if the machine has one.
fn listen(machine: &Machine, config_space: &Ecam, found: &Bus) {
    let Some(serial) = own_serial(config_space, found, &machine.pci.windows) else {
        return info!("there is no control line");
    };
    // SAFETY: `own_serial` placed the UART's registers there, in the I/O window, which is mapped at boot; the function
    // is Oche's own for good.
    if !unsafe { control::start(serial.registers, machine.cpus.len() as u64) } {
        warn!(
            "PCI {}: no UART answers, so there is no control line",
            serial.function
        );
    }
}

/// Makes interrupts of the guest out of its functions' messages, and gives it the doorbell.
pub(super) fn give_messages(
    from: &Ingredients,
    messages: Option<&Messages>,
    routes: &[Route],
) -> Result<(), Sentence> {
    let Some(messages) = messages else {
        return Ok(());
    };
    for route in routes {
        messages.assign(from.machine, route.function, from.id)?;
    }
    from.ownership
        .assign_registers(messages.doorbell(), from.id)
        .map_err(|error| sentence!("the doorbell could not be given to the guest: {error}"))
}

/// Takes both back, once no device of the guest can write any more.
pub(super) fn take_messages(
    from: &Ingredients,
    messages: Option<&Messages>,
) -> Result<(), Sentence> {
    let Some(messages) = messages else {
        return Ok(());
    };
    messages.revoke_all(from.id)?;
    from.ownership
        .withdraw_registers(messages.doorbell(), from.id)
        .map_err(|error| sentence!("the doorbell could not be taken back: {error}"))
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

/// The machine's lines that feed the guest, its cores' timers and the pins of its PCI functions; says so to the
/// machine's GIC.
fn lines(machine: &Machine, routes: &[Route]) -> Result<Lines, Sentence> {
    let gic = host().ok_or_else(|| sentence!("the GIC was not set up"))?;
    let mut lines = Lines::new();
    let pins = routes.iter().filter_map(|route| route.wire);
    let timers = [machine.timer.virtual_timer, machine.timer.physical];
    // A timer has its own number in the guest too.
    let timers = timers.map(|machine| ForwardedLine {
        machine,
        intid: machine.intid(),
    });
    for line in timers.into_iter().chain(pins.map(|wire| wire.line)) {
        if lines.contains(&line) {
            continue;
        }
        gic.set_trigger(line.machine);
        gic.route(0, line.machine.intid());
        set_feed(line.machine.intid(), Feed::Guest(line.intid));
        lines.try_push(line).map_err(|_| {
            sentence!("the guest's devices pull more interrupt lines than Oche keeps")
        })?;
    }
    Ok(lines)
}

/// Tells the guest's GIC of them.
pub(super) fn forward(vgic: &mut Vgic, vcpus: usize, lines: &Lines) {
    for line in lines {
        let Ok(physical) = u16::try_from(line.machine.intid()) else {
            continue; // no INTID of a line is so large
        };
        let each = if line.intid < 32 { vcpus } else { 1 };
        for vcpu in 0..each {
            // Refused for a number that no guest has: such a device stays silent.
            let _ = vgic.forward(vcpu, line.intid, physical);
        }
    }
}

/// The line of a pin: functions that share a wire of the machine share an interrupt of the guest.
fn wire(routes: &Routes, pin: u8, machine: Interrupt) -> Wire {
    let known = || {
        routes
            .iter()
            .filter_map(|route| route.wire)
            .map(|wire| wire.line)
    };
    let same = known().find(|line| line.machine == machine);
    let next = known().map(|line| line.intid.saturating_add(1)).max();
    let intid = same.map_or(next.unwrap_or(PCI_PIN_INTID), |line| line.intid);
    Wire {
        pin,
        line: ForwardedLine { machine, intid },
    }
}

fn routes(machine: &Machine, config: &GuestConfig<'_>, found: &Bus) -> Result<Routes, Sentence> {
    let mut routes = Routes::new();
    for device in &config.devices {
        let name = config.name;
        let function = Function::from_rid(device.function.requester());
        let known = found
            .assignable(function)
            .map_err(|why| sentence!("guest {name}: {why}"))?;
        let host = machine
            .pci
            .stream_of(function)
            .filter(|stream| stream.iommu == machine.smmu.phandle)
            .ok_or_else(|| sentence!("guest {name}: {}", Unassignable::NoIommu(function)))?;
        let wire = known
            .root_pin()
            .and_then(|(root, pin)| machine.pci.pin_interrupt(root, pin))
            .map(|machine| wire(&routes, known.pin, machine));
        routes.push(Route {
            function,
            stream: device.stream,
            wire,
            host: host.stream,
        });
    }
    Ok(routes)
}
