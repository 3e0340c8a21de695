//! The guest's side: a flat bus of functions without capabilities, answered from memory.

use core::fmt;

use arrayvec::ArrayVec;

use super::virtual_function::VirtualFunction;
use super::{Bar, Function, HostFunction};
use crate::addr::{Ipa, Pa};

/// Functions that a guest can have.
pub const MAX_VIRTUAL_FUNCTIONS: usize = 16;

/// What a guest's store to configuration space asks of the world.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigEffect {
    /// Nothing.
    None,
    /// Write this to the function's command register.
    SetCommand {
        /// The machine's function, which is at the same address.
        function: Function,
        /// The new value, filtered.
        command: u16,
    },
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
    /// A function other than 0, without function 0 of the same device: no guest would find it.
    WithoutFirst(Function),
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
            Self::WithoutFirst(function) => write!(
                f,
                "the guest is given PCI function {function} without function 0 of its device, \
                 and would not find it: give it that one too"
            ),
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
    /// address is its physical address.
    ///
    /// # Errors
    /// Too many functions, one twice, or too little room.
    pub fn new<'a>(
        functions: impl IntoIterator<Item = &'a HostFunction>,
        base: Ipa,
        room: u64,
    ) -> Result<Self, PciError> {
        let mut bus = Self {
            functions: ArrayVec::new(),
        };
        let mut used = 0u64;
        for host in functions {
            if bus.find(host.function).is_some() {
                return Err(PciError::Twice(host.function));
            }
            let mut ipas = ArrayVec::<Ipa, 6>::new();
            for bar in &host.bars {
                let ipa =
                    place(base, room, &mut used, bar).ok_or(PciError::NoRoom(host.function))?;
                // A function has six BARs at most.
                let _ = ipas.try_push(ipa);
            }
            let function = VirtualFunction::new(host, &ipas);
            bus.functions
                .try_push(function)
                .map_err(|_| PciError::TooManyFunctions)?;
        }
        bus.mark_multifunction()?;
        Ok(bus)
    }

    /// Nobody looks for a device's other functions unless function 0 is there and says so
    /// (PCI Local Bus 3.0, 6.2.1, header type).
    fn mark_multifunction(&mut self) -> Result<(), PciError> {
        let others = self.functions();
        let others: ArrayVec<Function, MAX_VIRTUAL_FUNCTIONS> =
            others.filter(|function| function.function() != 0).collect();
        for other in others {
            let first = Function::new(other.device(), 0);
            let found = self
                .functions
                .iter_mut()
                .find(|it| Some(it.function()) == first);
            found
                .ok_or(PciError::WithoutFirst(other))?
                .mark_multifunction();
        }
        Ok(())
    }

    /// What stage 2 must map, as device memory.
    pub fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        self.functions.iter().flat_map(VirtualFunction::windows)
    }

    /// The functions on it.
    pub fn functions(&self) -> impl Iterator<Item = Function> + '_ {
        self.functions.iter().map(VirtualFunction::function)
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
    ///
    /// Only one word of a function has an effect, so there is at most one.
    pub fn write(&mut self, offset: u64, size: u8, value: u64) -> ConfigEffect {
        let mut effect = ConfigEffect::None;
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
            match self.write_word(word, u32::from_le_bytes(merged), lanes) {
                ConfigEffect::None => {}
                other => effect = other,
            }
            done += count;
        }
        effect
    }

    fn find(&self, function: Function) -> Option<&VirtualFunction> {
        self.functions
            .iter()
            .find(|candidate| candidate.function() == function)
    }

    fn read_byte(&self, at: u64) -> u8 {
        let lane = usize::from(at.to_le_bytes()[0] & 3);
        self.read_word(at & !3).to_le_bytes()[lane]
    }

    fn read_word(&self, at: u64) -> u32 {
        let function = u16::try_from(at >> 12).ok().and_then(Function::from_rid);
        match function.and_then(|function| self.find(function)) {
            Some(function) => function.read(word_offset(at)),
            None => u32::MAX,
        }
    }

    fn write_word(&mut self, at: u64, value: u32, lanes: u8) -> ConfigEffect {
        let function = u16::try_from(at >> 12).ok().and_then(Function::from_rid);
        let found = self
            .functions
            .iter_mut()
            .find(|candidate| Some(candidate.function()) == function);
        match found {
            Some(function) => function.write(word_offset(at), value, lanes),
            None => ConfigEffect::None,
        }
    }
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
