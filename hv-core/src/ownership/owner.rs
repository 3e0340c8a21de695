//! Owners of frames, and who may give what to whom.

/// A guest, by number: 0 to [`GuestId::LAST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestId(pub(super) u8);

impl GuestId {
    /// The highest number a guest can have.
    pub const LAST: u8 = 127;

    /// The guest with this number, `None` above [`GuestId::LAST`].
    pub const fn new(number: u8) -> Option<Self> {
        if number <= Self::LAST {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Who a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Not given out: what every frame is at first.
    Nobody,
    /// Oche's own: image, tables, queues, heap.
    Hypervisor,
    /// Reserved by the machine's firmware, for ever.
    Firmware,
    /// RAM of a guest.
    Guest(GuestId),
}

impl Owner {
    pub(super) const fn code(self) -> u32 {
        match self {
            Owner::Nobody => 0,
            Owner::Hypervisor => 1,
            Owner::Firmware => 2,
            Owner::Guest(guest) => 0x80 | guest.0 as u32,
        }
    }

    pub(super) const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Owner::Nobody),
            1 => Some(Owner::Hypervisor),
            2 => Some(Owner::Firmware),
            0x80..=0xff => Some(Owner::Guest(GuestId((code & 0x7f) as u8))),
            _ => None,
        }
    }

    /// May a frame go from `self` to `to`?
    ///
    /// Firmware keeps what it has. What a guest held goes to the hypervisor only, which scrubs it:
    /// there is no way from one guest to another that does not pass there.
    pub const fn may_become(self, to: Owner) -> bool {
        match (self, to) {
            (Owner::Nobody, Owner::Hypervisor | Owner::Firmware | Owner::Guest(_))
            | (Owner::Hypervisor, Owner::Nobody | Owner::Guest(_))
            | (Owner::Guest(_), Owner::Hypervisor) => true,
            (Owner::Nobody, Owner::Nobody)
            | (Owner::Hypervisor, Owner::Hypervisor | Owner::Firmware)
            | (Owner::Firmware, _)
            | (Owner::Guest(_), Owner::Nobody | Owner::Firmware | Owner::Guest(_)) => false,
        }
    }
}
