//! Context descriptors: one frame of 256, whose index is the tag (ASID).

use hv_core::addr::{FRAME_WORDS, Pa};
use hv_core::table::Geometry;
use hv_core::{Frame, addr};

use super::Io;
use super::spec::{ContextDescriptor, ENTRY_WORDS};
use crate::iommu::{AttachError, ContextId};

/// Descriptors in the frame; number 0 is not used. 8 bits of tag are what every SMMU has (IHI 0070
/// 6.3.1, ASID16). Past them no space can be opened, and the stream that wanted one stays blocked.
const CONTEXTS: usize = FRAME_WORDS / ENTRY_WORDS;

pub(super) struct Contexts {
    frame: Frame,
    used: [bool; CONTEXTS],
    output_size: u32,
}

impl Contexts {
    pub(super) fn new(frame: Frame, output_size: u32) -> Self {
        let mut used = [false; CONTEXTS];
        used[0] = true;
        Self {
            frame,
            used,
            output_size,
        }
    }

    pub(super) fn open(
        &mut self,
        io: &Io<'_>,
        root: Frame,
        geometry: &Geometry,
    ) -> Result<ContextId, AttachError> {
        // A root of up to 11 index bits per level, 16 KiB pages, T0SZ 16 to 39 (5.4).
        let bits = geometry.input_bits();
        let shape = geometry.granule_shift() == addr::FRAME_SHIFT && (25..=48).contains(&bits);
        if !shape || geometry.root_order() != 0 {
            return Err(AttachError::Unsupported);
        }
        let free = self
            .used
            .iter()
            .position(|used| !used)
            .ok_or(AttachError::NoContext)?;
        let id = u16::try_from(free).map_err(|_| AttachError::NoContext)?;
        let words = ContextDescriptor {
            input_bits: bits,
            output_size: self.output_size,
            asid: id,
            root: root.base(),
        }
        .words();
        for (index, &word) in words.iter().enumerate().skip(1) {
            io.frames
                .store(self.frame, free * ENTRY_WORDS + index, word);
        }
        // No stream names it yet, so nothing can have cached it: no command is needed.
        io.fence.stores();
        io.frames.store(self.frame, free * ENTRY_WORDS, words[0]);
        io.fence.stores();
        self.used[free] = true;
        Ok(ContextId(id))
    }

    /// Makes the descriptor invalid in memory.
    pub(super) fn invalidate(&self, io: &Io<'_>, context: ContextId) {
        io.frames
            .store(self.frame, usize::from(context.0) * ENTRY_WORDS, 0);
    }

    /// The SMMU has forgotten it: the number may be used again.
    pub(super) fn release(&mut self, context: ContextId) {
        if let Some(used) = self.used.get_mut(usize::from(context.0)) {
            *used = false;
        }
    }

    pub(super) fn asid(context: ContextId) -> u16 {
        context.0
    }

    pub(super) fn address(&self, context: ContextId) -> Pa {
        let bytes = u64::from(context.0) * (ENTRY_WORDS * 8) as u64;
        Pa::new(self.frame.base().get() + bytes)
    }
}
