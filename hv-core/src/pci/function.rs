//! The address of a function.

use core::fmt;

/// A function on bus 0: device number in bits 7 to 3, function number in bits 2 to 0.
///
/// On a flat bus that byte is the requester id, the place in configuration space and the unit
/// address in a device tree alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function(u8);

impl Function {
    /// Function `function` (below 8) of device `device` (below 32).
    pub const fn new(device: u8, function: u8) -> Option<Self> {
        if device < 32 && function < 8 {
            Some(Self(device << 3 | function))
        } else {
            None
        }
    }

    /// The function with this requester id, if it is on bus 0.
    pub const fn from_rid(rid: u16) -> Option<Self> {
        let [low, high] = rid.to_le_bytes();
        if high == 0 { Some(Self(low)) } else { None }
    }

    /// The device number.
    pub const fn device(self) -> u8 {
        self.0 >> 3
    }

    /// The function number.
    pub const fn function(self) -> u8 {
        self.0 & 7
    }

    /// The requester id: what the function's accesses carry.
    pub const fn rid(self) -> u16 {
        self.0 as u16
    }

    /// Where its 4 KiB are in the bus's configuration space (PCI Express Base 4.0, 7.2.2).
    pub const fn ecam_offset(self) -> u64 {
        (self.0 as u64) << 12
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00:{:02x}.{}", self.device(), self.function())
    }
}
