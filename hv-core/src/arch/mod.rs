//! The only place with assembly and system registers.

#[expect(
    clippy::cast_possible_truncation,
    reason = "this target is 64 bits wide, and registers are masked where they are narrower"
)]
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub mod aarch64;
