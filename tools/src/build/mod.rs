//! What is built: Oche's image, the guests' kernels and ramdisks, the bundle.

mod busybox;
mod flatten;
mod header;
mod image;
mod initramfs;
mod kernel;
mod toolchain;

pub(crate) mod bundle;

pub(crate) use header::check_kernel;
pub(crate) use image::{Built, GUARDS_OUT_MARKER, Product, build};
pub(crate) use initramfs::initramfs;
pub(crate) use kernel::{kernel, kernel_needs, kernels};
pub(crate) use toolchain::{BareMetal, CLIPPY, FMT, host_cargo};
