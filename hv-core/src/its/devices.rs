//! Devices whose messages become interrupts of a guest. Each has a run of LPIs of its own, one for each interrupt that
//! a message can raise, so that an LPI leads to its device and its event without a look-up.

use core::fmt;

use super::Its;
use super::lpis::{FIRST_LPI, LPIS};
use super::queue::Hung;
use super::spec::Command;
use super::start::EVENT_BITS;
use super::tables::fresh;
use crate::addr::{FRAME_SIZE, Frame};
use crate::layout::{V2M_COUNT, V2M_FIRST};
use crate::ownership::GuestId;

/// How many devices can be assigned at a time, all guests together: as many as there are LPIs for. Past it a device is
/// refused, and has its pin interrupt.
pub const DEVICES: usize = (LPIS / V2M_COUNT) as usize;
/// How many of them one guest can have.
pub const DEVICES_PER_GUEST: usize = 16;

// A translation table of 2^8 entries of at most 16 bytes.
const _: () = assert!(16 << EVENT_BITS <= FRAME_SIZE);

/// A device that was assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its DeviceID.
    pub id: u32,
    /// Whose interrupts its messages become.
    pub guest: GuestId,
    /// Its translation table.
    itt: Frame,
    /// The ITS did not answer when it was assigned or taken away: it stays for ever, and leads nowhere.
    dead: bool,
}

/// What an LPI is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The guest.
    pub guest: GuestId,
    /// The DeviceID of the device that sent the message.
    pub device: u32,
    /// The guest's interrupt number.
    pub event: u32,
}

/// Why a device was not assigned, moved or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignError {
    /// It is assigned already.
    Taken,
    /// It is not assigned.
    NotAssigned,
    /// [`DEVICES`] or [`DEVICES_PER_GUEST`] are.
    TooMany,
    /// The ITS has no place for its DeviceID.
    NoRoom,
    /// The ITS does not know the core.
    NoCore,
    /// No host memory.
    OutOfMemory,
    /// The ITS does not answer.
    Hung,
}

impl fmt::Display for AssignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => write!(f, "its messages are somebody's already"),
            Self::NotAssigned => write!(f, "its messages are nobody's"),
            Self::TooMany => write!(
                f,
                "at most {DEVICES_PER_GUEST} devices of a guest and {DEVICES} in all can send messages"
            ),
            Self::NoRoom => write!(f, "the ITS has no place for its DeviceID"),
            Self::NoCore => write!(f, "the ITS does not know the core"),
            Self::OutOfMemory => write!(f, "no memory for its interrupt translation table"),
            Self::Hung => Hung.fmt(f),
        }
    }
}

impl From<Hung> for AssignError {
    fn from(_: Hung) -> Self {
        Self::Hung
    }
}

/// Places for devices.
pub(super) struct Devices {
    slots: [Option<Device>; DEVICES],
    /// Where to look for a free one first: behind the last that was given out, so that LPIs are used again as late as
    /// can be. One that was acknowledged just before its device was taken away then finds nobody.
    next: usize,
}

impl Devices {
    pub(super) const NONE: Self = Self {
        slots: [None; DEVICES],
        next: 0,
    };

    fn find(&self, device: u32) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.is_some_and(|slot| slot.id == device))
    }

    fn free(&self, guest: GuestId) -> Option<usize> {
        let of_guest = |slot: &&Device| slot.guest == guest;
        if self.slots.iter().flatten().filter(of_guest).count() >= DEVICES_PER_GUEST {
            return None;
        }
        let mut turn = (0..DEVICES).map(|step| (self.next + step) % DEVICES);
        turn.find(|&slot| self.slots[slot].is_none())
    }

    fn bury(&mut self, slot: usize) {
        if let Some(Some(device)) = self.slots.get_mut(slot) {
            device.dead = true;
        }
    }
}

/// The LPI of an event of the device in a slot.
fn lpi_of(slot: usize, event: u32) -> u32 {
    // A slot is below DEVICES, an event one of V2M_COUNT: all numbers are below 2^LPI_BITS.
    let slot = u32::try_from(slot).unwrap_or(0);
    FIRST_LPI + slot * V2M_COUNT + (event - V2M_FIRST)
}

/// The slot and the event of an LPI.
fn event_of(lpi: u32) -> Option<(usize, u32)> {
    let nth = lpi.checked_sub(FIRST_LPI)?;
    let slot = usize::try_from(nth / V2M_COUNT).ok()?;
    (slot < DEVICES).then_some((slot, V2M_FIRST + nth % V2M_COUNT))
}

