//! Making a guest: its RAM filled, its devices found, its stage 2 and its DART set up.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU64};

use arrayvec::{ArrayString, ArrayVec};
use boot::guest_tree::{self, GuestPlan, Target};
use boot::image::ImageHeader;
use boot::machine::Machine;
use boot::placement::{Placement, place};
use boot::range::PaRange;
use dart_virt::iommu::smmuv3::Smmuv3;
use dart_virt::variant::T8103;
use dart_virt::{Guards, GuestDma, Host, HostStream, Settings, StreamId, Widening};
use guest_abi::bundle;
use guest_abi::config::{self, GuestConfig, RunConfig};
use hv_core::arch::aarch64::guest::StageTwo;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::arch::aarch64::mmu::MmuRegisters;
use hv_core::arch::aarch64::{cache, core as cpu, memory};
use hv_core::frames::Frames;
use hv_core::layout::{
    BAR_BASE, BAR_SIZE, GICD_BASE, GICD_SIZE, GICR_BASE, GICR_FRAME, GICR_STRIDE, RAM_FLOOR,
    UART_BASE,
};
use hv_core::ownership::{GuestId, Ownership};
use hv_core::pci::{Bus, Function, VirtualBus};
use hv_core::psci::{Cores, MAX_VCPUS};
use hv_core::stage2::{self, Granule, Stage2, Stage2Attributes};
use hv_core::table::{Run, Table};
use hv_core::{Ipa, Pa};
use log::info;
use spin::Mutex;

use super::super::allocator::FRAMES;
use super::super::cores::Stack;
use super::super::platform::Platform;
use super::super::sentence::{Sentence, sentence};
use super::super::start::{ecam, scan};
use super::dma::{Dma, SmmuWindow, SystemFence};
use super::{Counters, Guest, GuestRam, install};

extern crate alloc;

/// The VMID of the only guest.
const VMID: u64 = 1;

/// What a guest is made from.
pub(in crate::el2) struct Loaded<'a> {
    pub(in crate::el2) tree: &'static [u8],
    pub(in crate::el2) machine: &'a Machine,
    pub(in crate::el2) run: &'a RunConfig<'a>,
    pub(in crate::el2) files: bundle::Guest<'a>,
    pub(in crate::el2) config: &'a GuestConfig<'a>,
    pub(in crate::el2) id: GuestId,
    pub(in crate::el2) ram: PaRange,
    pub(in crate::el2) ownership: Ownership<'static>,
    pub(in crate::el2) platform: &'static dyn Platform,
    pub(in crate::el2) mmu: MmuRegisters,
}

