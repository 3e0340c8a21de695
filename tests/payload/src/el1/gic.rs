//! A driver for a GICv3 (Arm IHI 0069) with one security state: Group 1, affinity routing, system registers, no LPIs.

pub(super) mod icc;
pub(super) mod line;
pub(super) mod vector;

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::cores;
use super::cpu::{self, Deadline, barrier, read_register};
use super::machine::Machine;
use super::mmio::Registers;

/// "Nothing to acknowledge" (IHI 0069, 2.2.1).
pub(super) const SPURIOUS: u32 = 1023;
/// How long something that has to come may take. Only a test that fails waits so long.
pub(super) const PATIENCE_MS: u64 = 5000;
/// Looks at a condition between two looks at the time.
const LOOKS: u32 = 100;
/// The priority of what has no other.
pub(super) const PRIORITY: u8 = 0xa0;
/// From one redistributor to the next, where there are no virtual LPIs (IHI 0069, 12.10).
const STRIDE: u64 = 0x2_0000;
/// The SGI_base frame of a redistributor.
const SGI_FRAME: u64 = 0x1_0000;

/// Distributor registers (IHI 0069, 12.9).
pub(super) const GICD_CTLR: u64 = 0x0000;
pub(super) const GICD_TYPER: u64 = 0x0004;
/// Redistributor registers (IHI 0069, 12.11).
pub(super) const GICR_CTLR: u64 = 0x0000;
pub(super) const GICR_TYPER: u64 = 0x0008;
pub(super) const GICR_WAKER: u64 = 0x0014;

/// `GICD_CTLR` with one security state.
pub(super) const CTLR_GROUP1: u32 = 1 << 1;
pub(super) const CTLR_ARE: u32 = 1 << 4;
pub(super) const CTLR_RWP: u32 = 1 << 31;
/// `GICR_TYPER.Last`.
pub(super) const TYPER_LAST: u64 = 1 << 4;
/// `GICR_WAKER`.
pub(super) const PROCESSOR_SLEEP: u32 = 1 << 1;
pub(super) const CHILDREN_ASLEEP: u32 = 1 << 2;

static DISTRIBUTOR: AtomicU64 = AtomicU64::new(0);
static REDISTRIBUTORS: [AtomicU64; cores::MAX] = [const { AtomicU64::new(0) }; cores::MAX];
static AFFINITIES: [AtomicU64; cores::MAX] = [const { AtomicU64::new(0) }; cores::MAX];
/// What the driver does wrong on purpose.
static FAULT: AtomicU8 = AtomicU8::new(Fault::None as u8);

/// A step that the driver gets wrong, so that a test has something to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fault {
    /// None.
    None,
    /// The end of an interrupt is not written.
    NoEnd,
    /// The priority mask lets everything through.
    NoMask,
    /// All priorities stay the same.
    NoPriority,
    /// An interrupt that was enabled stays so.
    NoDisable,
    /// Every hundredth SGI is not sent.
    LostSgi,
    /// Every fiftieth tick of a timer is taken twice.
    DoubleTick,
    /// A timer that was stopped runs on.
    NoStop,
    /// What is written to a frame for messages goes nowhere.
    NoMessage,
}

impl Fault {
    /// The fault of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "no-end" => Self::NoEnd,
            "no-mask" => Self::NoMask,
            "no-priority" => Self::NoPriority,
            "no-disable" => Self::NoDisable,
            "lost-sgi" => Self::LostSgi,
            "double-tick" => Self::DoubleTick,
            "no-stop" => Self::NoStop,
            "no-message" => Self::NoMessage,
            _ => return None,
        })
    }

    /// Makes it the driver's.
    pub(super) fn install(self) {
        FAULT.store(self as u8, Ordering::Relaxed);
    }

    /// Is it the driver's?
    pub(super) fn is_in(self) -> bool {
        FAULT.load(Ordering::Relaxed) == self as u8
    }
}

/// Finds the frames, and for each core of the device tree its redistributor.
pub(super) fn find(machine: &Machine) -> Result<(), &'static str> {
    DISTRIBUTOR.store(machine.distributor, Ordering::Relaxed);
    for (index, affinity) in machine.all_cores.iter().copied().flatten().enumerate() {
        let address = redistributor_of(machine, affinity)
            .ok_or("a core of the device tree has no redistributor")?;
        REDISTRIBUTORS[index].store(address, Ordering::Relaxed);
        AFFINITIES[index].store(affinity, Ordering::Relaxed);
    }
    Ok(())
}

fn redistributor_of(machine: &Machine, affinity: u64) -> Option<u64> {
    for number in 0..64 {
        let address = machine.redistributors + number * STRIDE;
        // SAFETY: the device tree says that redistributors are there, up to the one that is last.
        let typer = unsafe { Registers::new(address) }.read64(GICR_TYPER);
        if typer >> 32 == packed(affinity) {
            return Some(address);
        }
        if typer & TYPER_LAST != 0 {
            break;
        }
    }
    None
}

