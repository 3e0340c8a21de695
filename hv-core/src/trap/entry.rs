//! Taking an exception to EL1 on the guest's behalf (Arm ARM D1.3.6 and `AArch64.TakeException`).

/// The fault status code of a synchronous External abort.
pub const EXTERNAL_ABORT: u8 = 0x10;

/// What Oche gives a guest in place of what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// The instruction does not exist.
    Undefined,
    /// A data access that does not end well.
    DataAbort {
        /// The data fault status code: [`EXTERNAL_ABORT`] where nothing answers.
        status: u8,
        /// The virtual address, for `FAR_EL1`.
        address: u64,
        /// It was a store.
        write: bool,
    },
    /// An instruction fetch that nothing answers.
    FetchAbort {
        /// The virtual address, for `FAR_EL1`.
        address: u64,
    },
}

/// The registers of EL1 after the exception was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestEntry {
    /// New program counter.
    pub pc: u64,
    /// New PSTATE.
    pub pstate: u64,
    /// `ESR_EL1`.
    pub esr: u64,
    /// `FAR_EL1`, where the exception writes it.
    pub far: Option<u64>,
}

const EL1H: u64 = 0b0101;
const MODE: u64 = 0b1111;
const AARCH32: u64 = 1 << 4;
const DAIF: u64 = 0b1111 << 6;
const SSBS: u64 = 1 << 12;
const PAN: u64 = 1 << 22;
const UAO: u64 = 1 << 23;
const DIT: u64 = 1 << 24;
const TCO: u64 = 1 << 25;
const FLAGS: u64 = 0b1111 << 28;
const SCTLR_SPAN: u64 = 1 << 23;
const SCTLR_DSSBS: u64 = 1 << 44;

/// The guest state after `what` is taken from a guest whose PSTATE is `pstate`, with EL1's `VBAR` and `SCTLR`.
pub const fn enter_el1(what: Injected, pstate: u64, vbar: u64, sctlr: u64) -> GuestEntry {
    let from_el0 = pstate & MODE == 0 || pstate & AARCH32 != 0;
    let offset = if pstate & AARCH32 != 0 {
        0x600
    } else if from_el0 {
        0x400
    } else if pstate & 1 != 0 {
        0x200
    } else {
        0
    };
    let (class, iss, far) = match what {
        Injected::Undefined => (0x00, 0, None),
        Injected::DataAbort {
            status,
            address,
            write,
        } => (
            if from_el0 { 0x24 } else { 0x25 },
            ((write as u64) << 6) | (status & 0x3f) as u64,
            Some(address),
        ),
        Injected::FetchAbort { address } => {
            (if from_el0 { 0x20 } else { 0x21 }, 0x10, Some(address))
        }
    };
    // Kept: condition flags, DIT, PAN. Set: DAIF, PAN where SPAN is clear, TCO (RES0 without MTE, which is
    // hidden), SSBS from SCTLR. Cleared: UAO, IL, SS, BTYPE.
    let mut new = EL1H | DAIF | (pstate & (FLAGS | DIT | PAN));
    if sctlr & SCTLR_SPAN == 0 {
        new |= PAN;
    }
    if sctlr & SCTLR_DSSBS != 0 {
        new |= SSBS;
    }
    new &= !(UAO | TCO);
    GuestEntry {
        pc: vbar.wrapping_add(offset),
        pstate: new,
        esr: (class << 26) | (1 << 25) | iss,
        far,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_follows_where_the_guest_was() {
        let at = |pstate| enter_el1(Injected::Undefined, pstate, 0x1000, SCTLR_SPAN).pc;
        assert_eq!(at(0b0100), 0x1000); // EL1t
        assert_eq!(at(0b0101), 0x1200); // EL1h
        assert_eq!(at(0b0000), 0x1400); // EL0
        assert_eq!(at(0b1_0000), 0x1600); // EL0, AArch32
    }

    #[test]
    fn an_abort_says_who_and_where() {
        let what = Injected::DataAbort {
            status: EXTERNAL_ABORT,
            address: 0x55,
            write: true,
        };
        let entry = enter_el1(what, EL1H, 0, SCTLR_SPAN);
        assert_eq!(entry.esr >> 26, 0x25);
        assert_eq!(entry.esr & 0x3f, 0x10);
        assert_eq!(entry.esr & (1 << 6), 1 << 6);
        assert_eq!(entry.far, Some(0x55));
        assert_eq!(enter_el1(what, 0, 0, 0).esr >> 26, 0x24);
    }

    #[test]
    fn interrupts_are_masked_and_pan_follows_span() {
        let entry = enter_el1(Injected::Undefined, FLAGS | UAO, 0, 0);
        assert_eq!(entry.pstate, FLAGS | DAIF | EL1H | PAN);
        assert_eq!(
            enter_el1(Injected::Undefined, 0, 0, SCTLR_SPAN).pstate,
            DAIF | EL1H
        );
    }
}
