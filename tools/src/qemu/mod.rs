//! QEMU: whether the one on this machine will do, and its command line.

mod line;
mod place;
mod probe;

pub(crate) use line::{Machine, RAM_BASE, quote};
pub(crate) use probe::{Qemu, check_cpu, find, needs};
