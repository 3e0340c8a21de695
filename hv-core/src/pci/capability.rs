//! The capabilities of a function that Oche knows, and those that it switches off.

use super::{ConfigSpace, Function, offset};

/// Bit 4 of the status register, in its word: there is a list of capabilities.
const HAS_LIST: u32 = 1 << 20;
/// A list in 192 bytes has no more entries than this; one that has goes round in a circle.
const MAX_LIST: usize = 48;
/// The same of the extended list, whose entries have eight bytes at least.
const MAX_EXTENDED: usize = 480;

/// Bit 9 of device control: the function sends with the ids of functions that do not exist.
const PHANTOM_FUNCTIONS: u32 = 1 << 9;
/// Bit 5 of device control 2: a port passes accesses to function numbers above 7.
const ARI_FORWARDING: u32 = 1 << 5;

/// Capability ids (PCI Code and ID 1.11, 2).
mod id {
    pub(super) const POWER: u32 = 0x01;
    pub(super) const MSI: u32 = 0x05;
    pub(super) const EXPRESS: u32 = 0x10;
    pub(super) const MSIX: u32 = 0x11;
    pub(super) const ADVANCED_FEATURES: u32 = 0x13;
}

/// Extended capability ids (PCI Code and ID 1.11, 3).
mod extended {
    pub(super) const ACS: u32 = 0x0d;
    pub(super) const ATS: u32 = 0x0f;
    pub(super) const SR_IOV: u32 = 0x10;
    pub(super) const PRI: u32 = 0x13;
    pub(super) const PASID: u32 = 0x1b;
}

/// What a function is in the fabric (PCI Express Base 4.0, 7.5.3.2, device/port type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// An endpoint, behind a port or in the root complex itself.
    Endpoint,
    /// A port of the root complex.
    Root,
    /// A switch's port towards the root complex.
    Upstream,
    /// A switch's port away from it.
    Downstream,
    /// A bridge to or from conventional PCI, or what no edition of the specification names.
    Other,
}

/// The PCI Express capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Express {
    /// Where it is.
    pub at: u16,
    /// What the function is.
    pub kind: PortKind,
    /// The device capabilities register (PCI Express Base 4.0, 7.5.3.3).
    pub device: u32,
}

impl Express {
    /// Bit 28 of device capabilities: function level reset.
    pub(super) const FLR: u32 = 1 << 28;

    /// Can the function be reset alone?
    pub const fn has_flr(&self) -> bool {
        self.device & Self::FLR != 0
    }
}

/// The MSI capability (PCI Local Bus 3.0, 6.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    /// Where it is.
    pub at: u16,
    /// Message control.
    pub control: u16,
}

impl Msi {
    /// Has the address two words?
    pub const fn wide(&self) -> bool {
        self.control & 1 << 7 != 0
    }

    /// Can each vector be masked?
    pub const fn maskable(&self) -> bool {
        self.control & 1 << 8 != 0
    }

    /// Bytes of it.
    pub const fn length(&self) -> u16 {
        let address = if self.wide() { 12 } else { 8 };
        address + if self.maskable() { 12 } else { 4 }
    }
}

/// The MSI-X capability (PCI Local Bus 3.0, 6.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiX {
    /// Where it is.
    pub at: u16,
    /// Message control: the size of the table less one in bits 10 to 0.
    pub control: u16,
    /// BAR and offset of the table.
    pub table: u32,
    /// BAR and offset of the pending bits.
    pub pending: u32,
}

/// The power management capability (PCI Power Management 1.2, 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// Where it is.
    pub at: u16,
    /// Does the function reset itself on its way from D3hot to D0 (`No_Soft_Reset` is clear)?
    pub resets: bool,
}

/// The advanced features capability of conventional PCI (PCI Advanced Capabilities ECN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvancedFeatures {
    /// Where it is.
    pub at: u16,
    /// Function level reset, and the bit that tells of pending transactions.
    pub flr: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// PCI Express.
    pub express: Option<Express>,
    /// MSI.
    pub msi: Option<Msi>,
    /// MSI-X.
    pub msix: Option<MsiX>,
    /// Power management.
    pub power: Option<Power>,
    /// Advanced features.
    pub advanced: Option<AdvancedFeatures>,
    /// Where access control services are (PCI Express Base 4.0, 7.7.8).
    pub acs: Option<u16>,
}

