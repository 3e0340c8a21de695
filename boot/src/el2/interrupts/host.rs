//! The machine's GICv3, which Oche alone drives: its set-up, and what is done to one line at a time.

use core::ptr::NonNull;

use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicDistributor, GicRedistributor};
use arm_gic::{IntId, UniqueMmioPointer};
use arrayvec::ArrayVec;
use boot::machine::{Interrupt, Machine, Trigger};
use boot::range::PaRange;
use hv_core::arch::aarch64::gic::{self, Signal};
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::layout::{GICD_SIZE, GICR_STRIDE};
use spin::Once;

use super::super::cores::MAX_CORES;
use super::super::sentence::{Sentence, sentence};

/// The SGI with which one core calls another to EL2.
pub(super) const KICK: u32 = 0;

/// SPIs that Oche can handle: INTIDs below this.
pub(super) const LINES: usize = 1020;

/// Offsets in the distributor's frame and, for a core's private lines, in a redistributor's SGI_base (IHI 0069, 12.9
/// and 12.11).
mod offset {
    pub(super) const CTLR: u64 = 0;
    pub(super) const TYPER: u64 = 4;
    pub(super) const ISENABLER: u64 = 0x100;
    pub(super) const ICENABLER: u64 = 0x180;
    pub(super) const ISPENDR: u64 = 0x200;
    pub(super) const ICACTIVER: u64 = 0x380;
    pub(super) const IROUTER: u64 = 0x6000;
    pub(super) const SGI_BASE: u64 = 0x1_0000;
    pub(super) const IGROUPR0: u64 = SGI_BASE + 0x80;
}

/// `GICD_CTLR.DS`: one security state, so that Group 0 is Oche's too.
const ONE_SECURITY_STATE: u32 = 1 << 6;

/// The machine's GIC.
pub(in crate::el2) struct HostGic {
    distributor: Mmio,
    /// RD_base and SGI_base of each core, by index.
    redistributors: ArrayVec<Mmio, MAX_CORES>,
    affinities: ArrayVec<u64, MAX_CORES>,
    /// Kicks come as FIQs, where Oche may have Group 0: so that every run takes some.
    kick: Signal,
}

static HOST: Once<HostGic> = Once::new();

/// The machine's GIC, once it is set up.
pub(in crate::el2) fn host() -> Option<&'static HostGic> {
    HOST.get()
}

fn pointer<T>(at: &Mmio) -> Option<UniqueMmioPointer<'static, T>> {
    let pointer = NonNull::new(at.base().get() as *mut T)?;
    // SAFETY: the device tree's GIC, mapped as device memory for its whole frame; the driver that takes the pointer
    // is dropped before another one for the same frame is made.
    Some(unsafe { UniqueMmioPointer::new(pointer) })
}

/// The redistributor whose `GICR_TYPER` has the core's affinity (IHI 0069, 12.11).
fn redistributor(machine: &Machine, affinity: u64) -> Option<Mmio> {
    const TYPER: u64 = 8;
    const LAST: u64 = 1 << 4;
    let stride = machine.gic.redistributor_stride.max(GICR_STRIDE);
    // Aff3.Aff2.Aff1.Aff0, packed, as TYPER has it in its upper half.
    let wanted = (affinity & 0xff_ffff) | ((affinity >> 8) & 0xff00_0000);
    for region in &machine.gic.redistributors {
        for nth in 0..(region.size() / stride).min(MAX_CORES as u64) {
            let base = region.start().checked_add(nth * stride)?;
            // SAFETY: a redistributor of the machine's GIC, mapped at boot; only Oche touches it.
            let frames = unsafe { Mmio::new(base, GICR_STRIDE) };
            let typer = frames.read64(TYPER);
            if typer >> 32 == wanted {
                return Some(frames);
            }
            if typer & LAST != 0 {
                break;
            }
        }
    }
    None
}

/// Sets the distributor up: nothing enabled, everything in Group 1, for the cores with these affinities.
pub(in crate::el2) fn start(machine: &Machine, affinities: &[u64]) -> Result<(), Sentence> {
    let window = PaRange::new(machine.gic.distributor.start(), GICD_SIZE)
        .ok_or_else(|| sentence!("the GIC's distributor runs past the end of memory"))?;
    // SAFETY: the machine's distributor, mapped at boot; only Oche touches it.
    let distributor = unsafe { Mmio::new(window.start(), window.size()) };
    let mut driver = pointer::<Gicd>(&distributor)
        .map(GicDistributor::new)
        .ok_or_else(|| sentence!("the GIC's distributor is at address 0"))?;
    driver.enable_all_interrupts(false);
    driver.configure_default_settings();
    let one_state = distributor.read32(offset::CTLR) & ONE_SECURITY_STATE != 0;
    if one_state {
        driver.enable_group0(true);
    }
    let mut redistributors = ArrayVec::new();
    for affinity in affinities {
        let found = redistributor(machine, *affinity);
        redistributors.push(found.ok_or_else(|| {
            sentence!("no GIC redistributor has the affinity {affinity:#x} of a core")
        })?);
    }
    let kick = if one_state { Signal::Fiq } else { Signal::Irq };
    HOST.call_once(|| HostGic {
        distributor,
        redistributors,
        affinities: affinities.iter().copied().collect(),
        kick,
    });
    Ok(())
}

