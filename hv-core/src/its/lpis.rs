//! LPIs at the redistributors: one configuration table for all, a pending table for each (IHI 0069, 5.1 and 12.11).

use core::fmt;

use super::POLLS;
use super::spec::Attributes;
use super::tables::fresh;
use crate::addr::{FRAME_WORDS, Frame};
use crate::device::{Clean, Registers};
use crate::frames::Frames;

/// The first interrupt number that is an LPI (IHI 0069, 2.2).
pub const FIRST_LPI: u32 = 8192;
/// Bits of an interrupt number: the fewest with which there are LPIs, 8192 to 16383 (`GICR_PROPBASER.IDbits`).
pub const LPI_BITS: u32 = 14;
/// LPIs there are.
pub(super) const LPIS: u32 = (1 << LPI_BITS) - FIRST_LPI;

// One byte per LPI fits a frame; one bit per number is 2 KiB, and must be aligned to 64 KiB.
const _: () = assert!(LPIS as usize <= FRAME_WORDS * 8);
const PENDING_ORDER: u32 = 2;

/// An entry of the configuration table: enabled, bit 1 RES1, priority in bits 7:2 (5.1.1). Every LPI stays enabled: one
/// that no device is mapped to cannot arrive.
const CONFIG: u8 = PRIORITY | 0b11;
/// Where software that uses one priority for all puts it (Linux `GICV3_PRIO_IRQ`).
const PRIORITY: u8 = 0xa0;

mod offset {
    pub(super) const CTLR: usize = 0x00;
    pub(super) const TYPER: usize = 0x08;
    pub(super) const PROPBASER: usize = 0x70;
    pub(super) const PENDBASER: usize = 0x78;
}

const CTLR_ENABLE_LPIS: u32 = 1 << 0;
const CTLR_RWP: u32 = 1 << 3;
const TYPER_PLPIS: u64 = 1 << 0;
/// The pending table is all zero: it need not be read.
const PENDING_ZERO: u64 = 1 << 62;

/// Why LPIs cannot be had: one sentence each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LpiError {
    /// The distributor has none.
    NoLpis,
    /// Fewer than [`LPI_BITS`] make.
    FewLpis,
    /// A core's redistributor has none.
    NotHere,
    /// The loader left them on, and they cannot be turned off.
    LeftOn,
    /// The redistributor did not turn them on or off.
    Hung,
    /// No host memory.
    OutOfMemory,
}

impl fmt::Display for LpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLpis => "the interrupt controller has no LPIs",
            Self::FewLpis => "the interrupt controller has fewer than 8192 LPIs",
            Self::NotHere => "a core's redistributor has no LPIs",
            Self::LeftOn => {
                "the loader left a core's LPIs on and they cannot be turned off: \
                 start Oche from a loader that leaves them alone"
            }
            Self::Hung => "a core's redistributor does not answer",
            Self::OutOfMemory => "no memory for the LPI tables",
        })
    }
}

/// The LPIs of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Lpis {
    config: Frame,
}

impl Lpis {
    /// The configuration table. `typer` is `GICD_TYPER`. What it takes is never given back: redistributors read it
    /// until the machine is reset.
    ///
    /// # Errors
    /// When the distributor has no LPIs, or too few, or there is no memory.
    pub fn new(frames: &dyn Frames, clean: &dyn Clean, typer: u32) -> Result<Self, LpiError> {
        // LPIS, IDbits (less one), num_LPIs (a power of two, less one; 0: as many as IDbits say).
        if typer & 1 << 17 == 0 {
            return Err(LpiError::NoLpis);
        }
        let (bits, count) = ((typer >> 19 & 0x1f) + 1, typer >> 11 & 0x1f);
        if bits < LPI_BITS || count != 0 && 1_u64 << (count + 1) < LPIS.into() {
            return Err(LpiError::FewLpis);
        }
        let config = frames.allocate().ok_or(LpiError::OutOfMemory)?;
        for index in 0..LPIS as usize / 8 {
            frames.store(config, index, u64::from_ne_bytes([CONFIG; 8]));
        }
        clean.clean(config.base(), LPIS.into());
        Ok(Self { config })
    }

    /// Lets a core take LPIs, through its RD_base frame. Once per core: an LPI does not wake a redistributor that
    /// sleeps (`GICR_WAKER`), but stays pending.
    ///
    /// # Errors
    /// Then this core must not be given to [`super::Its::add_core`].
    pub fn enable(
        &self,
        redistributor: &dyn Registers,
        frames: &dyn Frames,
        clean: &dyn Clean,
    ) -> Result<(), LpiError> {
        if redistributor.read64(offset::TYPER) & TYPER_PLPIS == 0 {
            return Err(LpiError::NotHere);
        }
        turn_off(redistributor)?;
        let io = super::Io {
            registers: redistributor,
            frames,
            clean,
        };
        let pending = fresh(&io, PENDING_ORDER).ok_or(LpiError::OutOfMemory)?;
        let bits = u64::from(LPI_BITS - 1);
        let tables = [
            (offset::PROPBASER, self.config.base().get() | bits),
            (offset::PENDBASER, pending.base().get() | PENDING_ZERO),
        ];
        for (register, value) in tables {
            let attributes = Attributes::REDISTRIBUTOR;
            redistributor.write64(register, value | attributes.cached());
            if !attributes.is_coherent(redistributor.read64(register)) {
                // Both tables have been cleaned, and Oche writes neither again.
                redistributor.write64(register, value | attributes.uncached());
            }
        }
        clean.stores();
        let control = redistributor.read32(offset::CTLR);
        redistributor.write32(offset::CTLR, control | CTLR_ENABLE_LPIS);
        match redistributor.read32(offset::CTLR) & CTLR_ENABLE_LPIS {
            0 => Err(LpiError::Hung),
            _ => Ok(()),
        }
    }
}

/// The base registers may only be written while LPIs are off. Whether they can be turned off again is up to the
/// implementation (`GICR_CTLR.CES`).
fn turn_off(redistributor: &dyn Registers) -> Result<(), LpiError> {
    let control = redistributor.read32(offset::CTLR);
    if control & CTLR_ENABLE_LPIS == 0 {
        return Ok(());
    }
    redistributor.write32(offset::CTLR, control & !CTLR_ENABLE_LPIS);
    for _ in 0..POLLS {
        let control = redistributor.read32(offset::CTLR);
        if control & CTLR_RWP == 0 {
            return match control & CTLR_ENABLE_LPIS {
                0 => Ok(()),
                _ => Err(LpiError::LeftOn),
            };
        }
        core::hint::spin_loop();
    }
    Err(LpiError::Hung)
}