/// Makes the guest and puts it where traps find it. Answers with its entry point and its device tree.
pub(in crate::el2) fn load(from: Loaded<'_>) -> Result<(&'static Guest, u64, u64), Sentence> {
    let Loaded {
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
    if Ipa::new(config.ram_base) < RAM_FLOOR {
        return Err(sentence!(
            "guest {}: ram-base {:#x} lies among the devices, choose {RAM_FLOOR} or above",
            config.name,
            config.ram_base
        ));
    }
    let guards = Taken::out(from.run.guards_out)?;

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

    let ram = GuestRam::new(Ipa::new(config.ram_base), from.ram);
    let affinities: ArrayVec<u64, MAX_VCPUS> = machine.cpus.iter().copied().take(vcpus).collect();
    let redistributors = redistributors(machine, &affinities)?;
    let mut stacks = ArrayVec::new();
    for _ in 0..vcpus {
        stacks.push(Stack::new().ok_or_else(|| sentence!("no memory for the cores' stacks"))?);
    }

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
    let targets = targets(from.run, machine, stage2.root().base())?;
    // From here on every frame belongs to the guest, and is back at its end.
    let frames_free_at_start =
        FRAMES.free_frames() + (from.ram.size() >> hv_core::addr::FRAME_SHIFT);
    let awaits_userspace = cpu::has_xnx();
    map_ram(&stage2, ram, awaits_userspace)?;
    let lpis = guards.lpis;
    map_devices(&stage2, machine, &redistributors, &bus)?;

    let placement = fill_ram(&from, ram, &routes, &targets)?;
    let dart = {
        let mut host = Host {
            memory: &ram,
            frames: &FRAMES,
            ownership: &from.ownership,
            iommu: &mut iommu,
        };
        let settings = Settings {
            guest: from.id,
            variant: &T8103,
            widening: Widening::Widen,
            shadow: from.run.shadow,
            guards: guards.dart,
        };
        let mut dart = GuestDma::new(&mut host, settings).map_err(|error| sentence!("{error}"))?;
        for route in &routes {
            let stream = StreamId::new(route.stream)
                .ok_or_else(|| sentence!("a DART has no stream {}", route.stream))?;
            dart.assign(&mut host, stream, HostStream(route.host))
                .map_err(|error| sentence!("{}: {error}", route.function))?;
        }
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
        token: ArrayString::from(from.run.token)
            .map_err(|_| sentence!("the run's token is too long"))?,
        guards_out: !from.run.guards_out.is_empty(),
        lpis,
        platform: from.platform,
        mmu: from.mmu,
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
        stacks,
        redistributors,
        bus: Mutex::new(bus),
        config_space,
        dma: Mutex::new(Dma { dart, iommu }),
        counters: Counters::default(),
        entered: AtomicU64::new(0),
        userspace: AtomicU64::new(0),
        awaits_userspace: AtomicBool::new(awaits_userspace),
        ending: AtomicBool::new(false),
        frames_free_at_start,
    };
    Ok((install(guest), placement.kernel.get(), placement.tree.get()))
}

/// Guards that this run takes out: only a test image can.
struct Taken {
    dart: Guards,
    lpis: bool,
}

impl Taken {
    #[cfg(not(feature = "guards-out"))]
    fn out(names: &str) -> Result<Self, Sentence> {
        if names.is_empty() {
            return Ok(Self {
                dart: Guards::default(),
                lpis: false,
            });
        }
        Err(sentence!(
            "oche/config asks to take out guards ({names}), which this image cannot do: only a test build can"
        ))
    }

    #[cfg(feature = "guards-out")]
    fn out(names: &str) -> Result<Self, Sentence> {
        let mut out = Self {
            dart: Guards::default(),
            lpis: false,
        };
        for name in names.split(',').filter(|name| !name.is_empty()) {
            match (name, dart_virt::Guard::parse(name)) {
                ("lpi", _) => out.lpis = true,
                (_, Some(guard)) => out.dart = out.dart.without(guard),
                _ => return Err(sentence!("there is no guard `{name}`")),
            }
        }
        Ok(out)
    }
}

/// One of the guest's PCI functions: the stream of its DART, and the host IOMMU's.
struct Route {
    function: Function,
    stream: u8,
    host: u32,
}

fn routes(
    machine: &Machine,
    config: &GuestConfig<'_>,
    found: &Bus,
) -> Result<ArrayVec<Route, { config::MAX_DEVICES }>, Sentence> {
    let mut routes = ArrayVec::new();
    for device in &config.devices {
        let function = Function::from_rid(device.function.requester())
            .filter(|function| found.find(*function).is_some())
            .ok_or_else(|| sentence!("guest {} wants PCI function {}, and there is none: see the PCI lines above for what is there", config.name, device.function))?;
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

/// `ID_AA64MMFR0_EL1.PARange` in bits, and no more than stage 2 needs here.
const fn address_bits(pa_range: u64) -> u32 {
    match pa_range {
        0 => 32,
        1 => 36,
        _ => 40,
    }
}

/// The RD_base frame of each vCPU's core: the one whose `GICR_TYPER` has the core's affinity (IHI 0069, 12.11).
fn redistributors(
    machine: &Machine,
    affinities: &[u64],
) -> Result<ArrayVec<Mmio, MAX_VCPUS>, Sentence> {
    const TYPER: u64 = 8;
    const LAST: u64 = 1 << 4;
    let stride = machine.gic.redistributor_stride.max(GICR_STRIDE);
    let mut all = ArrayVec::new();
    for affinity in affinities {
        // Aff3.Aff2.Aff1.Aff0, packed, as TYPER has it in its upper half.
        let wanted = (affinity & 0xff_ffff) | ((affinity >> 8) & 0xff00_0000);
        let mut found = None;
        'regions: for region in &machine.gic.redistributors {
            let most = (region.size() / stride).min(MAX_VCPUS as u64);
            for nth in 0..most {
                let Some(base) = region.start().checked_add(nth * stride) else {
                    break;
                };
                // SAFETY: a redistributor of the machine's GIC, mapped at boot. It is given to one vCPU's traps only.
                let frame = unsafe { Mmio::new(base, GICR_FRAME) };
                let typer = frame.read64(TYPER);
                if typer >> 32 == wanted {
                    found = Some(frame);
                    break 'regions;
                }
                if typer & LAST != 0 {
                    break;
                }
            }
        }
        all.push(found.ok_or_else(|| {
            sentence!("no GIC redistributor has the affinity {affinity:#x} of a core")
        })?);
    }
    Ok(all)
}

type StageTwoTable = Table<Stage2>;

fn map_ram(table: &StageTwoTable, ram: GuestRam, awaits_userspace: bool) -> Result<(), Sentence> {
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

/// What the guest touches without a trap: distributor, SGI frames, UART, BARs. The RD_base frames are left out.
fn map_devices(
    table: &StageTwoTable,
    machine: &Machine,
    redistributors: &[Mmio],
    bus: &VirtualBus,
) -> Result<(), Sentence> {
    let map = |input: Ipa, output: Pa, bytes: u64| {
        let bytes = bytes.next_multiple_of(hv_core::addr::FRAME_SIZE);
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
    map(GICD_BASE, machine.gic.distributor.start(), GICD_SIZE)?;
    map(
        UART_BASE,
        machine.console.registers.start().frame_base(),
        hv_core::layout::UART_SIZE,
    )?;
    for (nth, frame) in redistributors.iter().enumerate() {
        let ipa = GICR_BASE.checked_add(nth as u64 * GICR_STRIDE + GICR_FRAME);
        let sgi = frame.base().checked_add(GICR_FRAME);
        if let Some((ipa, sgi)) = ipa.zip(sgi) {
            map(ipa, sgi, GICR_FRAME)?;
        }
    }
    bus.windows()
        .try_for_each(|window| map(window.ipa, window.pa, window.size))
}

/// Kernel, ramdisk and device tree into the guest's RAM, everything else zero, and all of it visible to a core whose
/// caches are off.
fn fill_ram(
    from: &Loaded<'_>,
    ram: GuestRam,
    routes: &[Route],
    targets: &[Target<'_>],
) -> Result<Placement, Sentence> {
    let Loaded { config, files, .. } = from;
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
fn targets(
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
