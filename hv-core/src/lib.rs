//! The hypervisor's core. Everything outside `arch` is plain logic that compiles and is tested on a PC.
#![no_std]
#![deny(clippy::unwrap_used, clippy::expect_used)]

pub mod addr;
pub mod arch;
pub mod backtrace;
pub mod cpu;
pub mod device;
pub mod frames;
pub mod its;
pub mod layout;
pub mod ownership;
pub mod pci;
pub mod pl011;
pub mod psci;
pub mod stage2;
pub mod table;
pub mod trap;
pub mod vgic;

pub use addr::{Frame, Iova, Ipa, Pa};
