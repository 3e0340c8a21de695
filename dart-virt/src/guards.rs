//! Guards that a test image can take out, one at a time, to show that the attack which the guard
//! stops succeeds without it. Without the cargo feature `guards-out` every guard is in place and the
//! question is answered at compile time.

/// A check that can be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A leaf must name RAM of the guest. Without it, a leaf that does not is installed as if the
    /// guest's address were the machine's.
    LeafOwnership,
    /// A table must lie in RAM of the guest. Without it, it is read wherever it points.
    TableOwnership,
    /// A guest has at most [`crate::space::TABLES_PER_GUEST`] tables followed.
    TableLimit,
    /// A stream that was given to a guest translates through an empty root until the guest says
    /// otherwise. Without it, it bypasses the host IOMMU.
    DefaultDeny,
    /// The address in a table's entry must fit the guest's DART, 36 bits for a T8103. Without it, the
    /// bits above are cut off, so that an entry leads where it does not say.
    AddressWidth,
}

impl Guard {
    /// The guard of this name: `leaf-ownership`, `table-ownership`, `table-limit`, `default-deny`,
    /// `address-width`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "leaf-ownership" => Some(Self::LeafOwnership),
            "table-ownership" => Some(Self::TableOwnership),
            "table-limit" => Some(Self::TableLimit),
            "default-deny" => Some(Self::DefaultDeny),
            "address-width" => Some(Self::AddressWidth),
            _ => None,
        }
    }
}

/// Which guards are in place: all of them by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    #[cfg(feature = "guards-out")]
    out: u8,
}

#[cfg(not(feature = "guards-out"))]
impl Guards {
    /// Always.
    pub const fn stands(self, _guard: Guard) -> bool {
        true
    }
}

#[cfg(feature = "guards-out")]
impl Guards {
    /// Is this guard in place?
    pub const fn stands(self, guard: Guard) -> bool {
        self.out & Self::bit(guard) == 0
    }

    /// These guards less one.
    #[must_use]
    pub const fn without(self, guard: Guard) -> Self {
        Self {
            out: self.out | Self::bit(guard),
        }
    }

    const fn bit(guard: Guard) -> u8 {
        1 << guard as u8
    }
}