impl HostGic {
    /// Sets up what belongs to the calling core, `core`: redistributor awake, private lines off, CPU interface on.
    pub(in crate::el2) fn start_core(&self, core: usize) -> Result<(), Sentence> {
        let refused = || sentence!("the GIC redistributor of core {core} does not wake");
        let frames = self.redistributors.get(core).ok_or_else(refused)?;
        let mut driver = pointer::<GicrSgi>(frames)
            .map(GicRedistributor::new)
            .ok_or_else(refused)?;
        // A core that was awake already says so by an error, and is as it should be.
        let _ = driver.mark_core_awake();
        driver.enable_all_interrupts(false);
        driver.configure_default_settings();
        frames.write32(offset::SGI_BASE + offset::ICACTIVER, u32::MAX);
        if self.kick == Signal::Fiq {
            let groups = frames.read32(offset::IGROUPR0);
            frames.write32(offset::IGROUPR0, groups & !(1 << KICK));
        }
        gic::start_interface(self.kick == Signal::Fiq);
        self.enable(core, KICK);
        Ok(())
    }

    /// Where the registers of a line are: its frame, the offset of word 0, and the line's word and bit.
    fn place(&self, core: usize, intid: u32) -> Option<(&Mmio, u64, u64, u32)> {
        let (word, bit) = (u64::from(intid / 32), 1 << (intid % 32));
        match intid {
            0..32 => Some((self.redistributors.get(core)?, offset::SGI_BASE, 0, bit)),
            32..1020 => Some((&self.distributor, 0, word, bit)),
            _ => None,
        }
    }

    /// Writes one to the line's bit in a set or clear register.
    fn mark(&self, core: usize, intid: u32, register: u64) {
        if let Some((frame, base, word, bit)) = self.place(core, intid) {
            frame.write32(base + register + 4 * word, bit);
        }
    }

    /// Lets a line through; a private one is `core`'s.
    pub(in crate::el2) fn enable(&self, core: usize, intid: u32) {
        self.mark(core, intid, offset::ISENABLER);
    }

    /// Stops a line.
    pub(in crate::el2) fn disable(&self, core: usize, intid: u32) {
        self.mark(core, intid, offset::ICENABLER);
    }

    /// The line is no longer active, so it can come again.
    pub(in crate::el2) fn deactivate(&self, core: usize, intid: u32) {
        self.mark(core, intid, offset::ICACTIVER);
    }

    /// Does a line want something, let through or not?
    pub(in crate::el2) fn is_pending(&self, core: usize, intid: u32) -> bool {
        self.place(core, intid)
            .is_some_and(|(frame, base, word, bit)| {
                frame.read32(base + offset::ISPENDR + 4 * word) & bit != 0
            })
    }

    /// Takes a shared line on `core` from now on.
    pub(in crate::el2) fn route(&self, core: usize, intid: u32) {
        if let (32..1020, Some(affinity)) = (intid, self.affinities.get(core)) {
            let at = offset::IROUTER + 8 * u64::from(intid);
            self.distributor.write64(at, *affinity);
        }
    }

    /// Says how a shared line asks. It must be disabled.
    pub(in crate::el2) fn set_trigger(&self, line: Interrupt) {
        let trigger = match line.trigger() {
            Trigger::Level => arm_gic::Trigger::Level,
            Trigger::Edge => arm_gic::Trigger::Edge,
        };
        let Some(nth) = line.intid().checked_sub(32) else {
            return; // a private line's way of asking is the core's
        };
        if let Some(mut driver) = pointer::<Gicd>(&self.distributor).map(GicDistributor::new) {
            // Refused for what is no shared line, which `Interrupt` cannot be.
            let _ = driver.set_trigger(IntId::spi(nth), trigger);
        }
    }

    /// Calls `core` to EL2.
    pub(in crate::el2) fn kick(&self, core: usize) {
        if let Some(affinity) = self.affinities.get(core) {
            gic::send(self.kick, KICK, *affinity);
        }
    }

    /// `GICD_TYPER`.
    pub(in crate::el2) fn typer(&self) -> u32 {
        self.distributor.read32(offset::TYPER)
    }

    /// The frames of `core`'s redistributor.
    pub(in crate::el2) fn redistributor(&self, core: usize) -> Option<&Mmio> {
        self.redistributors.get(core)
    }
}
