//! The address of a function.

use core::fmt;

/// A function of the machine's or of a guest's bus tree: bus number in bits 15 to 8, device number
/// in bits 7 to 3, function number in bits 2 to 0.
///
/// That number is the requester id, the place in configuration space and the unit address in a
/// device tree alike (PCI Express Base 4.0, 2.2.6.2 and 7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function(u16);

impl Function {
    /// Function `function` (below 8) of device `device` (below 32) of bus 0.
    pub const fn new(device: u8, function: u8) -> Option<Self> {
        Self::on_bus(0, device, function)
    }

    /// Function `function` (below 8) of device `device` (below 32) of a bus.
    pub const fn on_bus(bus: u8, device: u8, function: u8) -> Option<Self> {
        if device < 32 && function < 8 {
            Some(Self(
                (bus as u16) << 8 | (device as u16) << 3 | function as u16,
            ))
        } else {
            None
        }
    }

    /// The function with this requester id.
    pub const fn from_rid(rid: u16) -> Self {
        Self(rid)
    }

    /// The bus number.
    pub const fn bus(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// The device number.
    pub const fn device(self) -> u8 {
        self.0.to_be_bytes()[1] >> 3
    }

    /// The function number.
    pub const fn function(self) -> u8 {
        self.0.to_be_bytes()[1] & 7
    }

    /// Function 0 of the same device.
    #[must_use]
    pub const fn first_of_device(self) -> Self {
        Self(self.0 & !7)
    }

    /// The requester id: what the function's accesses carry.
    pub const fn rid(self) -> u16 {
        self.0
    }

    /// Where its 4 KiB are, counted from those of function 00:00.0 (PCI Express Base 4.0, 7.2.2).
    pub const fn ecam_offset(self) -> u64 {
        (self.0 as u64) << 12
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02x}:{:02x}.{}",
            self.bus(),
            self.device(),
            self.function()
        )
    }
}
