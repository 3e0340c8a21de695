//! The bytes of an access as they lie in memory, and the registers that they come from or go to.

use super::super::Transfer;
use super::super::instruction::{Layout, Operation, Registers, Structure};
use super::run::{GeneralRegisters, MAX_LENGTH, Run, VectorRegisters};

impl Run {
    /// The elements' places in `image`, and the register and lane of each.
    fn elements(&self) -> impl Iterator<Item = (usize, u8, u8)> + use<> {
        let (registers, bytes) = (self.access.registers, usize::from(self.access.bytes));
        (0..self.access.elements()).map(move |index| {
            let (register, lane) = place(registers, index);
            (usize::from(index) * bytes, register, lane)
        })
    }

    /// Registers to bytes.
    pub(super) fn gather(
        &self,
        image: &mut [u8; MAX_LENGTH],
        general: &impl GeneralRegisters,
        vector: &impl VectorRegisters,
    ) {
        for (offset, register, lane) in self.elements() {
            let value: u128 = match self.access.registers {
                Registers::General(_) | Registers::GeneralPair(..) => general.read(register).into(),
                _ => vector.read(register) >> self.lane_shift(lane),
            };
            let mut bytes = value.to_le_bytes();
            let element = bytes
                .get_mut(..self.access.bytes.into())
                .unwrap_or_default();
            if self.big_endian {
                element.reverse();
            }
            for (to, from) in image.iter_mut().skip(offset).zip(element) {
                *to = *from;
            }
        }
    }

    /// Bytes to registers.
    pub(super) fn scatter(
        &self,
        image: &[u8; MAX_LENGTH],
        general: &mut impl GeneralRegisters,
        vector: &mut impl VectorRegisters,
    ) {
        for (offset, register, lane) in self.elements() {
            let mut bytes = [0; 16];
            let element = bytes
                .get_mut(..self.access.bytes.into())
                .unwrap_or_default();
            for (to, from) in element.iter_mut().zip(image.iter().skip(offset)) {
                *to = *from;
            }
            if self.big_endian {
                element.reverse();
            }
            let value = u128::from_le_bytes(bytes);
            match self.access.registers {
                Registers::General(_) | Registers::GeneralPair(..) => {
                    general.write(register, self.general_result(register, value));
                }
                Registers::Structure(Structure { layout, .. }) => {
                    let old = match layout {
                        // Lane 0 comes first, and makes the rest of the register zero.
                        Layout::Whole { .. } | Layout::Interleaved { .. } if lane == 0 => 0,
                        _ => vector.read(register),
                    };
                    vector.write(register, self.lane_result(layout, lane, old, value));
                }
                // The rest of the register becomes zero.
                _ => vector.write(register, value),
            }
        }
    }

    /// What a load puts into a general register.
    fn general_result(&self, register: u8, value: u128) -> u64 {
        let (sign_extend, wide) = match self.access.operation {
            Operation::Load { sign_extend, wide } => (sign_extend, wide),
            _ => (false, true),
        };
        let transfer = Transfer {
            bytes: self.access.bytes,
            register,
            sign_extend,
            wide,
        };
        // An element for a general register has at most 8 bytes.
        transfer.loaded(u64::try_from(value).unwrap_or(u64::MAX))
    }

    /// What a structure load makes of a register's old value.
    fn lane_result(&self, layout: Layout, lane: u8, old: u128, value: u128) -> u128 {
        match layout {
            Layout::Replicated { lanes } => (0..lanes).fold(0, |register, lane| {
                register | (value << self.lane_shift(lane))
            }),
            _ => {
                let shift = self.lane_shift(lane);
                let element = (1_u128 << (u32::from(self.access.bytes & 15) * 8)) - 1;
                (old & !(element << shift)) | (value << shift)
            }
        }
    }

    /// Bits below a lane; within the register for every lane that decodes.
    fn lane_shift(&self, lane: u8) -> u32 {
        (u32::from(lane) * u32::from(self.access.bytes) * 8) & 127
    }
}

/// The register and the lane of the element that is the `index`th in memory.
fn place(registers: Registers, index: u8) -> (u8, u8) {
    match registers {
        Registers::GeneralPair(first, second) | Registers::VectorPair(first, second) => {
            (if index == 0 { first } else { second }, 0)
        }
        Registers::General(n) | Registers::Vector(n) => (n, 0),
        Registers::None => (31, 0),
        Registers::Structure(Structure {
            first,
            count,
            layout,
        }) => {
            let (register, lane) = match layout {
                Layout::Whole { lanes } => (index / lanes.max(1), index % lanes.max(1)),
                Layout::Interleaved { .. } => (index % count.max(1), index / count.max(1)),
                Layout::Lane(lane) => (index, lane),
                Layout::Replicated { .. } => (index, 0),
            };
            // Register 31 is followed by register 0.
            (first.wrapping_add(register) & 31, lane)
        }
    }
}
