//! Timers: EL2's own, and what a guest sees of time (Arm ARM D11.2).
//!
//! With `HCR_EL2.E2H` set the `CNTP_*_EL0` names at EL2 mean EL2's timer; the guest's own go by `_EL02`.

use super::{barrier, read_register, write_register};

/// Interrupts this core after `ticks` of the physical counter (`CNTHP_*_EL2`).
pub fn start(ticks: u64) {
    barrier::isb();
    let now = read_register!("cntpct_el0");
    write_register!("cnthp_cval_el2", now.saturating_add(ticks));
    write_register!("cnthp_ctl_el2", 1);
    barrier::isb();
}

/// EL2's timer no longer interrupts this core.
pub fn stop() {
    write_register!("cnthp_ctl_el2", 0);
    barrier::isb();
}

/// What a guest's virtual counter lags behind the physical one (`CNTVOFF_EL2`), and the guest's right to the physical
/// counter and timer, whose interrupt is forwarded (`CNTHCTL_EL2` in its E2H layout, which EL2 reaches as
/// `CNTKCTL_EL1`: EL1PCTEN, EL1PTEN).
pub fn prepare(offset: u64) {
    write_register!("cntkctl_el1", (1 << 10) | (1 << 11));
    write_register!("cntvoff_el2", offset);
}
