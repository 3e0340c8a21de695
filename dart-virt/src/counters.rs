//! What happened, in numbers.

/// Counts since the guest's start, and a few levels. None can overflow: at one event per nanosecond
/// 64 bits last five centuries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Invalidate commands that the guest gave.
    pub flushes: u64,
    /// Invalidations that the host IOMMU was asked for.
    pub host_invalidations: u64,
    /// Host leaves installed.
    pub pages_mapped: u64,
    /// Host leaves removed and confirmed forgotten.
    pub pages_unmapped: u64,
    /// Pins held now: the number of host leaves.
    pub pages_pinned: u64,
    /// The most pins ever held at once.
    pub pages_pinned_peak: u64,
    /// Leaves installed that lead to another number than the one the device emits.
    pub translations_moved: u64,
    /// Leaves not installed: not the guest's RAM, an address out of range, a pin count at its
    /// limit, or an access that the host cannot express and may not widen. Counted per attempt.
    pub leaves_refused: u64,
    /// Leaves that were installed with more access than the guest asked for, because the host's format
    /// cannot say it: write-only pages and sub-page windows, on an SMMU. Counted per attempt; still
    /// only the guest's own pages.
    pub leaves_widened: u64,
    /// Guest tables that are followed now, each by a host table.
    pub tables: u64,
    /// The most that were followed at once.
    pub tables_peak: u64,
    /// Guest tables that were not followed: not the guest's RAM, an address out of range, or past
    /// [`crate::space::TABLES_PER_GUEST`]. Counted per attempt.
    pub tables_refused: u64,
    /// Times something was left out because host memory had run out; the next flush tries again.
    pub out_of_memory: u64,
    /// Faults of this guest's streams that the host IOMMU reported.
    pub faults: u64,
    /// Of those, the ones that found `ERROR` occupied.
    pub faults_unshown: u64,
    /// Faults of streams that this guest does not have.
    pub faults_stray: u64,
    /// Times the guest asked for bypass, which is not offered: the stream was blocked.
    pub bypass_refused: u64,
    /// Accesses to the register window that were answered with an external abort.
    pub accesses_refused: u64,
}

impl Counters {
    pub(crate) fn pinned(&mut self) {
        self.pages_pinned += 1;
        self.pages_pinned_peak = self.pages_pinned_peak.max(self.pages_pinned);
    }

    pub(crate) fn table_added(&mut self) {
        self.tables += 1;
        self.tables_peak = self.tables_peak.max(self.tables);
    }
}
