//! Unit tests in the manner of a guest's, and properties against a GIC without list registers.

mod checks;
mod delayed;
mod host_lines;
mod hostile;
mod machine;
mod naive;
mod property;
mod virtual_cpu;