/// An affinity as `GICR_TYPER` has it: four bytes.
pub(super) const fn packed(affinity: u64) -> u64 {
    affinity >> 8 & 0xff00_0000 | affinity & 0xff_ffff
}

/// The distributor.
pub(super) fn distributor() -> Registers {
    // SAFETY: `find` took it from the device tree.
    unsafe { Registers::new(DISTRIBUTOR.load(Ordering::Relaxed)) }
}

/// The RD_base frame of a core's redistributor.
pub(super) fn redistributor(core: usize) -> Registers {
    // SAFETY: `find` found a redistributor there.
    unsafe { Registers::new(REDISTRIBUTORS[core].load(Ordering::Relaxed)) }
}

/// The SGI_base frame of a core's redistributor.
pub(super) fn private_frame(core: usize) -> Registers {
    redistributor(core).at(SGI_FRAME)
}

/// The affinity of a core.
pub(super) fn affinity(core: usize) -> u64 {
    AFFINITIES[core].load(Ordering::Relaxed)
}

/// INTIDs from here on do not exist (`GICD_TYPER.ITLinesNumber`).
pub(super) fn line_count() -> u32 {
    32 * ((distributor().read32(GICD_TYPER) & 0x1f) + 1)
}

/// Waits until a condition holds; `false` if it does not in time.
pub(super) fn in_time(condition: impl FnMut() -> bool) -> bool {
    advancing(|| 0, condition)
}

/// Waits until a condition holds; `false` if it does not, and `progress` has stood still for as long as a single wait
/// may take. How fast the machine is does not matter to it.
pub(super) fn advancing(progress: impl Fn() -> u32, mut condition: impl FnMut() -> bool) -> bool {
    loop {
        let (before, deadline) = (progress(), Deadline::after_ms(PATIENCE_MS));
        while !deadline.passed() {
            // Reading the counter costs an emulator more than looking.
            for _ in 0..LOOKS {
                if condition() {
                    return true;
                }
                core::hint::spin_loop();
            }
        }
        if progress() == before {
            return condition();
        }
    }
}

/// Waits until the distributor has done what was written (`GICD_CTLR.RWP`).
pub(super) fn settle() {
    let settled = in_time(|| distributor().read32(GICD_CTLR) & CTLR_RWP == 0);
    assert!(settled, "GICD_CTLR.RWP stays set");
}

/// The distributor as a kernel's driver leaves it: every SPI disabled, idle, a level of Group 1, routed to the first
/// core; interrupts of Group 1 are delivered.
pub(super) fn reset_distributor() {
    let frame = distributor();
    frame.write32(GICD_CTLR, 0);
    settle();
    for word in 1..u64::from(line_count() / 32) {
        for (base, value) in line::IDLE {
            frame.write32(base + 4 * word, value);
        }
        for quarter in 0..8 {
            let priorities = u32::from_le_bytes([PRIORITY; 4]);
            frame.write32(line::PRIORITY + 32 * word + 4 * quarter, priorities);
        }
        for half in 0..2 {
            frame.write32(line::CONFIG + 8 * word + 4 * half, 0);
        }
        settle();
    }
    for intid in 32..line_count().min(1020) {
        frame.write64(line::ROUTER + 8 * u64::from(intid), affinity(0));
    }
    frame.write32(GICD_CTLR, CTLR_ARE | CTLR_GROUP1);
    settle();
}

/// This core's redistributor and interface: awake, every private interrupt disabled and idle, nothing masked by
/// priority.
pub(super) fn reset_core() {
    let core = cores::this();
    let waker = redistributor(core).read32(GICR_WAKER);
    redistributor(core).write32(GICR_WAKER, waker & !PROCESSOR_SLEEP);
    let awake = in_time(|| redistributor(core).read32(GICR_WAKER) & CHILDREN_ASLEEP == 0);
    assert!(awake, "GICR_WAKER.ChildrenAsleep stays set");
    icc::enable_system_registers();
    icc::set_group1(false);
    // What a test that failed left running.
    for _ in 0..64 {
        if icc::running_priority() == icc::IDLE {
            break;
        }
        icc::clear_active_priorities();
    }
    let frame = private_frame(core);
    for (base, value) in line::IDLE {
        frame.write32(base, value);
    }
    for quarter in 0..8 {
        frame.write32(
            line::PRIORITY + 4 * quarter,
            u32::from_le_bytes([PRIORITY; 4]),
        );
    }
    let settled = in_time(|| redistributor(core).read32(GICR_CTLR) & line::GICR_RWP == 0);
    assert!(settled, "GICR_CTLR.RWP stays set");
    barrier();
    icc::set_split(false);
    icc::set_binary_point(0);
    icc::open_mask();
    icc::set_group1(true);
}

/// Does this core run where the device tree says?
pub(super) fn is_at_home() -> bool {
    read_register!("mpidr_el1") & cpu::AFFINITY == affinity(cores::this())
}
