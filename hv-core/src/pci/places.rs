//! The host bridge's windows, and who gets which part of them.

use super::Bar;
use crate::addr::Pa;

/// The granule of a bridge's memory windows (PCI-to-PCI Bridge 1.2, 3.2.5.8).
pub(super) const BRIDGE_GRANULE: u64 = 1 << 20;

/// A window of the host bridge: `size` bytes from `bus` on as the bus counts, from `pa` on as the
/// processor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostWindow {
    /// The first bus address.
    pub bus: u64,
    /// The first physical address.
    pub pa: Pa,
    /// Bytes.
    pub size: u64,
}

/// The windows in which BARs can be placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostWindows {
    /// For 32-bit memory BARs.
    pub low: Option<HostWindow>,
    /// For 64-bit memory BARs; where there is none they go to the other.
    pub high: Option<HostWindow>,
    /// For I/O BARs, which only a device of Oche's own gets.
    pub io: Option<HostWindow>,
}

/// A window and how much of it is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    window: Option<HostWindow>,
    used: u64,
}

impl Place {
    pub(super) fn new(window: Option<HostWindow>) -> Self {
        Self { window, used: 0 }
    }

    /// The first bus address that is not used.
    fn next(&self) -> Option<u64> {
        self.window?.bus.checked_add(self.used)
    }

    /// Bytes that are left.
    fn room(&self) -> u64 {
        self.window
            .map_or(0, |window| window.size.saturating_sub(self.used))
    }

    /// A BAR must be aligned to its size on the bus; its pages must be its own where the processor
    /// sees them. `last` is the highest bus address that it can hold.
    fn take(&mut self, bar: &Bar, last: u64) -> Option<(u64, Pa)> {
        let window = self.window?;
        let span = bar.span();
        let bus = self.next()?.checked_next_multiple_of(span)?;
        let offset = bus.checked_sub(window.bus)?;
        let pa = window.pa.checked_add(offset)?;
        let used = offset.checked_add(span)?;
        let fits = used <= window.size && bus.checked_add(span - 1)? <= last;
        if !fits || !pa.is_frame_aligned() {
            return None;
        }
        self.used = used;
        Some((bus, pa))
    }

    /// Uses what is missing up to the next granule of a bridge; the bus address there.
    fn align(&mut self) -> Option<u64> {
        let window = self.window?;
        let bus = self.next()?.checked_next_multiple_of(BRIDGE_GRANULE)?;
        let used = bus.checked_sub(window.bus)?;
        if used >= window.size {
            return None;
        }
        self.used = used;
        Some(bus)
    }
}

/// What a bridge passes down: from the first address up to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What is left of the windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    low: Place,
    high: Place,
}

/// The places as they were when a bridge was entered.
pub(super) struct Entered {
    before: Places,
    low: Option<u64>,
    high: Option<u64>,
}

impl Places {
    pub(super) fn new(windows: &HostWindows) -> Self {
        Self {
            low: Place::new(windows.low),
            high: Place::new(windows.high),
        }
    }

    /// The next place that suits a BAR, as bus address and physical address. A bridge passes high
    /// addresses only as prefetchable ones (PCI-to-PCI Bridge 1.2, 3.2.5.9).
    pub(super) fn take(&mut self, bar: &Bar, behind_bridge: bool) -> Option<(u64, Pa)> {
        let high = if bar.wide && (bar.prefetchable || !behind_bridge) {
            self.high.take(bar, u64::MAX)
        } else {
            None
        };
        high.or_else(|| self.low.take(bar, u64::from(u32::MAX)))
    }

    /// The most that is left for a BAR in one window.
    pub(super) fn room(&self, bar: &Bar, behind_bridge: bool) -> u64 {
        let high = if bar.wide && (bar.prefetchable || !behind_bridge) {
            self.high.room()
        } else {
            0
        };
        high.max(self.low.room())
    }

    /// From here on places are for what is behind a bridge. Where nothing can be aligned, or the
    /// bridge passes no high addresses, there is no place in that window.
    pub(super) fn enter(&mut self, passes_high: bool) -> Entered {
        let before = *self;
        let low = self.low.align();
        let high = if passes_high { self.high.align() } else { None };
        if low.is_none() {
            self.low.window = None;
        }
        if high.is_none() {
            self.high.window = None;
        }
        Entered { before, low, high }
    }

    /// What was taken since `enter`, in whole granules: low and high.
    pub(super) fn leave(&mut self, entered: &Entered) -> [Option<Passed>; 2] {
        let close = |now: &mut Place, before: Place, first: Option<u64>| {
            let taken = first.zip(now.next()).and_then(|(first, next)| {
                let end = next.checked_next_multiple_of(BRIDGE_GRANULE)?;
                (next > first).then_some((first, end))
            });
            let Some((first, end)) = taken else {
                *now = before;
                return None;
            };
            // May lie past the window's end: then nothing more finds a place.
            now.used = end.saturating_sub(before.window.map_or(0, |window| window.bus));
            Some(Passed {
                first,
                last: end - 1,
            })
        };
        [
            close(&mut self.low, entered.before.low, entered.low),
            close(&mut self.high, entered.before.high, entered.high),
        ]
    }
}
