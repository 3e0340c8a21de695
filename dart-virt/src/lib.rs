//! The subject of Oche: what a guest sees of a DART, and what stands behind it.
//!
//! From the guest inwards:
//!
//! - [`registers`]: the register file. A store becomes an [`registers::Effect`]; nothing else happens there.
//! - [`format`], [`variant`], [`walk`]: what the guest's tables mean, per generation of silicon.
//! - [`space`]: one device address space with its host table, filled from guest tables or by explicit maps.
//! - [`iommu`]: the seam to the host's IOMMUs, and their drivers.
//! - [`dma`]: the facade that joins them for one guest.
//!
//! Everything a guest writes is read once, then checked, then used; a page is pinned before a host
//! entry names it and unpinned only after the host IOMMU has confirmed that the entry is forgotten.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        reason = "tests choose their own numbers"
    )
)]

extern crate alloc;

pub mod counters;
pub mod dma;
pub mod fault;
pub mod format;
pub mod guards;
pub mod iommu;
pub mod registers;
pub mod seams;
pub mod space;
pub mod variant;
pub mod walk;

#[cfg(test)]
mod testing;

pub use counters::Counters;
pub use dma::{GuestDma, Leftover, Refused, Settings, SetupError};
pub use guards::{Guard, Guards};
pub use iommu::{HostIommu, HostStream};
pub use registers::StreamId;
pub use seams::{Fence, GuestMemory, Host, NotRam, Registers};
pub use space::Widening;
