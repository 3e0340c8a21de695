//! The guest's state after an instruction that was carried out for it.

const AARCH32: u64 = 1 << 4;
const THUMB: u64 = 1 << 5;
const BTYPE: u64 = 0b11 << 10;
const SINGLE_STEP: u64 = 1 << 21;

/// Program counter and PSTATE (as in `SPSR_EL2`) behind an instruction of 32 (`long`) or 16 bits.
///
/// `PSTATE.BTYPE` and `PSTATE.SS` are what they are after any instruction: zero (Arm ARM D1.3.1). In a T32 IT block
/// the block goes on by one instruction (`AArch32.ITAdvance`).
pub const fn stepped(pc: u64, pstate: u64, long: bool) -> (u64, u64) {
    let pc = pc.wrapping_add(if long { 4 } else { 2 });
    if pstate & AARCH32 == 0 {
        return (pc, pstate & !(BTYPE | SINGLE_STEP));
    }
    let pstate = pstate & !SINGLE_STEP;
    let pc = pc & 0xffff_ffff;
    if pstate & THUMB == 0 {
        return (pc, pstate);
    }
    // IT[7:2] are bits 15:10, IT[1:0] bits 26:25.
    let it = (((pstate >> 10) & 0x3f) << 2) | ((pstate >> 25) & 3);
    let it = if it & 0b111 == 0 {
        0
    } else {
        (it & 0xe0) | ((it << 1) & 0x1f)
    };
    let cleared = pstate & !((0x3f << 10) | (3 << 25));
    (pc, cleared | ((it >> 2) << 10) | ((it & 3) << 25))
}
