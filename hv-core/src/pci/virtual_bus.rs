//! The guest's side: one flat bus, answered from memory.

use core::fmt;

use arrayvec::ArrayVec;

use super::virtual_function::VirtualFunction;
use super::{Bar, ConfigSpace, Function, HostFunction, MAX_DEPTH, command, set_command, silence};
use crate::addr::{Ipa, Pa};

/// Functions that a guest can have.
pub const MAX_VIRTUAL_FUNCTIONS: usize = 16;
/// What one store can ask for: three words, one of which may let all bridges above a function pass.
pub const MAX_EFFECTS: usize = MAX_DEPTH + 3;

/// One thing that a guest's store to configuration space asks of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigEffect {
    /// The function will master the bus: let this bridge above it pass what comes from below.
    LetUp {
        /// The machine's bridge.
        bridge: Function,
    },
    /// Write this to the function's command register.
    SetCommand {
        /// The machine's function.
        function: Function,
        /// The new value, filtered.
        command: u16,
    },
    /// Write this to a capability of the function.
    SetWord {
        /// The machine's function.
        function: Function,
        /// A multiple of four in its first 256 bytes.
        offset: u16,
        /// The new value, filtered.
        value: u32,
    },
}

/// All that a store asks for, in order.
#[must_use = "the machine has not been told yet"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigEffects(ArrayVec<ConfigEffect, MAX_EFFECTS>);

impl ConfigEffects {
    pub(super) fn push(&mut self, effect: ConfigEffect) {
        // There is room for what three words ask for.
        let _ = self.0.try_push(effect);
    }

    /// Does it.
    pub fn apply(&self, config: &impl ConfigSpace) {
        for effect in &self.0 {
            match *effect {
                ConfigEffect::LetUp { bridge } => {
                    let up = command::MEMORY | command::BUS_MASTER | command::INTERRUPT_DISABLE;
                    set_command(config, bridge, up);
                }
                ConfigEffect::SetCommand { function, command } => {
                    set_command(config, function, command);
                }
                ConfigEffect::SetWord {
                    function,
                    offset,
                    value,
                } => config.write32(function, offset, value),
            }
        }
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = ConfigEffect> + '_ {
        self.0.iter().copied()
    }
}

/// Guest-physical pages that lead to a BAR's own pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where the guest sees them.
    pub ipa: Ipa,
    /// Where they are.
    pub pa: Pa,
    /// Bytes, a multiple of 16 KiB.
    pub size: u64,
}

/// Why a guest's bus cannot be built. `Display` gives one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PciError {
    /// More than [`MAX_VIRTUAL_FUNCTIONS`].
    TooManyFunctions,
    /// One function is named twice.
    Twice(Function),
    /// The BARs do not fit in the guest's window.
    NoRoom(Function),
}

impl fmt::Display for PciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyFunctions => {
                write!(
                    f,
                    "the guest has more than {MAX_VIRTUAL_FUNCTIONS} PCI functions: give it fewer"
                )
            }
            Self::Twice(function) => {
                write!(
                    f,
                    "the guest is given PCI function {function} twice: name it once"
                )
            }
            Self::NoRoom(function) => write!(
                f,
                "the BARs of PCI function {function} do not fit in the guest's window: \
                 use a device with smaller ones"
            ),
        }
    }
}

impl core::error::Error for PciError {}

/// The bus that a guest sees.
#[derive(Clone, Debug)]
pub struct VirtualBus {
    functions: ArrayVec<VirtualFunction, MAX_VIRTUAL_FUNCTIONS>,
}

