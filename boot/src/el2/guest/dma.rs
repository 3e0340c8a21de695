//! The guest's DMA: its virtual DART and the host IOMMU behind it, under one lock.

use dart_virt::iommu::smmuv3::Smmuv3;
use dart_virt::seams::{Fence, Registers};
use dart_virt::{Counters, GuestDma, Host, Refused};
use hv_core::Pa;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::arch::aarch64::{barrier, cache};
use hv_core::device::Clean;

use super::super::allocator::FRAMES;
use super::Guest;

/// The DART and what stands behind it.
pub(in crate::el2) struct Dma {
    pub(in crate::el2) dart: GuestDma,
    pub(in crate::el2) iommu: Smmuv3<'static>,
}

impl Guest {
    /// Does something with the guest's DMA.
    pub(in crate::el2) fn with_dma<R>(
        &self,
        work: impl FnOnce(&mut GuestDma, &mut Host<'_>) -> R,
    ) -> R {
        let mut guard = self.dma.lock();
        let Dma { dart, iommu } = &mut *guard;
        let mut host = Host {
            memory: &self.ram,
            frames: &FRAMES,
            ownership: &self.ownership,
            iommu,
        };
        work(dart, &mut host)
    }

    /// A trapped load from the DART's window.
    pub(in crate::el2) fn dart_load(&self, offset: u64, bytes: u8) -> Result<u64, Refused> {
        let answer = self.with_dma(|dart, host| dart.load(host, offset, bytes.into()));
        self.update_dart_line();
        answer
    }

    /// A trapped store to it. What it asks for is done when this returns.
    pub(in crate::el2) fn dart_store(
        &self,
        offset: u64,
        bytes: u8,
        value: u64,
    ) -> Result<(), Refused> {
        let answer = self.with_dma(|dart, host| dart.store(host, offset, bytes.into(), value));
        self.update_dart_line();
        answer
    }

    /// What the DART has counted.
    pub(in crate::el2) fn dma_counters(&self) -> Counters {
        self.dma.lock().dart.counters()
    }
}

/// The registers of the host's SMMU.
pub(in crate::el2) struct SmmuWindow(pub(in crate::el2) Mmio);

impl Registers for SmmuWindow {
    fn read32(&self, offset: usize) -> u32 {
        self.0.read32(offset as u64)
    }

    fn write32(&self, offset: usize, value: u32) {
        self.0.write32(offset as u64, value);
    }

    fn read64(&self, offset: usize) -> u64 {
        self.0.read64(offset as u64)
    }

    fn write64(&self, offset: usize, value: u64) {
        self.0.write64(offset as u64, value);
    }
}

/// Order between memory and device registers: the SMMU's walks are coherent (the driver checks), so a barrier is all.
pub(in crate::el2) struct SystemFence;

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
