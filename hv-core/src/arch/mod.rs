//! The only place with assembly and system registers.

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub mod aarch64;
