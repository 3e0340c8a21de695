//! The frame through which a guest's devices send messages, as a core sees it: a GICv2m frame (`arm,gic-v2m-frame`;
//! its registers are in the Server Base System Architecture, appendix "GICv2m architecture").
//!
//! Devices do not come by here: for them the host's doorbell lies at this address. A core that stores to it raises the
//! same interrupt. Linux's `irq-gic-v2m.c` reads `MSI_TYPER` once and `MSI_IIDR` once.

use super::Vgic;
use crate::layout::{V2M_COUNT, V2M_FIRST};

const TYPER: u64 = 0x008;
const SETSPI_NS: u64 = 0x040;
const IIDR: u64 = 0xfcc;

/// First interrupt in bits 25:16, how many in bits 9:0.
const TYPER_VALUE: u32 = V2M_FIRST << 16 | V2M_COUNT;
/// Nobody's. Linux has errata for `0x0600_0170` (X-Gene) and `0x0000_013f` (NS2), which count their messages from
/// somewhere else than INTID 0.
const IIDR_VALUE: u32 = 0;

// The fields of MSI_TYPER have ten bits, and there must be such interrupts.
const _: () = assert!(V2M_FIRST >= 32 && (V2M_FIRST + V2M_COUNT) as usize <= 32 + super::SPIS);
const _: () = assert!(V2M_FIRST < 1 << 10 && V2M_COUNT < 1 << 10);

/// A load of `bytes` bytes at `offset`. What is not there reads as zero.
pub const fn read(offset: u64, bytes: u8) -> u64 {
    match (offset, bytes) {
        (TYPER, 4) => TYPER_VALUE as u64,
        (IIDR, 4) => IIDR_VALUE as u64,
        _ => 0,
    }
}

/// The interrupt that a store raises; `None` for a store that does nothing. Like the register of the specification,
/// which has ten bits for the number, and like the ITS, it takes no number outside the frame's range.
pub fn raised(offset: u64, bytes: u8, value: u64) -> Option<u32> {
    let intid = u32::try_from(value).ok()?;
    let known = intid.checked_sub(V2M_FIRST)? < V2M_COUNT;
    (known && (offset, bytes) == (SETSPI_NS, 4)).then_some(intid)
}

impl Vgic {
    /// A store of a core to the frame.
    pub fn v2m_write(&mut self, offset: u64, bytes: u8, value: u64) {
        if let Some(intid) = raised(offset, bytes, value) {
            self.pulse(0, intid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vgic::{DirTrap, Linking, Platform};

    fn vgic() -> Vgic {
        let platform = Platform {
            linking: Linking::Hardware,
            dir_trap: DirTrap::Own,
        };
        let mut vgic = Vgic::new([0], platform);
        vgic.redistributor_write(0, 0x14, 4, 0);
        vgic.distributor_write(0, 4, 2);
        for offset in [0x08, 0x0c, 0x14] {
            vgic.distributor_write(0x80 + offset, 4, 0xffff_ffff);
            vgic.distributor_write(0x100 + offset, 4, 0xffff_ffff);
        }
        vgic
    }

    /// The words of `GICD_ISPENDR`, interrupts 32 and on.
    fn pending(vgic: &Vgic) -> [u64; 7] {
        core::array::from_fn(|word| vgic.distributor_read(0x204 + 4 * word as u64, 4))
    }

    #[test]
    fn linux_finds_128_interrupts_from_64_on_and_no_erratum() {
        let typer = read(TYPER, 4);
        assert_eq!((typer >> 16 & 0x3ff, typer & 0x3ff), (64, 128));
        assert!(![0x0600_0170, 0x0000_013f].contains(&read(IIDR, 4)));
    }

    #[test]
    fn a_store_of_a_number_of_the_frame_makes_it_pending() {
        for intid in [64_usize, 100, 191] {
            let mut vgic = vgic();
            vgic.carried_out();
            vgic.v2m_write(SETSPI_NS, 4, intid as u64);
            let changes = vgic.changes();
            assert!(changes.kick.contains(0));
            let mut expected = [0; 7];
            expected[intid / 32 - 1] = 1 << (intid % 32);
            assert_eq!(pending(&vgic), expected);
        }
    }

    #[test]
    fn no_other_store_does_anything() {
        let mut vgic = vgic();
        let numbers = [0, 32, 63, 192, 1023, 64 | 1 << 10, 64 | 1 << 32, u64::MAX];
        let elsewhere = [(0x044, 4), (0x000, 4), (0x008, 4), (0x1040, 4), (0xfcc, 4)];
        let otherwise = [(0x040, 1), (0x040, 2), (0x040, 8), (0x041, 1)];
        let of_numbers = numbers.map(|value| (SETSPI_NS, 4, value));
        let of_places = elsewhere.into_iter().chain(otherwise);
        let of_places = of_places.map(|(offset, bytes)| (offset, bytes, 64));
        for (offset, bytes, value) in of_numbers.into_iter().chain(of_places) {
            vgic.carried_out();
            vgic.v2m_write(offset, bytes, value);
            let changes = vgic.changes();
            assert!(changes.kick.is_empty() && changes.lines().is_empty());
        }
        assert_eq!(pending(&vgic), [0; 7]);
    }

    #[test]
    fn what_is_not_there_reads_as_zero() {
        for offset in (0..0x1_0000).filter(|offset| ![TYPER, IIDR].contains(offset)) {
            for bytes in [1, 2, 4, 8] {
                assert_eq!(read(offset, bytes), 0);
            }
        }
        assert_eq!((read(TYPER, 8), read(TYPER, 1)), (0, 0));
    }
}