impl VirtualBus {
    /// A bus with these functions, their BARs placed in `room` bytes from `base` on. A guest's bus
    /// address is its physical address. Where the guest has no `messages` (MSI, MSI-X), functions
    /// have no capabilities.
    ///
    /// Each function is function 0 of a device of its own: of the machine's number if it is on bus
    /// 0 there, else of the next number from 1 on that is free.
    ///
    /// # Errors
    /// Too many functions, one twice, or too little room.
    pub fn new<'a>(
        functions: impl IntoIterator<Item = &'a HostFunction>,
        base: Ipa,
        room: u64,
        messages: bool,
    ) -> Result<Self, PciError> {
        let mut chosen = ArrayVec::<&HostFunction, MAX_VIRTUAL_FUNCTIONS>::new();
        for host in functions {
            if chosen.iter().any(|other| other.function == host.function) {
                return Err(PciError::Twice(host.function));
            }
            chosen
                .try_push(host)
                .map_err(|_| PciError::TooManyFunctions)?;
        }
        let mut bus = Self {
            functions: ArrayVec::new(),
        };
        let mut used = 0u64;
        for host in &chosen {
            let mut ipas = ArrayVec::<Ipa, 6>::new();
            for bar in &host.bars {
                let ipa =
                    place(base, room, &mut used, bar).ok_or(PciError::NoRoom(host.function))?;
                // A function has six BARs at most.
                let _ = ipas.try_push(ipa);
            }
            let guest = bus
                .address_for(host.function, &chosen)
                .ok_or(PciError::TooManyFunctions)?;
            let function = VirtualFunction::new(host, guest, &ipas, messages);
            bus.functions
                .try_push(function)
                .map_err(|_| PciError::TooManyFunctions)?;
        }
        Ok(bus)
    }

    /// Where `host` goes: functions that keep their number come before those that take any.
    fn address_for(&self, host: Function, chosen: &[&HostFunction]) -> Option<Function> {
        let keeps = |function: Function| function.bus() == 0 && function.function() == 0;
        if keeps(host) {
            return Some(host);
        }
        (1..32)
            .filter_map(|device| Function::new(device, 0))
            .find(|candidate| {
                let kept = chosen
                    .iter()
                    .any(|it| keeps(it.function) && it.function == *candidate);
                !kept && self.find(*candidate).is_none()
            })
    }

    /// What stage 2 must map, as device memory.
    pub fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        self.functions.iter().flat_map(VirtualFunction::windows)
    }

    /// The machine's functions on it.
    pub fn host_functions(&self) -> impl Iterator<Item = Function> + '_ {
        self.functions.iter().map(VirtualFunction::host)
    }

    /// Where the guest sees a function of the machine.
    pub fn guest_address(&self, host: Function) -> Option<Function> {
        let found = self.functions.iter().find(|it| it.host() == host)?;
        Some(found.guest())
    }

    /// Lets none of them do anything any more.
    pub fn silence(&self, config: &impl ConfigSpace) {
        self.host_functions()
            .for_each(|function| silence(config, function));
    }

    /// A load of `size` bytes (1 to 8) at `offset` in the bus's configuration space. A load may
    /// cross words; past the end of what is there it reads ones, like an absent function.
    pub fn read(&self, offset: u64, size: u8) -> u64 {
        let mut value = [0; 8];
        for (byte, index) in value.iter_mut().zip(0..u64::from(size)) {
            *byte = offset
                .checked_add(index)
                .map_or(0xff, |at| self.read_byte(at));
        }
        u64::from_le_bytes(value)
    }

    /// A store of `size` bytes (1, 2, 4 or 8). One that crosses a word is split.
    pub fn write(&mut self, offset: u64, size: u8, value: u64) -> ConfigEffects {
        let mut effects = ConfigEffects::default();
        let bytes = value.to_le_bytes();
        let mut done = 0;
        while done < usize::from(size.min(8)) {
            let Some(at) = u64::try_from(done)
                .ok()
                .and_then(|done| offset.checked_add(done))
            else {
                break;
            };
            let (word, first) = (at & !3, usize::from(at.to_le_bytes()[0] & 3));
            // This word's share of the store: to the end of the word, or of the store.
            let count = (4 - first).min(usize::from(size.min(8)) - done);
            let mut merged = self.read_word(word).to_le_bytes();
            merged[first..first + count].copy_from_slice(&bytes[done..done + count]);
            let lanes = ((1u8 << count) - 1) << first;
            self.write_word(word, u32::from_le_bytes(merged), lanes, &mut effects);
            done += count;
        }
        effects
    }

    fn find(&self, function: Function) -> Option<&VirtualFunction> {
        self.functions
            .iter()
            .find(|candidate| candidate.guest() == function)
    }

    fn read_byte(&self, at: u64) -> u8 {
        let lane = usize::from(at.to_le_bytes()[0] & 3);
        self.read_word(at & !3).to_le_bytes()[lane]
    }

    fn read_word(&self, at: u64) -> u32 {
        match function_at(at).and_then(|function| self.find(function)) {
            Some(function) => function.read(word_offset(at)),
            None => u32::MAX,
        }
    }

    fn write_word(&mut self, at: u64, value: u32, lanes: u8, effects: &mut ConfigEffects) {
        let function = function_at(at);
        let found = self
            .functions
            .iter_mut()
            .find(|candidate| Some(candidate.guest()) == function);
        if let Some(function) = found {
            function.write(word_offset(at), value, lanes, effects);
        }
    }
}

/// The function whose 4 KiB have this offset in configuration space.
fn function_at(at: u64) -> Option<Function> {
    u16::try_from(at >> 12).ok().map(Function::from_rid)
}

/// The offset of a word inside its function's 4 KiB.
fn word_offset(at: u64) -> u16 {
    let [low, high, ..] = at.to_le_bytes();
    u16::from_le_bytes([low, high & 0xf])
}

fn place(base: Ipa, room: u64, used: &mut u64, bar: &Bar) -> Option<Ipa> {
    let at = base
        .checked_add(*used)?
        .get()
        .checked_next_multiple_of(bar.span())?;
    let end = at.checked_add(bar.span())?;
    // A 32-bit BAR must be able to say where it is.
    let last = if bar.wide { u64::MAX } else { 1 << 32 };
    if end.checked_sub(base.get())? > room || end > last {
        return None;
    }
    *used = end - base.get();
    Some(Ipa::new(at))
}
