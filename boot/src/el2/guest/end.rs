//! The end of a guest: devices first, then translations, then memory; and what was counted.

use core::sync::atomic::Ordering;

use dart_virt::Counters;
use guest_abi::summary::{Outcome, Reason, Summary};
use hv_core::Frame;
use hv_core::addr::FRAME_SHIFT;
use hv_core::arch::aarch64::{core as cpu, guest as vcpu};
use hv_core::ownership::Owner;
use log::{error, info, warn};

use super::super::allocator::FRAMES;
use super::super::pci::renew;
use super::super::sentence::Sentence;
use super::super::{console, cores, failure, platform, start};
use super::devices::take_messages;
use super::{Guest, current, stage2};

/// How often the host IOMMU is asked for its last faults: often enough to empty its queue.
const LAST_DRAINS: usize = 16;

/// Ends the run: called on any core. Other vCPUs are called out first.
pub(in crate::el2) fn end(guest: &'static Guest, outcome: Outcome, reason: Option<Reason>) -> ! {
    // Before the look at `ending`: a core that starts the guest anew clears that first, and looks for this after.
    guest.doom.lock().get_or_insert_with(|| (outcome, reason));
    if guest.ending.swap(true, Ordering::SeqCst) {
        guest.leave()
    }
    let run_us =
        cpu::microseconds(cpu::ticks().saturating_sub(guest.entered.load(Ordering::Relaxed)));
    if !guest.stop() {
        error!("not every vCPU of the guest came out when it was called");
    }
    guest.bus.lock().silence(&guest.config_space);
    if let Err(why) = guest.reset_functions() {
        error!("{why}");
    }
    stage2::empty(guest);
    // What devices were stopped at and nobody asked for is counted too.
    for _ in 0..LAST_DRAINS {
        guest.with_dma(|dart, host| dart.drain_faults(host));
    }
    if let Err(leftover) = guest.with_dma(|dart, host| dart.shutdown(host)) {
        error!("the guest's DMA could not be shut down: {leftover}; its memory stays out of use");
    }
    if let Err(why) = take_messages(guest.from, guest.messages) {
        error!("{why}");
    }
    take_back_memory(guest);
    let counted = (guest.dma_counters(), guest.dma.lock().iommu.lost());
    report(guest, counted, outcome, reason, run_us)
}

/// How long vCPUs may take to come out when they are called, in microseconds.
const OUT_WITHIN: u64 = 1_000_000;

impl Guest {
    /// Brings its functions back to where they were at the start, so that nothing they had begun goes on.
    pub(super) fn reset_functions(&self) -> Result<(), Sentence> {
        self.routes
            .iter()
            .try_for_each(|route| renew(&self.config_space, &self.found, route.function))
    }

    /// Has every vCPU come out and stay out, the calling one included, and takes the guest off the machine's lines.
    /// `false`: not all of them came.
    pub(super) fn stop(&'static self) -> bool {
        if let Some(vcpu) = self.own_vcpu() {
            vcpu::stop_timers();
            self.let_go(vcpu);
            self.inside.fetch_and(!(1 << vcpu), Ordering::SeqCst);
        }
        cores::forget_orders(self);
        let since = cpu::ticks();
        let mut out = true;
        while out && self.inside.load(Ordering::SeqCst) != 0 {
            // Again and again: one that was about to enter says so first, and looks at `ending` after.
            self.kick_others();
            out = cpu::microseconds(cpu::ticks().saturating_sub(since)) <= OUT_WITHIN;
        }
        self.release_lines();
        cores::this().rest();
        out
    }
}

/// Guest RAM goes back to Oche and joins the pool, which clears each frame before it gives it out: only where no device
/// can reach it any more.
fn take_back_memory(guest: &Guest) {
    let range = guest.ram.host();
    let (first, count) = (
        Frame::containing(range.start()),
        range.size() >> FRAME_SHIFT,
    );
    match guest
        .ownership
        .transfer_run(first, count, Owner::Guest(guest.id), Owner::Hypervisor)
    {
        // SAFETY: every frame was the guest's, unpinned, and is Oche's now; stage 2 no longer maps it.
        Ok(()) => unsafe { FRAMES.release(range) },
        Err((frame, why)) => error!("frame {frame:?} of the guest cannot be taken back: {why}"),
    }
}

/// Stops the guest after a failure of Oche's own: a vCPU that comes out stays out, and there is no memory to run in.
pub(in crate::el2) fn forsake() {
    if let Some(guest) = current() {
        guest.ending.store(true, Ordering::Release);
        stage2::revoke(guest);
    }
}

/// Ends the run after a failure of Oche's own, touching as little as possible.
pub(in crate::el2) fn give_up(outcome: Outcome, reason: Reason) -> ! {
    match current() {
        Some(guest) => {
            let elapsed = cpu::ticks().saturating_sub(guest.entered.load(Ordering::Relaxed));
            let counted = failure::reach(&guest.dma)
                .map(|dma| (dma.dart.counters(), dma.iommu.lost()))
                .unwrap_or_default();
            let run_us = cpu::microseconds(elapsed);
            report(guest, counted, outcome, Some(reason), run_us)
        }
        None => platform::current().power_off(),
    }
}

fn report(
    guest: &Guest,
    (dma, lost): (Counters, u64),
    outcome: Outcome,
    reason: Option<Reason>,
    run_us: u64,
) -> ! {
    let userspace = guest.userspace.load(Ordering::Relaxed);
    let summary = Summary {
        outcome,
        reason,
        restarts: guest.restarts.load(Ordering::Relaxed),
        exits: guest.counters.exits(),
        flushes: dma.flushes,
        pages_mapped: dma.pages_mapped,
        pages_unmapped: dma.pages_unmapped,
        pages_pinned: dma.pages_pinned,
        pages_pinned_peak: dma.pages_pinned_peak,
        translations_moved: dma.translations_moved,
        leaves_refused: dma.leaves_refused,
        leaves_widened: dma.leaves_widened,
        tables: dma.tables,
        tables_peak: dma.tables_peak,
        tables_refused: dma.tables_refused,
        out_of_memory: dma.out_of_memory,
        faults: dma.faults,
        faults_unshown: dma.faults_unshown,
        faults_stray: dma.faults_stray,
        faults_lost: lost,
        targets_changed: guest.targets_changed(),
        frames_total: FRAMES.total(),
        frames_free_at_start: guest.frames_free_at_start,
        frames_free_at_end: FRAMES.free_frames(),
        boot_us: start::since_entry(guest.entered.load(Ordering::Relaxed)),
        userspace_us: (userspace != 0).then(|| cpu::microseconds(userspace)),
        run_us,
        vcpus: guest.affinities.len() as u64,
        guards_out: guest.guards_out,
    };
    if summary.frames_free_at_end != summary.frames_free_at_start {
        warn!(
            "{} frames were free before the guest, {} after it",
            summary.frames_free_at_start, summary.frames_free_at_end
        );
    }
    match &summary.reason {
        Some(reason) => info!("{:?}: {reason}", summary.outcome),
        None => info!("{:?} after {} ms", summary.outcome, run_us / 1000),
    }
    console::summary(guest.from.run.token, &summary);
    guest.platform.power_off()
}
