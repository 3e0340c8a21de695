//! A host IOMMU that keeps a TLB.

extern crate std;

use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use hv_core::frames::Frames;
use hv_core::frames::test_arena::TestArena;
use hv_core::ownership::Ownership;
use hv_core::table::{Entry, Format, Geometry};
use hv_core::{Frame, Iova, Pa};

use super::{GUEST, PAGE};
use crate::iommu::{
    AttachError, ContextId, HostFault, HostFaultKind, HostFormat, HostIommu, HostStream, Hung,
    Quiet, Stale,
};

/// What the IOMMU was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Open(ContextId),
    Attach(HostStream, ContextId),
    Deny(HostStream),
    Invalidate(ContextId),
    Publish(ContextId),
    Close(ContextId),
    #[cfg(feature = "guards-out")]
    Bypass(HostStream),
}

/// A host IOMMU with the greediest possible TLB: it remembers every translation that it could have
/// made, until it is told to forget it, and checks that whatever it remembers is still pinned.
pub(crate) struct MockIommu {
    pub(super) arena: &'static TestArena,
    pub(super) ownership: Ownership<'static>,
    pub(super) contexts: BTreeMap<ContextId, (Frame, Geometry)>,
    pub(super) streams: BTreeMap<HostStream, Option<ContextId>>,
    pub(super) tlb: BTreeMap<(ContextId, u64), (Frame, bool)>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) faults: VecDeque<HostFault>,
    pub(crate) lost: u64,
    /// After so many more calls it does not answer any more.
    pub(crate) hang_after: Option<usize>,
    pub(super) next: u16,
    /// Frames that need not be pinned, because a guard is out.
    pub(crate) unguarded: bool,
}

impl MockIommu {
    fn answers(&mut self) -> Result<(), Hung> {
        match self.hang_after.as_mut() {
            None => Ok(()),
            Some(0) => Err(Hung),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// Remembers everything that the tables say now.
    pub(crate) fn warm(&mut self) {
        let mut found = Vec::new();
        for (&context, &(root, geometry)) in &self.contexts {
            self.visit(root, &geometry, 0, 0, &mut |page, leaf| {
                found.push(((context, page), leaf))
            });
        }
        for (key, leaf) in found {
            let known = *self.tlb.entry(key).or_insert(leaf);
            assert_eq!(
                known, leaf,
                "{key:?}: valid to valid without an invalidation in between"
            );
        }
    }

    fn visit(
        &self,
        table: Frame,
        geometry: &Geometry,
        level: usize,
        base: u64,
        found: &mut impl FnMut(u64, (Frame, bool)),
    ) {
        for index in 0..geometry.entries(level) {
            let word = self.arena.load(table, index);
            let input = base + ((index as u64) << geometry.shift(level));
            match self.format().decode(word, geometry.is_last(level)) {
                Entry::Invalid => {}
                Entry::Table(next) => {
                    self.visit(Frame::containing(next), geometry, level + 1, input, found);
                }
                Entry::Leaf { output, attributes } => {
                    found(
                        input,
                        (Frame::containing(output), attributes.access().write),
                    );
                }
            }
        }
    }

    /// Nothing that a device may still go through has lost its pin.
    pub(crate) fn check_pins(&self) {
        for (key, (frame, _)) in &self.tlb {
            let ram = self.ownership.state(*frame).map(|state| state.pins);
            let registers = || self.ownership.register_pins(*frame, GUEST);
            let pins = ram.or_else(registers).unwrap_or(0);
            assert!(
                pins > 0 || self.unguarded,
                "{key:?} leads to {frame:?}, which is not pinned"
            );
        }
    }

    /// A device reads or writes: where it arrives, or a fault is queued.
    pub(crate) fn access(&mut self, stream: HostStream, iova: u64, write: bool) -> Option<Pa> {
        let context = self.streams.get(&stream).copied().flatten();
        self.warm();
        let page = iova & !(PAGE - 1);
        let found = context.and_then(|context| self.tlb.get(&(context, page)).copied());
        let kind = match found {
            Some((frame, writable)) if writable || !write => {
                return frame.base().checked_add(iova - page);
            }
            Some(_) => HostFaultKind::Permission,
            None if context.is_none() => HostFaultKind::NoStream,
            None => HostFaultKind::Translation,
        };
        self.faults.push_back(HostFault {
            stream,
            iova: Iova::new(iova),
            write,
            kind,
        });
        None
    }
}

impl HostIommu for MockIommu {
    fn format(&self) -> HostFormat {
        HostFormat::VmsaStage1
    }

    fn open(&mut self, root: Frame, geometry: &Geometry) -> Result<ContextId, AttachError> {
        let context = ContextId(self.next);
        self.next += 1;
        self.asked.push(Asked::Open(context));
        self.contexts.insert(context, (root, *geometry));
        Ok(context)
    }

    fn attach(&mut self, stream: HostStream, context: ContextId) -> Result<(), AttachError> {
        self.asked.push(Asked::Attach(stream, context));
        self.answers()?;
        assert!(
            self.contexts.contains_key(&context),
            "attached to a context that is closed"
        );
        self.streams.insert(stream, Some(context));
        Ok(())
    }

    fn deny(&mut self, stream: HostStream) -> Result<(), Hung> {
        self.asked.push(Asked::Deny(stream));
        self.answers()?;
        self.streams.insert(stream, None);
        Ok(())
    }

    fn invalidate(&mut self, context: ContextId, stale: Stale) -> Result<Quiet, Stale> {
        self.asked.push(Asked::Invalidate(context));
        self.check_pins();
        if self.answers().is_err() {
            return Err(stale);
        }
        let past = stale.first().get() + stale.bytes();
        self.tlb
            .retain(|&(of, page), _| of != context || page < stale.first().get() || page >= past);
        self.warm();
        Ok(Quiet::confirmed())
    }

    fn publish(&mut self, context: ContextId) {
        self.asked.push(Asked::Publish(context));
    }

    fn close(&mut self, context: ContextId) -> Result<Quiet, Hung> {
        self.asked.push(Asked::Close(context));
        self.check_pins();
        self.answers()?;
        let in_use = self.streams.values().any(|&of| of == Some(context));
        assert!(!in_use, "closed while a stream goes through it");
        self.contexts.remove(&context);
        self.tlb.retain(|&(of, _), _| of != context);
        Ok(Quiet::confirmed())
    }

    fn next_fault(&mut self) -> Option<HostFault> {
        self.faults.pop_front()
    }

    fn lost(&self) -> u64 {
        self.lost
    }

    #[cfg(feature = "guards-out")]
    fn bypass(&mut self, stream: HostStream) -> Result<(), AttachError> {
        self.asked.push(Asked::Bypass(stream));
        Ok(())
    }
}
