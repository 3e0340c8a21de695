//! Configuration space of one function, as a guest sees it.

use arrayvec::ArrayVec;

use super::virtual_capability::VirtualCapabilities;
use super::{
    Bar, ConfigEffect, ConfigEffects, Function, HostFunction, Identity, Path, Window, command,
    offset,
};
use crate::addr::Ipa;

/// What of the command register reaches the device; the rest reads as zero and ignores writes.
const COMMAND_MASK: u16 = command::MEMORY | command::BUS_MASTER | command::INTERRUPT_DISABLE;
/// Bit 4 of the status register, in its word: there is a list of capabilities.
const HAS_LIST: u32 = 1 << 20;

/// A BAR as a guest sees it: it reads what it is, or its size after all ones were written.
#[derive(Clone, Debug)]
struct VirtualBar {
    bar: Bar,
    ipa: Ipa,
    /// Did the guest write all ones to the word last, low and high?
    sizing: [bool; 2],
}

/// One function of a guest's bus: the only one of its device.
#[derive(Clone, Debug)]
pub(super) struct VirtualFunction {
    guest: Function,
    host: Function,
    /// The bridges above it on the machine.
    path: Path,
    identity: Identity,
    command: u16,
    pin: u8,
    /// Plain storage for the guest: nobody else reads it.
    line: u8,
    bars: ArrayVec<VirtualBar, 6>,
    capabilities: VirtualCapabilities,
}

impl VirtualFunction {
    /// The machine's function `host` at the address `guest`, with its BARs at `ipas`, one for each,
    /// in their order. Without `messages` it has no capabilities.
    pub(super) fn new(host: &HostFunction, guest: Function, ipas: &[Ipa], messages: bool) -> Self {
        let bars = host.bars.iter().zip(ipas).map(|(bar, ipa)| VirtualBar {
            bar: *bar,
            ipa: *ipa,
            sizing: [false; 2],
        });
        Self {
            guest,
            host: host.function,
            path: host.path.clone(),
            identity: host.identity,
            command: 0,
            pin: host.pin,
            line: 0,
            bars: bars.collect(),
            capabilities: VirtualCapabilities::new(&host.capabilities, messages),
        }
    }

    /// Its address on the guest's bus.
    pub(super) fn guest(&self) -> Function {
        self.guest
    }

    /// Its address on the machine's.
    pub(super) fn host(&self) -> Function {
        self.host
    }

    /// What stage 2 must map for it.
    pub(super) fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        self.bars.iter().map(|virtual_bar| Window {
            ipa: virtual_bar.ipa,
            pa: virtual_bar.bar.pa,
            size: virtual_bar.bar.span(),
        })
    }

    /// A load of the word at `at`, which is below 0x1000.
    pub(super) fn read(&self, at: u16) -> u32 {
        match at {
            offset::IDENTITY => self.identity.device,
            // Of status, whether there are capabilities: no errors to be cleared.
            offset::COMMAND if self.capabilities.first() != 0 => HAS_LIST | u32::from(self.command),
            offset::COMMAND => u32::from(self.command),
            offset::CLASS => self.identity.class,
            offset::SUBSYSTEM => self.identity.subsystem,
            offset::CAPABILITIES => u32::from(self.capabilities.first()),
            offset::INTERRUPT => u32::from_le_bytes([self.line, self.pin, 0, 0]),
            0x10..0x28 => self.bar_at(at).map_or(0, |(bar, half)| bar.read(half)),
            0x40..0x100 => self.capabilities.read(at),
            // Header type 0 of one function, no ROM, no extended space.
            _ => 0,
        }
    }

    /// A store to the word at `at`. Bit *n* of `lanes` says that byte *n* is stored; the others of
    /// `value` are what the word reads.
    pub(super) fn write(&mut self, at: u16, value: u32, lanes: u8, effects: &mut ConfigEffects) {
        match at {
            offset::COMMAND if lanes & 0b11 != 0 => {
                let [low, high, ..] = value.to_le_bytes();
                self.command = u16::from_le_bytes([low, high]) & COMMAND_MASK;
                if self.command & command::BUS_MASTER != 0 {
                    for bridge in &self.path {
                        effects.push(ConfigEffect::LetUp { bridge: *bridge });
                    }
                }
                effects.push(ConfigEffect::SetCommand {
                    function: self.host,
                    command: self.command,
                });
            }
            offset::INTERRUPT => [self.line, ..] = value.to_le_bytes(),
            0x10..0x28 => {
                if let Some((index, half)) = self.bar_index(at) {
                    self.bars[index].write(half, value);
                }
            }
            0x40..0x100 => {
                if let Some(forward) = self.capabilities.write(at, value) {
                    effects.push(ConfigEffect::SetWord {
                        function: self.host,
                        offset: forward.offset,
                        value: forward.value,
                    });
                }
            }
            _ => {}
        }
    }

    /// The BAR whose word this is, by its place in the list, and which of its words.
    fn bar_index(&self, at: u16) -> Option<(usize, usize)> {
        let word = at.checked_sub(offset::BARS)? / 4;
        self.bars
            .iter()
            .enumerate()
            .find_map(|(index, virtual_bar)| {
                let half = usize::from(word.checked_sub(u16::from(virtual_bar.bar.index))?);
                (half == 0 || half == 1 && virtual_bar.bar.wide).then_some((index, half))
            })
    }

    fn bar_at(&self, at: u16) -> Option<(&VirtualBar, usize)> {
        let (index, half) = self.bar_index(at)?;
        Some((&self.bars[index], half))
    }
}

impl VirtualBar {
    /// What the word reads: a half of the address, or of the mask that tells the size.
    ///
    /// The size that is told is that of the device. Its pages are its own all the same.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "one half of the number is wanted"
    )]
    fn read(&self, half: usize) -> u32 {
        let number = if self.sizing[half] {
            self.bar.size.wrapping_neg()
        } else {
            self.ipa.get()
        };
        match half {
            0 => number as u32 & !0xf | self.kind(),
            _ => (number >> 32) as u32,
        }
    }

    /// A BAR never moves: anything but all ones leaves it showing where it is.
    fn write(&mut self, half: usize, value: u32) {
        let writable = if half == 0 { !0xf } else { u32::MAX };
        self.sizing[half] = value & writable == writable;
    }

    fn kind(&self) -> u32 {
        u32::from(self.bar.wide) << 2 | u32::from(self.bar.prefetchable) << 3
    }
}
