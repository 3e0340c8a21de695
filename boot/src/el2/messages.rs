//! Interrupts by message (MSI, MSI-X): the machine's ITS, which makes LPIs of devices' stores, and whose they are.
//!
//! The ITS and the tables of LPIs are memory that the interrupt controller reads and writes behind no IOMMU, so they are
//! Oche's alone. What a guest's device gets is the doorbell's frame in its DART's shadow.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use alloc::boxed::Box;
use boot::machine::{self, Machine};
use hv_core::Frame;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::its::{Core, Io, Its, Lpis, Routed};
use hv_core::ownership::GuestId;
use hv_core::pci::Function;
use log::{info, warn};
use spin::{Mutex, Once};

use super::allocator::FRAMES;
use super::fence::SystemFence;
use super::interrupts::host;
use super::sentence::{Sentence, sentence};

extern crate alloc;

/// The machine's ITS and what Oche knows of it.
pub(super) struct Messages {
    its: Mutex<Its<'static>>,
    /// By which `msi-map` names it.
    phandle: u32,
    doorbell: Frame,
}

static MESSAGES: Once<Messages> = Once::new();

/// Doorbells that guests hold, and how many entries of host tables name them: a word for each guest.
pub(super) static ASSIGNMENTS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// The machine's messages, where there are any.
pub(super) fn messages() -> Option<&'static Messages> {
    MESSAGES.get()
}

/// Starts the ITS for the first `cores` cores. A machine without one, or with one that Oche cannot use, has pins.
pub(super) fn start(machine: &Machine, cores: usize) {
    let Some(its) = &machine.gic.its else {
        return info!("there is no ITS: devices interrupt by their pins");
    };
    match bring_up(its, cores) {
        Ok(messages) => {
            MESSAGES.call_once(|| messages);
        }
        Err(why) => warn!("devices interrupt by their pins: {why}"),
    }
}

fn bring_up(from: &machine::Its, cores: usize) -> Result<Messages, Sentence> {
    let gic = host().ok_or_else(|| sentence!("the GIC was not set up"))?;
    let lpis =
        Lpis::new(&FRAMES, &SystemFence, gic.typer()).map_err(|error| sentence!("{error}"))?;
    // SAFETY: the device tree's ITS, mapped at boot; the driver owns it and keeps its tables to itself.
    let registers = unsafe { Mmio::new(from.registers.start(), machine::Its::TRANSLATION) };
    let mut its = Its::start(Io {
        registers: Box::leak(Box::new(registers)),
        frames: &FRAMES,
        clean: &SystemFence,
    })
    .map_err(|error| sentence!("{error}"))?;
    for index in 0..cores {
        const TYPER: u64 = 8;
        let Some(frames) = gic.redistributor(index) else {
            continue;
        };
        lpis.enable(frames, &FRAMES, &SystemFence)
            .map_err(|error| sentence!("{error}"))?;
        let core = Core {
            index,
            redistributor: frames.base(),
            typer: frames.read64(TYPER),
        };
        its.add_core(core)
            .map_err(|_| sentence!("the ITS does not answer"))?;
    }
    let doorbell = from
        .registers
        .start()
        .checked_add(machine::Its::TRANSLATION)
        .ok_or_else(|| sentence!("the ITS runs past the end of memory"))?;
    Ok(Messages {
        its: Mutex::new(its),
        phandle: from.phandle,
        doorbell: Frame::containing(doorbell),
    })
}

impl Messages {
    /// The frame that a device writes to.
    pub(super) const fn doorbell(&self) -> Frame {
        self.doorbell
    }

    /// Do this function's messages come here?
    pub(super) fn serves(&self, machine: &Machine, function: Function) -> bool {
        let id = machine.pci.message_id_of(function);
        id.is_some_and(|id| id.controller == self.phandle)
    }

    /// Makes interrupts of `guest` out of the messages of this function.
    pub(super) fn assign(
        &self,
        machine: &Machine,
        function: Function,
        guest: GuestId,
    ) -> Result<(), Sentence> {
        let id = machine
            .pci
            .message_id_of(function)
            .ok_or_else(|| sentence!("PCI {function}: nothing takes its messages"))?;
        let mut its = self.its.lock();
        its.assign(id.device, guest, 0)
            .map_err(|error| sentence!("the messages of PCI {function}: {error}"))
    }

    /// Whose message an LPI is.
    pub(super) fn route(&self, lpi: u32) -> Option<Routed> {
        self.its.lock().route(lpi)
    }

    /// Has an LPI come to `core` from now on. One that cannot be moved stays where it is, which is only slower.
    pub(super) fn retarget(&self, lpi: u32, core: usize) {
        static SAID: AtomicBool = AtomicBool::new(false);
        if let Err(why) = self.its.lock().retarget(lpi, core)
            && !SAID.swap(true, Ordering::Relaxed)
        {
            warn!("message {lpi} could not be sent to core {core}, nor may others be: {why}");
        }
    }

    /// No message of this guest's devices becomes an interrupt any more.
    pub(super) fn revoke_all(&self, guest: GuestId) -> Result<(), Sentence> {
        let mut its = self.its.lock();
        its.revoke_all(guest).map_err(|error| sentence!("{error}"))
    }
}
