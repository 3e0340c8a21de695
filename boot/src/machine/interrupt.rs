//! Interrupts as a GICv3 device tree writes them.

use super::cells::CellReader;

/// How a wire says that it wants something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// As long as it is high.
    Level,
    /// At the moment it goes high.
    Edge,
}

/// An interrupt wire of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    intid: u32,
    trigger: Trigger,
}

impl Interrupt {
    /// A shared interrupt of a guest, by the number that its controller gives it (32 to 1019).
    pub const fn of_guest(intid: u32, trigger: Trigger) -> Self {
        Self { intid, trigger }
    }

    /// The number that the interrupt controller gives it: 16 to 31 private to a core, from 32 shared.
    pub const fn intid(self) -> u32 {
        self.intid
    }

    /// Level or edge.
    pub const fn trigger(self) -> Trigger {
        self.trigger
    }

    /// The three cells that name it in a device tree (Linux `arm,gic-v3.yaml`).
    pub const fn cells(self) -> [u32; 3] {
        let (kind, number) = match self.intid {
            shared @ 32.. => (0, shared - 32),
            private => (1, private - 16),
        };
        let flags = match self.trigger {
            Trigger::Edge => 1,
            Trigger::Level => 4,
        };
        [kind, number, flags]
    }

    /// Takes three cells. `None` for what is no SPI (0 to 987) and no PPI (0 to 15), or triggers
    /// on a falling edge or a low level, which a GIC cannot.
    pub(super) fn read(cells: &mut CellReader<'_>) -> Option<Self> {
        let kind = cells.cell()?;
        let number = cells.cell()?;
        let flags = cells.cell()?;
        let intid = match (kind, number) {
            (0, 0..988) => number.checked_add(32)?,
            (1, 0..16) => number.checked_add(16)?,
            _ => return None,
        };
        let trigger = match flags & 0xf {
            1 => Trigger::Edge,
            4 => Trigger::Level,
            _ => return None,
        };
        Some(Self { intid, trigger })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cells: [u32; 3]) -> Option<Interrupt> {
        let bytes: [[u8; 4]; 3] = cells.map(u32::to_be_bytes);
        Interrupt::read(&mut CellReader::new(bytes.as_flattened()))
    }

    #[test]
    fn an_interrupt_reads_back_as_it_was_written() {
        for cells in [[0, 0x4a, 1], [1, 13, 4], [0, 987, 4]] {
            assert_eq!(read(cells).unwrap().cells(), cells);
        }
        assert_eq!(read([0, 3, 4]).unwrap().intid(), 35);
        assert_eq!(read([1, 11, 4]).unwrap().intid(), 27);
    }

    #[test]
    fn a_number_out_of_range_is_no_interrupt() {
        assert_eq!(read([0, 988, 4]), None);
        assert_eq!(read([1, 16, 4]), None);
        assert_eq!(read([2, 0, 4]), None);
        assert_eq!(read([0, 0, 8]), None);
    }
}
