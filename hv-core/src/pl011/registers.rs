//! Registers of a PL011 and their bits (Arm DDI 0183G, chapter 3).

/// A register by its offset (table 3-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    /// UARTDR.
    Data,
    /// UARTRSR when read, UARTECR when written.
    ReceiveStatus,
    /// UARTFR.
    Flags,
    /// UARTILPR.
    LowPower,
    /// UARTIBRD.
    BaudWhole,
    /// UARTFBRD.
    BaudFraction,
    /// UARTLCR_H.
    LineControl,
    /// UARTCR.
    Control,
    /// UARTIFLS.
    Levels,
    /// UARTIMSC.
    Mask,
    /// UARTRIS.
    RawInterrupts,
    /// UARTMIS.
    MaskedInterrupts,
    /// UARTICR.
    Clear,
    /// UARTDMACR.
    DmaControl,
    /// One of UARTPeriphID0 to 3 and UARTPCellID0 to 3, and what it says.
    Identification(u8),
}

/// UARTPeriphID0 to 3, then UARTPCellID0 to 3 (3.3.15 to 3.3.22): part 0x011 of designer 0x41 (Arm), revision 3,
/// which is r1p5, and with it FIFOs of 32.
const IDENTIFICATION: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
/// Where they begin, 4 bytes apart, up to the end of the window.
const IDENTIFICATION_BASE: u64 = 0xfe0;

impl Register {
    /// The register that starts at `offset`. The integration test registers (0x80 to 0x8c) are not there.
    pub(super) fn at(offset: u64) -> Option<Self> {
        Some(match offset {
            0x00 => Self::Data,
            0x04 => Self::ReceiveStatus,
            0x18 => Self::Flags,
            0x20 => Self::LowPower,
            0x24 => Self::BaudWhole,
            0x28 => Self::BaudFraction,
            0x2c => Self::LineControl,
            0x30 => Self::Control,
            0x34 => Self::Levels,
            0x38 => Self::Mask,
            0x3c => Self::RawInterrupts,
            0x40 => Self::MaskedInterrupts,
            0x44 => Self::Clear,
            0x48 => Self::DmaControl,
            _ => {
                let beyond = offset.checked_sub(IDENTIFICATION_BASE)?;
                let index = usize::try_from(beyond / 4).ok()?;
                let byte = IDENTIFICATION.get(index)?;
                if !beyond.is_multiple_of(4) {
                    return None;
                }
                Self::Identification(*byte)
            }
        })
    }
}

/// UARTDR: the overrun error, beside the character (3.3.1).
pub(super) const DATA_OVERRUN: u32 = 1 << 11;
/// UARTRSR (3.3.2): the same.
pub(super) const STATUS_OVERRUN: u32 = 1 << 3;

/// UARTFR (3.3.3).
pub(super) mod flag {
    pub(in super::super) const CTS: u32 = 1 << 0;
    pub(in super::super) const DSR: u32 = 1 << 1;
    pub(in super::super) const DCD: u32 = 1 << 2;
    pub(in super::super) const BUSY: u32 = 1 << 3;
    pub(in super::super) const RECEIVE_EMPTY: u32 = 1 << 4;
    pub(in super::super) const TRANSMIT_FULL: u32 = 1 << 5;
    pub(in super::super) const RECEIVE_FULL: u32 = 1 << 6;
    pub(in super::super) const TRANSMIT_EMPTY: u32 = 1 << 7;
    pub(in super::super) const RI: u32 = 1 << 8;
}

/// UARTLCR_H (3.3.7): FIFOs enabled.
pub(super) const FIFOS: u32 = 1 << 4;
/// UARTLCR_H: where the word length is, 5 bits and so many more.
pub(super) const WORD_LENGTH_SHIFT: u32 = 5;

/// UARTCR (3.3.8).
pub(super) mod control {
    pub(in super::super) const ENABLE: u32 = 1 << 0;
    pub(in super::super) const LOOP_BACK: u32 = 1 << 7;
    pub(in super::super) const TRANSMIT: u32 = 1 << 8;
    pub(in super::super) const RECEIVE: u32 = 1 << 9;
    pub(in super::super) const DTR: u32 = 1 << 10;
    pub(in super::super) const RTS: u32 = 1 << 11;
    pub(in super::super) const OUT1: u32 = 1 << 12;
    pub(in super::super) const OUT2: u32 = 1 << 13;
    pub(in super::super) const CTS_FLOW: u32 = 1 << 15;
    /// Bits 6 to 3 are reserved.
    pub(in super::super) const WRITABLE: u32 = 0xff87;
    /// After reset (table 3-1).
    pub(in super::super) const RESET: u32 = TRANSMIT | RECEIVE;
}

/// UARTIFLS after reset: both at one half (3.3.9).
pub(super) const LEVELS_RESET: u32 = 0x12;

/// Bits of UARTIMSC, UARTRIS, UARTMIS and UARTICR (3.3.10 to 3.3.13).
pub(super) mod interrupt {
    pub(in super::super) const RI: u32 = 1 << 0;
    pub(in super::super) const CTS: u32 = 1 << 1;
    pub(in super::super) const DCD: u32 = 1 << 2;
    pub(in super::super) const DSR: u32 = 1 << 3;
    pub(in super::super) const RECEIVE: u32 = 1 << 4;
    pub(in super::super) const TRANSMIT: u32 = 1 << 5;
    pub(in super::super) const TIMEOUT: u32 = 1 << 6;
    pub(in super::super) const OVERRUN: u32 = 1 << 10;
    pub(in super::super) const ALL: u32 = 0x7ff;
}
