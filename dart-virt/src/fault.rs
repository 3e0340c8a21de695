//! From what the host's IOMMU reports to what the guest reads in `ERROR`.

use hv_core::Iova;

use crate::iommu::HostFault;
use crate::seams::GuestMemory;
use crate::variant::{Roots, Variant};
use crate::walk::{Missing, walk};

/// The codes of `ERROR` that this DART reports (dart reference 1.3), exactly one at a time: Linux
/// decodes the field by equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FaultCode {
    /// The `TTBR` is not valid, or the stream is blocked.
    NoTtbr = 1 << 0,
    /// The L1 entry is not valid.
    NoPmd = 1 << 1,
    /// The leaf is not valid.
    NoPte = 1 << 2,
    /// The leaf forbids the write.
    Write = 1 << 3,
    /// The leaf forbids the read.
    Read = 1 << 4,
}

/// Finds out why a device's access failed, by walking the guest's tables now, because a host's
/// event does not say at which level *they* ended. The guest may have changed them meanwhile; it
/// then reads a code that fits what it has written.
pub fn classify(
    memory: &dyn GuestMemory,
    variant: &Variant,
    roots: Option<Roots>,
    fault: &HostFault,
) -> FaultCode {
    let Some(roots) = roots else {
        return FaultCode::NoTtbr;
    };
    match walk(memory, variant, roots, fault.iova) {
        Err(Missing::Ttbr) => FaultCode::NoTtbr,
        Err(Missing::Table) => FaultCode::NoPmd,
        Err(Missing::Leaf) => FaultCode::NoPte,
        Ok(leaf) if fault.write && !leaf.access.write => FaultCode::Write,
        Ok(leaf) if !fault.write && !leaf.access.read => FaultCode::Read,
        // The guest's tables allow it, so it was the shadow that did not have it: a frame that is
        // not the guest's, say. To a guest that leaf leads nowhere.
        Ok(_) => FaultCode::NoPte,
    }
}

/// A fault as the guest will read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestFault {
    /// Why.
    pub code: FaultCode,
    /// Where.
    pub iova: Iova,
}
