//! Spaces filled by explicit maps.

use hv_core::table::{EditError, MapError, Run};
use hv_core::{Iova, Ipa};

use super::{Source, Space, Widening, Work};
use crate::format::{Access, SubPage};
use crate::iommu::{Expressed, Hung, Stale};

/// Why an explicit map or unmap was not made. Nothing is mapped then that was not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplicitError {
    /// The space follows a guest's tables.
    NotExplicit,
    /// Not aligned, out of range, or no access at all.
    BadRun,
    /// Some of the pages are neither the guest's RAM nor its doorbell, or are pinned to the limit.
    NotOwned,
    /// Something is mapped there.
    Occupied,
    /// The host cannot express the access, and may not widen it.
    Inexpressible,
    /// No memory for a table.
    OutOfMemory,
    /// The host IOMMU does not answer.
    Hung,
}

impl From<Hung> for ExplicitError {
    fn from(_: Hung) -> Self {
        Self::Hung
    }
}

impl Space {
    /// Lets devices reach `bytes` bytes of the guest's RAM, or its doorbell, from `at` on, at `iova`:
    /// all of it or nothing.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) fn map(
        &mut self,
        work: &mut Work<'_, '_>,
        iova: Iova,
        at: Ipa,
        bytes: u64,
        access: Access,
    ) -> Result<(), ExplicitError> {
        if self.source != Source::Explicit {
            return Err(ExplicitError::NotExplicit);
        }
        let attributes = match self.table.format().express(access, SubPage::WHOLE) {
            Expressed::Nothing => return Err(ExplicitError::BadRun),
            Expressed::Exactly(attributes) => attributes,
            Expressed::Wider(_) if work.widening == Widening::Refuse => {
                return Err(ExplicitError::Inexpressible);
            }
            Expressed::Wider(attributes) => attributes,
        };
        let page = self.table.geometry().page_size();
        let aligned = [iova.get(), at.get(), bytes]
            .iter()
            .all(|value| value.is_multiple_of(page));
        let fits = iova
            .checked_add(bytes)
            .is_some_and(|past| past.get() <= self.table.geometry().input_size());
        if !aligned || !fits || at.checked_add(bytes).is_none() {
            return Err(ExplicitError::BadRun);
        }

        let mut done = 0;
        while done < bytes {
            let step = self.map_page(work, iova, at, done, page, attributes);
            if let Err(error) = step {
                self.remove(work, iova, done)?;
                return Err(error);
            }
            done += page;
        }
        work.host.iommu.publish(self.context);
        Ok(())
    }

    fn map_page(
        &mut self,
        work: &mut Work<'_, '_>,
        iova: Iova,
        at: Ipa,
        done: u64,
        page: u64,
        attributes: crate::iommu::HostAttributes,
    ) -> Result<(), ExplicitError> {
        let (frame, memory) = at
            .checked_add(done)
            .and_then(|at| work.behind(at))
            .ok_or(ExplicitError::NotOwned)?;
        work.pin(frame).map_err(|_| ExplicitError::NotOwned)?;
        let run = Run {
            input: iova.get() + done,
            output: frame.base(),
            bytes: page,
        };
        match self.table.map(work.host.frames, run, attributes.of(memory)) {
            Ok(()) => {
                work.counters.pages_mapped += 1;
                if run.input != run.output.get() {
                    work.counters.translations_moved += 1;
                }
                Ok(())
            }
            Err(error) => {
                work.unpin(frame);
                Err(match error {
                    MapError::BadRun => ExplicitError::BadRun,
                    MapError::Occupied { .. } => ExplicitError::Occupied,
                    MapError::NoFrames { .. } => {
                        work.out_of_memory();
                        ExplicitError::OutOfMemory
                    }
                })
            }
        }
    }

    /// Takes `bytes` bytes from `iova` on back, whatever of them is mapped, and returns when no
    /// device can reach them.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) fn unmap(
        &mut self,
        work: &mut Work<'_, '_>,
        iova: Iova,
        bytes: u64,
    ) -> Result<(), ExplicitError> {
        if self.source != Source::Explicit {
            return Err(ExplicitError::NotExplicit);
        }
        self.remove(work, iova, bytes)
    }

    fn remove(
        &mut self,
        work: &mut Work<'_, '_>,
        iova: Iova,
        bytes: u64,
    ) -> Result<(), ExplicitError> {
        let cleared = self.table.clear(work.host.frames, iova.get(), bytes);
        let pages = cleared.map_err(|error| match error {
            EditError::BadRun | EditError::Block => ExplicitError::BadRun,
            EditError::NoFrames => ExplicitError::OutOfMemory,
        })?;
        if pages > 0 {
            self.add_stale(Stale::new(iova, bytes, false));
        }
        Ok(self.settle(work)?)
    }
}
