//! The machine's side: find the functions, silence them, give their BARs places.

use arrayvec::ArrayVec;

use super::{Function, command, offset};
use crate::addr::{FRAME_SIZE, Pa};

/// Functions that are kept. One more is silenced like the rest, counted and given to nobody.
pub const MAX_FUNCTIONS: usize = 32;

/// Configuration space of bus 0. `offset` is a multiple of four below 0x1000. A function that is
/// not there reads all ones.
pub trait ConfigSpace {
    /// Reads one word.
    fn read32(&self, function: Function, offset: u16) -> u32;
    /// Writes one word.
    fn write32(&self, function: Function, offset: u16, value: u32);
}

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

/// The windows in which memory BARs can be placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostWindows {
    /// For 32-bit BARs.
    pub low: Option<HostWindow>,
    /// For 64-bit BARs; where there is none they go to the other.
    pub high: Option<HostWindow>,
}

/// A memory BAR in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Which of the six words it starts in.
    pub index: u8,
    /// Where it is.
    pub pa: Pa,
    /// Bytes that the device decodes: a power of two. The pages it lies on are its own.
    pub size: u64,
    /// Does it take two words?
    pub wide: bool,
    /// May reads be repeated and merged?
    pub prefetchable: bool,
}

impl Bar {
    /// Bytes from the BAR's start to the end of its last page of 16 KiB.
    pub const fn span(&self) -> u64 {
        if self.size < FRAME_SIZE {
            FRAME_SIZE
        } else {
            self.size
        }
    }
}

/// Those words of a header that a guest is shown as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device and vendor.
    pub device: u32,
    /// Class and revision.
    pub class: u32,
    /// Subsystem and its vendor.
    pub subsystem: u32,
}

impl Identity {
    /// The vendor of virtio devices (virtio 1.2, 4.1.2).
    const VIRTIO: u32 = 0x1af4;

    /// May the function's DMA go round the IOMMU that the device tree names? A virtio device without
    /// `VIRTIO_F_ACCESS_PLATFORM` does (virtio 1.2, 6.1), and the guest chooses whether to accept that feature.
    pub fn bypasses_iommu(&self) -> bool {
        self.device & 0xffff == Self::VIRTIO
    }
}

/// A function that Oche found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFunction {
    /// Its address.
    pub function: Function,
    /// What it is.
    pub identity: Identity,
    /// Its memory BARs that found a place.
    pub bars: ArrayVec<Bar, 6>,
    /// Which of the pins INTA to INTD (1 to 4) it pulls; 0 for none.
    pub pin: u8,
}

/// What is on bus 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bus {
    /// The functions that can be given to a guest.
    pub functions: ArrayVec<HostFunction, MAX_FUNCTIONS>,
    /// Bridges. What is behind them is neither looked at nor given to anybody.
    pub bridges: usize,
    /// Functions beyond [`MAX_FUNCTIONS`].
    pub left_out: usize,
    /// Memory BARs for which there was no place in any window.
    pub bars_unplaced: usize,
}

impl Bus {
    /// The function at this address.
    pub fn find(&self, function: Function) -> Option<&HostFunction> {
        self.functions
            .iter()
            .find(|candidate| candidate.function == function)
    }
}

/// Looks at every function of bus 0, takes its bus mastership, memory and I/O away, and places its
/// memory BARs. I/O BARs stay as they are and disabled.
pub fn enumerate(config: &impl ConfigSpace, windows: &HostWindows) -> Bus {
    let mut bus = Bus::default();
    let mut places = Places {
        low: Place::new(windows.low),
        high: Place::new(windows.high),
    };
    for device in 0..32 {
        for number in 0..8 {
            let Some(function) = Function::new(device, number) else {
                continue;
            };
            let identity = config.read32(function, offset::IDENTITY);
            // Vendor 0xffff: nobody answered (PCI Local Bus 3.0, 6.2.1).
            if identity & 0xffff == 0xffff {
                if number == 0 {
                    break;
                }
                continue;
            }
            silence(config, function);
            let header = config.read32(function, offset::HEADER) >> 16 & 0xff;
            match header & 0x7f {
                0 => keep(config, &mut bus, &mut places, function, identity),
                _ => bus.bridges = bus.bridges.saturating_add(1),
            }
            // Bit 7 of function 0's header type says whether there are others.
            if number == 0 && header & 0x80 == 0 {
                break;
            }
        }
    }
    bus
}

