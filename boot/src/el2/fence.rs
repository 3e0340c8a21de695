//! Order between memory and device registers.

use dart_virt::seams::Fence;
use hv_core::Pa;
use hv_core::arch::aarch64::{barrier, cache};
use hv_core::device::Clean;

/// Order between memory and device registers: the SMMU's walks are coherent (the driver checks), so a barrier is all.
pub(super) struct SystemFence;

impl Fence for SystemFence {
    fn stores(&self) {
        barrier::dsb_sy();
    }

    fn loads(&self) {
        barrier::dsb_sy();
    }
}

impl Clean for SystemFence {
    fn clean(&self, from: Pa, bytes: u64) {
        cache::clean_and_invalidate(from, bytes);
    }
}
