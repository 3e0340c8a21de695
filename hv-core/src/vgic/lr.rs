//! List registers and the control register beside them, as words (IHI 0069, `ICH_LR<n>_EL2`, `ICH_HCR_EL2`,
//! `ICH_MISR_EL2`).

/// The most list registers that a machine can have.
pub const MAX_LIST_REGISTERS: usize = 16;

/// The state field of a list register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not in use, or dealt with.
    Invalid,
    /// May be acknowledged.
    Pending,
    /// Acknowledged and not yet deactivated.
    Active,
    /// Active, and pending once more. Not for hardware-linked interrupts.
    PendingActive,
}

impl State {
    /// The state in a list register's word.
    pub const fn of(word: u64) -> Self {
        match word >> 62 {
            0 => Self::Invalid,
            1 => Self::Pending,
            2 => Self::Active,
            _ => Self::PendingActive,
        }
    }

    const fn bits(self) -> u64 {
        let field = match self {
            Self::Invalid => 0,
            Self::Pending => 1,
            Self::Active => 2,
            Self::PendingActive => 3,
        };
        field << 62
    }
}

/// A host interrupt is deactivated together with this one; it is named by the `pINTID` field.
pub const HW: u64 = 1 << 61;
/// Group 1: signalled as a virtual IRQ.
pub const GROUP1: u64 = 1 << 60;
/// Without [`HW`]: a maintenance interrupt when the guest is done with it.
pub const EOI: u64 = 1 << 41;

/// How the guest's deactivation is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// Not at all, until the next exit.
    None,
    /// By a maintenance interrupt.
    Maintenance,
    /// The hardware deactivates this host interrupt.
    Host(u16),
}

/// The word of a list register in Group 1.
pub const fn word(intid: u32, state: State, priority: u8, tie: Tie) -> u64 {
    let tie = match tie {
        Tie::None => 0,
        Tie::Maintenance => EOI,
        Tie::Host(physical) => HW | ((physical as u64 & 0x1fff) << 32),
    };
    state.bits() | GROUP1 | ((priority as u64) << 48) | tie | intid as u64
}

/// `ICH_HCR_EL2.En`: the virtual CPU interface works.
pub const HCR_EN: u64 = 1 << 0;
/// Maintenance interrupt while `EOIcount` is not 0.
pub const HCR_LRENPIE: u64 = 1 << 2;
/// Maintenance interrupt while no list register is pending.
pub const HCR_NPIE: u64 = 1 << 3;
/// Traps all common registers of the CPU interface, `ICC_DIR_EL1` among them.
pub const HCR_TC: u64 = 1 << 10;
/// Traps `ICC_DIR_EL1` alone (where `ICH_VTR_EL2.TDS` says so).
pub const HCR_TDIR: u64 = 1 << 14;

/// `ICH_HCR_EL2.EOIcount`.
pub const EOI_COUNT: u64 = 0x1f << 27;

/// `ICH_HCR_EL2.EOIcount`: deactivations of interrupts that no list register held.
pub const fn eoi_count(hcr: u64) -> u32 {
    ((hcr >> 27) & 0x1f) as u32
}

/// Why a maintenance interrupt came (`ICH_MISR_EL2`). Whatever it was, storing and loading the list registers
/// answers it; this is for counters and for noticing one that nobody asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// A list register with the EOI bit is done with.
    pub eoi: bool,
    /// An interrupt was deactivated that no list register held.
    pub missed: bool,
    /// No list register is pending any longer, and others wait for room.
    pub drained: bool,
    /// A reason that [`super::Vgic::load`] never asks for.
    pub other: bool,
}

impl Maintenance {
    /// Reads `ICH_MISR_EL2`.
    pub const fn of(misr: u64) -> Self {
        Self {
            eoi: misr & 1 != 0,
            missed: misr & (1 << 2) != 0,
            drained: misr & (1 << 3) != 0,
            other: misr & 0b1111_0010 != 0,
        }
    }
}