const EVENTS: core::ops::Range<u32> = V2M_FIRST..V2M_FIRST + V2M_COUNT;

impl Its<'_> {
    /// Makes the messages of the device with this DeviceID interrupts of `guest`: event *n* arrives at `core` as the
    /// LPI that [`Its::route`] says is interrupt *n* of the guest. Any other event is dropped by the ITS.
    ///
    /// # Errors
    /// Then no message of the device arrives; with [`AssignError::Hung`] the ITS is not used any more.
    pub fn assign(&mut self, id: u32, guest: GuestId, core: usize) -> Result<(), AssignError> {
        if self.devices.find(id).is_some() {
            return Err(AssignError::Taken);
        }
        let slot = self.devices.free(guest).ok_or(AssignError::TooMany)?;
        let collection = self.collection(core)?;
        self.device_table.reach(&self.io, id)?;
        let itt = fresh(&self.io, 0).ok_or(AssignError::OutOfMemory)?;
        self.devices.slots[slot] = Some(Device {
            id,
            guest,
            itt,
            dead: false,
        });
        self.devices.next = slot + 1;
        let map = Command::MapDevice {
            device: id,
            itt: itt.base(),
            event_bits: EVENT_BITS,
        };
        let events = EVENTS.map(|event| Command::MapEvent {
            device: id,
            event,
            lpi: lpi_of(slot, event),
            collection,
        });
        let commands = core::iter::once(map).chain(events);
        Ok(self
            .run(commands)
            .inspect_err(|Hung| self.devices.bury(slot))?)
    }

    /// Whose interrupt an LPI is; `None` for one that is nobody's (any more).
    pub fn route(&self, lpi: u32) -> Option<Routed> {
        let (slot, event) = event_of(lpi)?;
        let device = self.devices.slots.get(slot)?.as_ref()?;
        (!device.dead).then_some(Routed {
            guest: device.guest,
            device: device.id,
            event,
        })
    }

    /// From now on this LPI arrives at `core`, one that is pending too.
    ///
    /// # Errors
    /// When the LPI is nobody's, or the ITS does not know the core or does not answer.
    pub fn retarget(&mut self, lpi: u32, core: usize) -> Result<(), AssignError> {
        let collection = self.collection(core)?;
        let Routed { device, event, .. } = self.route(lpi).ok_or(AssignError::NotAssigned)?;
        Ok(self.run([Command::MoveEvent {
            device,
            event,
            collection,
        }])?)
    }

    /// No message of the device arrives any more, nor is any pending.
    ///
    /// # Errors
    /// When it is not assigned, or the ITS does not answer; then its memory and its LPIs stay taken for ever.
    pub fn revoke(&mut self, id: u32) -> Result<(), AssignError> {
        let slot = self.devices.find(id).ok_or(AssignError::NotAssigned)?;
        self.empty(slot)
    }

    /// [`Its::revoke`] of all devices of a guest.
    ///
    /// # Errors
    /// When the ITS does not answer.
    pub fn revoke_all(&mut self, guest: GuestId) -> Result<(), AssignError> {
        for slot in 0..DEVICES {
            if self.devices.slots[slot].is_some_and(|device| device.guest == guest) {
                self.empty(slot)?;
            }
        }
        Ok(())
    }

    fn empty(&mut self, slot: usize) -> Result<(), AssignError> {
        let Some(Device { id, itt, dead, .. }) = self.devices.slots[slot] else {
            return Ok(());
        };
        if dead {
            return Err(AssignError::Hung);
        }
        // MAPD does not take back what is pending, DISCARD does.
        let discards = EVENTS.map(|event| Command::Discard { device: id, event });
        let unmap = core::iter::once(Command::UnmapDevice { device: id });
        let commands = discards.chain(unmap);
        self.run(commands)
            .inspect_err(|Hung| self.devices.bury(slot))?;
        self.devices.slots[slot] = None;
        self.io.frames.free(itt);
        Ok(())
    }

    /// The collection of a core, if the ITS knows it.
    fn collection(&self, core: usize) -> Result<u16, AssignError> {
        match (self.targets.get(core), u16::try_from(core)) {
            (Some(Some(_)), Ok(collection)) => Ok(collection),
            _ => Err(AssignError::NoCore),
        }
    }
}
