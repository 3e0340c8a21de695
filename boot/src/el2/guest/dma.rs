//! The guest's DMA: its virtual DART and the host IOMMU behind it, under one lock.

use dart_virt::iommu::smmuv3::Smmuv3;
use dart_virt::{Counters, GuestDma, Host, Refused};

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