impl Capabilities {
    /// Reads both lists. A capability that does not fit where it stands is not there.
    pub(super) fn read(config: &impl ConfigSpace, function: Function) -> Self {
        let mut found = Self::default();
        let word = |at| config.read32(function, at);
        let fits = |at: u16, length: u16| at <= 0x100 - length;
        each(config, function, |at, header| {
            let [_, _, low, high] = header.to_le_bytes();
            let upper = u16::from_le_bytes([low, high]);
            match header & 0xff {
                id::EXPRESS if fits(at, 12) => {
                    found.express.get_or_insert_with(|| Express {
                        at,
                        kind: kind(upper),
                        device: word(at + 4),
                    });
                }
                id::MSI => {
                    let msi = Msi { at, control: upper };
                    if fits(at, msi.length()) {
                        found.msi.get_or_insert(msi);
                    }
                }
                id::MSIX if fits(at, 12) => {
                    found.msix.get_or_insert_with(|| MsiX {
                        at,
                        control: upper,
                        table: word(at + 4),
                        pending: word(at + 8),
                    });
                }
                id::POWER if fits(at, 8) => {
                    found.power.get_or_insert_with(|| Power {
                        at,
                        resets: word(at + 4) & 1 << 3 == 0,
                    });
                }
                id::ADVANCED_FEATURES if fits(at, 8) => {
                    // Both bits of the capabilities byte: TP and FLR.
                    found.advanced.get_or_insert(AdvancedFeatures {
                        at,
                        flr: header >> 24 & 0b11 == 0b11,
                    });
                }
                _ => {}
            }
        });
        if found.express.is_some() {
            each_extended(config, function, |at, header| {
                if header & 0xffff == extended::ACS {
                    found.acs.get_or_insert(at);
                }
            });
        }
        found
    }
}

/// Switches off what a firmware or a former owner may have left on: messages, and all that could
/// take DMA past the function's own stream: address translation services (translations that the
/// device keeps), page requests, address space ids, virtual functions, phantom functions (which
/// borrow the ids of others), and function numbers above 7 behind a port.
pub fn quiet(config: &impl ConfigSpace, function: Function, capabilities: &Capabilities) {
    for at in [
        capabilities.msi.map(|msi| msi.at),
        capabilities.msix.map(|msix| msix.at),
    ]
    .into_iter()
    .flatten()
    {
        // Id and pointer, in the lower half, are read-only.
        config.write32(function, at, 0);
    }
    let Some(express) = capabilities.express else {
        return;
    };
    let is_port = matches!(express.kind, PortKind::Root | PortKind::Downstream);
    for (offset, bit) in [(8, PHANTOM_FUNCTIONS), (0x28, ARI_FORWARDING)] {
        let at = express.at + offset;
        // Status, in the upper half, clears by ones.
        let control = config.read32(function, at & 0xffc) & 0xffff;
        let there = offset == 8 || is_port && at < 0x100;
        if there && control & bit != 0 {
            config.write32(function, at, control & !bit);
        }
    }
    each_extended(config, function, |at, header| {
        // The word with the control register; what else is in it is read-only or clears by ones.
        let control = match header & 0xffff {
            extended::ATS | extended::PRI | extended::PASID => at.checked_add(4),
            extended::SR_IOV => at.checked_add(8),
            _ => None,
        };
        if let Some(control) = control.filter(|at| *at < 0x1000) {
            config.write32(function, control, 0);
        }
    });
}

fn kind(express: u16) -> PortKind {
    match express >> 4 & 0xf {
        // Endpoint, legacy endpoint, and the endpoint of a root complex.
        0 | 1 | 9 => PortKind::Endpoint,
        4 => PortKind::Root,
        5 => PortKind::Upstream,
        6 => PortKind::Downstream,
        _ => PortKind::Other,
    }
}

/// Calls `with` for each capability: where it is, and its first word.
fn each(config: &impl ConfigSpace, function: Function, mut with: impl FnMut(u16, u32)) {
    if config.read32(function, offset::COMMAND) & HAS_LIST == 0 {
        return;
    }
    let pointer = |word: u32| u16::from(word.to_le_bytes()[0] & 0xfc);
    let mut at = pointer(config.read32(function, offset::CAPABILITIES));
    for _ in 0..MAX_LIST {
        if at < 0x40 {
            return;
        }
        let header = config.read32(function, at);
        with(at, header);
        at = pointer(header >> 8);
    }
}

/// The same of the extended ones.
fn each_extended(config: &impl ConfigSpace, function: Function, mut with: impl FnMut(u16, u32)) {
    let mut at = 0x100;
    for _ in 0..MAX_EXTENDED {
        let header = config.read32(function, at);
        // None at all, or configuration space that ends here.
        if at < 0x100 || header == 0 || header == u32::MAX {
            return;
        }
        with(at, header);
        let [_, _, low, high] = header.to_le_bytes();
        at = u16::from_le_bytes([low, high]) >> 4 & 0xffc;
    }
}