/// Writes a function's command register. The status register in the upper half is write-one-to-
/// clear, so nothing of it changes.
pub fn set_command(config: &impl ConfigSpace, function: Function, command: u16) {
    config.write32(function, offset::COMMAND, u32::from(command));
}

/// Lets a function do nothing any more: no DMA, no answer at its BARs, no interrupt.
pub fn silence(config: &impl ConfigSpace, function: Function) {
    set_command(config, function, command::INTERRUPT_DISABLE);
}

fn keep(
    config: &impl ConfigSpace,
    bus: &mut Bus,
    places: &mut Places,
    function: Function,
    identity: u32,
) {
    if bus.functions.is_full() {
        bus.left_out = bus.left_out.saturating_add(1);
        return;
    }
    let [_, pin, ..] = config.read32(function, offset::INTERRUPT).to_le_bytes();
    let mut found = HostFunction {
        function,
        identity: Identity {
            device: identity,
            class: config.read32(function, offset::CLASS),
            subsystem: config.read32(function, offset::SUBSYSTEM),
        },
        bars: ArrayVec::new(),
        pin: if pin <= 4 { pin } else { 0 },
    };
    let mut index = 0;
    while index < 6 {
        let sized = size(config, function, index);
        if let Some(mut bar) = sized.memory {
            match places.take(&bar) {
                Some((bus_address, pa)) => {
                    bar.pa = pa;
                    program(config, function, &bar, bus_address);
                    // Six words hold at most six BARs.
                    let _ = found.bars.try_push(bar);
                }
                None => bus.bars_unplaced = bus.bars_unplaced.saturating_add(1),
            }
        }
        index += sized.words;
    }
    let _ = bus.functions.try_push(found);
}

/// What sizing a BAR found, and how many words it takes.
struct Sized {
    memory: Option<Bar>,
    words: u8,
}

fn bar_offset(index: u8) -> u16 {
    offset::BARS + 4 * u16::from(index)
}

/// Writes all ones and sees which bits stick (PCI Local Bus 3.0, 6.2.5.1). Memory decoding is off.
fn size(config: &impl ConfigSpace, function: Function, index: u8) -> Sized {
    let probe = |index| {
        let at = bar_offset(index);
        let before = config.read32(function, at);
        config.write32(function, at, u32::MAX);
        let mask = config.read32(function, at);
        config.write32(function, at, before);
        mask
    };
    let low = probe(index);
    let wide = low & 0b111 == 0b100 && index < 5;
    let words = if wide { 2 } else { 1 };
    if low == 0 || low & 1 != 0 {
        return Sized {
            memory: None,
            words: 1,
        };
    }
    let high = if wide { probe(index + 1) } else { u32::MAX };
    let mask = u64::from(high) << 32 | u64::from(low & !0xf);
    // The lowest bit that sticks is the size. None does: not a BAR that could be used.
    let size = mask & mask.wrapping_neg();
    let memory = (size != 0).then_some(Bar {
        index,
        pa: Pa::new(0),
        size,
        wide,
        prefetchable: low & 1 << 3 != 0,
    });
    Sized { memory, words }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves of the address are written"
)]
fn program(config: &impl ConfigSpace, function: Function, bar: &Bar, address: u64) {
    config.write32(function, bar_offset(bar.index), address as u32);
    if bar.wide {
        config.write32(function, bar_offset(bar.index + 1), (address >> 32) as u32);
    }
}

struct Places {
    low: Place,
    high: Place,
}

impl Places {
    /// The next place that suits a BAR, as bus address and physical address.
    fn take(&mut self, bar: &Bar) -> Option<(u64, Pa)> {
        let high = if bar.wide {
            self.high.take(bar, u64::MAX)
        } else {
            None
        };
        high.or_else(|| self.low.take(bar, u64::from(u32::MAX)))
    }
}

/// A window and how much of it is used.
struct Place {
    window: Option<HostWindow>,
    used: u64,
}

impl Place {
    fn new(window: Option<HostWindow>) -> Self {
        Self { window, used: 0 }
    }

    /// A BAR must be aligned to its size on the bus; its pages must be its own where the processor
    /// sees them. `last` is the highest bus address that it can hold.
    fn take(&mut self, bar: &Bar, last: u64) -> Option<(u64, Pa)> {
        let window = self.window?;
        let span = bar.span();
        let bus = window
            .bus
            .checked_add(self.used)?
            .checked_next_multiple_of(span)?;
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
}
