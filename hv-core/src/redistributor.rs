//! The RD_base frame of a GICv3 redistributor as a guest sees it: the host's, without LPIs.
//!
//! LPI tables are memory that the interrupt controller reads and writes behind no IOMMU: a guest that could
//! name their address would own all of RAM. QEMU's redistributor offers LPIs whether or not there is an ITS.
//! Register offsets and fields: IHI 0069, 12.10 and 12.11.

/// What becomes of an access to the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Access {
    /// Read the host's register and show these bits of it, then set those of `set`.
    Host {
        /// Bits that show through.
        mask: u64,
        /// Bits that read as one whatever the host says.
        set: u64,
    },
    /// Write these bits of it to the host's register; the others stay as they are.
    Forward {
        /// Bits that are written.
        mask: u64,
    },
    /// Reads as zero, writes are ignored.
    Nothing,
}

const CTLR: u64 = 0x0000;
const IIDR: u64 = 0x0004;
const TYPER: u64 = 0x0008;
const STATUSR: u64 = 0x0010;
const WAKER: u64 = 0x0014;
/// PIDR and CIDR.
const IDENTIFICATION: core::ops::Range<u64> = 0xffd0..0x1_0000;

/// `EnableLPIs`, `CES` (it speaks of EnableLPIs) and `IR` (direct LPI invalidation).
const CTLR_LPI: u64 = 0b111;
/// `PLPIS`, `VLPIS`, `Dirty`, `DirectLPI`, `RVPEID`, and the LPI-sharing field `CommonLPIAff`.
const TYPER_LPI: u64 = 0b1111 | (1 << 7) | (0b11 << 24);
const TYPER_LAST: u64 = 1 << 4;
/// The rest of the register is implementation defined, and the implementation is the host's.
const WAKER_PROCESSOR_SLEEP: u64 = 1 << 1;

/// A read of `bytes` at `offset` by a guest; `last` marks its last vCPU's redistributor (the host may have more).
pub const fn read(offset: u64, bytes: u8, last: bool) -> Access {
    let set_last = if last { TYPER_LAST } else { 0 };
    match (offset, bytes) {
        (CTLR, 4) => Access::Host {
            mask: !CTLR_LPI,
            set: 0,
        },
        (TYPER, 4 | 8) => Access::Host {
            mask: !(TYPER_LPI | TYPER_LAST),
            set: set_last,
        },
        (IIDR | STATUSR | WAKER, 4) => Access::Host { mask: !0, set: 0 },
        (at, 4) if at == TYPER + 4 || (at >= IDENTIFICATION.start && at < IDENTIFICATION.end) => {
            Access::Host { mask: !0, set: 0 }
        }
        _ => Access::Nothing,
    }
}

/// A write of `bytes` at `offset` by a guest.
pub const fn write(offset: u64, bytes: u8) -> Access {
    match (offset, bytes) {
        (WAKER, 4) => Access::Forward {
            mask: WAKER_PROCESSOR_SLEEP,
        },
        // CTLR's other writable bits steer 1-of-N delivery, which the guest does without.
        _ => Access::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROPBASER: u64 = 0x70;
    const PENDBASER: u64 = 0x78;

    #[test]
    fn no_bit_that_speaks_of_lpis_shows_through() {
        let Access::Host { mask, set } = read(TYPER, 8, false) else {
            panic!()
        };
        assert_eq!((mask | set) & (TYPER_LPI | TYPER_LAST), 0);
        let Access::Host { mask, set } = read(CTLR, 4, true) else {
            panic!()
        };
        assert_eq!((mask | set) & 1, 0);
    }

    #[test]
    fn the_lpi_registers_do_not_exist() {
        for offset in [0x40, 0x48, PROPBASER, PENDBASER, 0xa0, 0xb0, 0xc0] {
            for bytes in [4, 8] {
                assert_eq!(read(offset, bytes, false), Access::Nothing);
                assert_eq!(write(offset, bytes), Access::Nothing);
            }
        }
        assert_eq!(write(CTLR, 4), Access::Nothing);
    }

    #[test]
    fn linux_can_wake_its_redistributor_and_find_the_last_one() {
        assert_eq!(write(WAKER, 4), Access::Forward { mask: 0b10 });
        assert_eq!(read(WAKER, 4, false), Access::Host { mask: !0, set: 0 });
        let Access::Host { set, .. } = read(TYPER, 8, true) else {
            panic!()
        };
        assert_eq!(set, TYPER_LAST);
    }
}
