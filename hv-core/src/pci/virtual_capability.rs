//! The capabilities that a guest sees, each where the device has it, chained anew.
//!
//! It is a list of what is shown: everything else (vendor-specific ones, power management, all
//! extended ones and with them ATS, PRI, PASID, SR-IOV and access control) is not there.
//!
//! What a guest writes to address and data of its messages goes to the device as it is. A message
//! is a memory write with the function's own requester id: it goes through the same stream of the
//! same IOMMU as the function's other writes, needs bus mastership like them (PCI Local Bus 3.0,
//! 6.8.3.3), and lands where the guest's DART lets the device write anyway. The table of MSI-X,
//! which the guest writes without a trap, says the same to the device by another way.

use arrayvec::ArrayVec;

use super::{Capabilities, Express, Msi, MsiX};

/// Capability ids (PCI Code and ID 1.11, 2).
const MSI: u8 = 0x05;
const EXPRESS: u8 = 0x10;
const MSIX: u8 = 0x11;

/// What a root complex's own endpoint says of itself: version 2, type 9 (PCI Express Base 4.0,
/// 7.5.3.2). Such a one has no link, which on a guest's flat bus is the truth.
const INTEGRATED_ENDPOINT: u32 = 2 | 9 << 4;
/// Shown of device capabilities: the largest payload, extended tags, role-based error reporting.
/// Function level reset (bit 28) is Oche's.
const DEVICE_SHOWN: u32 = 0b111 | 1 << 5 | 1 << 15;
/// Bytes of the PCI Express capability in version 2.
const EXPRESS_LENGTH: u16 = 0x3c;

/// Message control of MSI: the enable bit, and how many messages the guest wants.
const MSI_ENABLE: u16 = 1 << 0;
/// Message control of MSI-X: the enable bit and the mask of all vectors.
const MSIX_WRITABLE: u16 = 1 << 15 | 1 << 14;

/// A guest's store to a capability, as the word that the device is to get.
pub(super) struct Forward {
    /// Where, in the function's configuration space.
    pub(super) offset: u16,
    /// What.
    pub(super) value: u32,
}

/// One capability.
#[derive(Clone, Debug)]
enum Kind {
    Express(Express),
    Msi {
        host: Msi,
        control: u16,
        /// Address, its upper half, data, mask.
        words: [u32; 4],
    },
    MsiX {
        host: MsiX,
        control: u16,
    },
}

impl Kind {
    fn start(&self) -> u16 {
        match self {
            Kind::Express(host) => host.at,
            Kind::Msi { host, .. } => host.at,
            Kind::MsiX { host, .. } => host.at,
        }
    }

    fn length(&self) -> u16 {
        match self {
            // What reaches past the first 256 bytes is not shown.
            Kind::Express(host) => EXPRESS_LENGTH.min(0x100 - host.at),
            Kind::Msi { host, .. } => host.length(),
            Kind::MsiX { .. } => 12,
        }
    }

    fn id(&self) -> u8 {
        match self {
            Kind::Express(_) => EXPRESS,
            Kind::Msi { .. } => MSI,
            Kind::MsiX { .. } => MSIX,
        }
    }

    /// The upper half of the first word.
    fn upper(&self) -> u32 {
        match self {
            Kind::Express(_) => INTEGRATED_ENDPOINT,
            Kind::Msi { control, .. } | Kind::MsiX { control, .. } => u32::from(*control),
        }
    }
}

/// A list of capabilities.
#[derive(Clone, Debug)]
pub(super) struct VirtualCapabilities(ArrayVec<Kind, 3>);

impl VirtualCapabilities {
    /// Those of a function that are shown; without `messages` there are none.
    pub(super) fn new(host: &Capabilities, messages: bool) -> Self {
        let mut shown = ArrayVec::new();
        if messages {
            let msix = host.msix.map(|host| Kind::MsiX {
                host,
                control: host.control & 0x7ff,
            });
            let msi = host.msi.map(|host| Kind::Msi {
                host,
                // How many messages there can be, a wide address, masks: as it is.
                control: host.control & 0b1_1000_1110,
                words: [0; 4],
            });
            let express = host.express.map(Kind::Express);
            shown.extend([msix, msi, express].into_iter().flatten());
        }
        Self(shown)
    }

    /// Where the list begins, or 0.
    pub(super) fn first(&self) -> u8 {
        self.0
            .first()
            .map_or(0, |kind| kind.start().to_le_bytes()[0])
    }

    /// The word at `at`; 0 where nothing is shown.
    pub(super) fn read(&self, at: u16) -> u32 {
        let Some(index) = self.index(at) else {
            return 0;
        };
        let kind = &self.0[index];
        let offset = at - kind.start();
        if offset == 0 {
            let next = self.0.get(index + 1);
            let next = next.map_or(0, |kind| kind.start().to_le_bytes()[0]);
            return kind.upper() << 16 | u32::from(u16::from_le_bytes([kind.id(), next]));
        }
        match kind {
            Kind::Express(host) if offset == 4 => host.device & DEVICE_SHOWN,
            // Control and status of a device that has just been reset and has no error: nothing
            // that a guest could set there is worth the risk.
            Kind::Express(_) => 0,
            Kind::Msi { host, words, .. } => slot(host, offset).map_or(0, |slot| words[slot]),
            Kind::MsiX { host, .. } if offset == 4 => host.table,
            Kind::MsiX { host, .. } => host.pending,
        }
    }

    /// A store to the word at `at`, merged with what it reads.
    pub(super) fn write(&mut self, at: u16, value: u32) -> Option<Forward> {
        let index = self.index(at)?;
        let kind = &mut self.0[index];
        let offset = at - kind.start();
        let [.., low, high] = value.to_le_bytes();
        let upper = u16::from_le_bytes([low, high]);
        let value = match kind {
            Kind::Express(_) => return None,
            Kind::Msi { host, control, .. } if offset == 0 => {
                // Not more messages than there are (bits 3 to 1 and 6 to 4, as powers of two).
                let wanted = (upper >> 4 & 7).min(host.control >> 1 & 7);
                *control = *control & !(MSI_ENABLE | 7 << 4) | upper & MSI_ENABLE | wanted << 4;
                u32::from(*control) << 16
            }
            Kind::Msi { host, words, .. } => {
                let slot = slot(host, offset)?;
                // Address bits 1 and 0 are zero; data has 16 bits.
                words[slot] = match slot {
                    0 => value & !0b11,
                    2 => value & 0xffff,
                    _ => value,
                };
                words[slot]
            }
            Kind::MsiX { control, .. } if offset == 0 => {
                *control = *control & !MSIX_WRITABLE | upper & MSIX_WRITABLE;
                u32::from(*control) << 16
            }
            Kind::MsiX { .. } => return None,
        };
        Some(Forward { offset: at, value })
    }

    /// The capability that has this word.
    fn index(&self, at: u16) -> Option<usize> {
        self.0.iter().position(|kind| {
            at.checked_sub(kind.start())
                .is_some_and(|offset| offset < kind.length())
        })
    }
}

/// Which of the four words is at `offset` of the capability. Pending bits are none of them: they
/// read zero.
fn slot(host: &Msi, offset: u16) -> Option<usize> {
    let words: &[Option<usize>] = match (host.wide(), host.maskable()) {
        (true, true) => &[Some(0), Some(1), Some(2), Some(3)],
        (true, false) => &[Some(0), Some(1), Some(2)],
        (false, true) => &[Some(0), Some(2), Some(3)],
        (false, false) => &[Some(0), Some(2)],
    };
    let index = usize::from((offset / 4).checked_sub(1)?);
    words.get(index).copied().flatten()
}
