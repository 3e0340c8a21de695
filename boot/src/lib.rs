//! What Oche does beside running guests, as plain logic: reading the machine's device tree, writing the guest's,
//! finding room for things; what the console shows, and what is answered on the control line. Nothing here
//! touches hardware, so all of it is tested on a PC; the image (`main.rs`) wires it to the machine.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used)]

extern crate alloc;

pub mod console;
pub mod control;
pub mod guest_tree;
pub mod image;
pub mod machine;
pub mod placement;
pub mod range;
