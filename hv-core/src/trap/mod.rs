//! What a trap from a guest means, as plain logic over the syndrome; nothing here touches a register.

pub mod access;
mod entry;
pub mod instruction;
mod syndrome;
mod sysreg;

pub use entry::{EXTERNAL_ABORT, GuestEntry, Injected, enter_el1};
pub use syndrome::{DataAccess, Exit, InstructionFault, StageTwoCause, Transfer, decode};
pub use sysreg::{Emulated, Encoding, SysReg, emulate};
