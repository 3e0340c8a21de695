//! Giving a function back to a state in which nothing of its last owner is left.

use core::fmt;

use super::bars::program;
use super::{Bus, ConfigSpace, Function, HostFunction, offset, quiet, silence};

/// A function's transactions that are under way are waited for so long, in milliseconds; a reset
/// is what is left to those that hang. Linux waits about as long.
const PENDING_MS: u32 = 1000;
/// A reset function may answer no configuration access for so long (PCI Express Base 4.0, 6.6.2).
const FLR_MS: u32 = 100;
/// From D0 to D3hot and back (PCI Power Management 1.2, 5.6.1).
const POWER_MS: u32 = 10;
/// How long the reset of a secondary bus is held: 1 ms at least (PCI-to-PCI Bridge 1.2, 3.2.5.18).
const HOLD_MS: u32 = 2;
/// From its end to the first access (PCI Express Base 4.0, 6.6.1).
const BUS_MS: u32 = 100;
/// Past that a function may ask for more time by answering nothing that is a vendor. One that does
/// so for longer, in milliseconds, is given up.
const READY_MS: u32 = 5000;

/// Bit 15 of device control, and bit 5 of device status in the upper half of the same word.
const INITIATE_FLR: u32 = 1 << 15;
const TRANSACTIONS_PENDING: u32 = 1 << 21;
/// Bit 6 of bridge control, in its word.
const SECONDARY_RESET: u32 = 1 << 22;

/// Lets time pass.
pub trait Delay {
    /// Returns after so many milliseconds at least.
    fn milliseconds(&mut self, count: u32);
}

/// A way to reset a function without touching another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetMethod {
    /// Function level reset of PCI Express; the capability is there.
    FunctionLevel(u16),
    /// The same of conventional PCI.
    AdvancedFeatures(u16),
    /// Into D3hot and back, where the function resets itself on that way.
    PowerState(u16),
    /// Of all that is behind this bridge, which is the function alone.
    SecondaryBus(Function),
}

impl ResetMethod {
    /// The first way there is, or `None`: then the function cannot be given to a second owner.
    pub fn of(found: &HostFunction, bus: &Bus) -> Option<Self> {
        let capabilities = &found.capabilities;
        if let Some(express) = capabilities.express.filter(super::Express::has_flr) {
            return Some(Self::FunctionLevel(express.at));
        }
        if let Some(advanced) = capabilities.advanced.filter(|it| it.flr) {
            return Some(Self::AdvancedFeatures(advanced.at));
        }
        if let Some(power) = capabilities.power.filter(|it| it.resets) {
            return Some(Self::PowerState(power.at));
        }
        let bridge = *found.path.last()?;
        let neighbours = bus
            .functions
            .iter()
            .filter(|it| it.path.contains(&bridge))
            .count();
        let inner = bus
            .bridge(bridge)
            .is_some_and(|it| it.subordinate != it.secondary);
        // A function or a bridge that found no room in the lists could be anywhere.
        let all_known = bus.left_out == 0 && bus.unreached == 0;
        (neighbours == 1 && !inner && all_known).then_some(Self::SecondaryBus(bridge))
    }
}

impl fmt::Display for ResetMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FunctionLevel(_) | Self::AdvancedFeatures(_) => {
                f.write_str("function level reset")
            }
            Self::PowerState(_) => f.write_str("power state reset"),
            Self::SecondaryBus(bridge) => write!(f, "reset of the bus behind {bridge}"),
        }
    }
}

/// Why a function was not reset: it goes to nobody any more. `Display` gives one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetError {
    /// There is no way to reset it.
    NoMethod(Function),
    /// It did not come back.
    Gone(Function),
    /// Something else came back.
    Changed(Function),
}

impl fmt::Display for ResetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMethod(function) => write!(
                f,
                "PCI function {function} has no reset of its own (function level, power state, \
                 alone behind a bridge), so it cannot be given to a guest again: restart the machine"
            ),
            Self::Gone(function) => write!(
                f,
                "PCI function {function} does not answer {READY_MS} ms after its reset, \
                 so it cannot be given to a guest again: restart the machine"
            ),
            Self::Changed(function) => write!(
                f,
                "PCI function {function} is another device after its reset, \
                 so it cannot be given to a guest again: restart the machine"
            ),
        }
    }
}

impl core::error::Error for ResetError {}

/// Resets a function, so that it is as [`super::enumerate()`] left it: silent, with its BARs where
/// they were. No guest may be able to make it do anything meanwhile.
///
/// # Errors
/// There is no way, or it did not come back.
pub fn reset(
    config: &impl ConfigSpace,
    bus: &Bus,
    found: &HostFunction,
    delay: &mut impl Delay,
) -> Result<ResetMethod, ResetError> {
    let function = found.function;
    // Bus mastership ends here in any case.
    silence(config, function);
    let method = ResetMethod::of(found, bus).ok_or(ResetError::NoMethod(function))?;
    settle(config, found, delay);
    match method {
        ResetMethod::FunctionLevel(at) => {
            // Status, in the upper half, clears by ones.
            let control = config.read32(function, at + 8) & 0xffff;
            config.write32(function, at + 8, control | INITIATE_FLR);
            delay.milliseconds(FLR_MS);
        }
        ResetMethod::AdvancedFeatures(at) => {
            config.write32(function, at + 4, 1);
            delay.milliseconds(FLR_MS);
        }
        ResetMethod::PowerState(at) => {
            for state in [3, 0] {
                config.write32(function, at + 4, state);
                delay.milliseconds(POWER_MS);
            }
        }
        ResetMethod::SecondaryBus(bridge) => {
            config.write32(bridge, offset::BRIDGE_CONTROL, SECONDARY_RESET);
            delay.milliseconds(HOLD_MS);
            config.write32(bridge, offset::BRIDGE_CONTROL, 0);
            delay.milliseconds(BUS_MS);
        }
    }
    restore(config, found, delay)?;
    Ok(method)
}

/// Waits for what the function has under way.
fn settle(config: &impl ConfigSpace, found: &HostFunction, delay: &mut impl Delay) {
    let capabilities = &found.capabilities;
    let pending = || {
        let express = capabilities.express.is_some_and(|express| {
            config.read32(found.function, express.at + 8) & TRANSACTIONS_PENDING != 0
        });
        let advanced = capabilities
            .advanced
            .is_some_and(|it| it.flr && config.read32(found.function, it.at + 4) >> 8 & 1 != 0);
        express || advanced
    };
    for _ in 0..PENDING_MS {
        if !pending() {
            return;
        }
        delay.milliseconds(1);
    }
}

fn restore(
    config: &impl ConfigSpace,
    found: &HostFunction,
    delay: &mut impl Delay,
) -> Result<(), ResetError> {
    let function = found.function;
    let mut waited = 0;
    let identity = loop {
        let identity = config.read32(function, offset::IDENTITY);
        // All ones, or the vendor that stands for "not yet" (PCI Express Base 4.0, 2.3.2).
        if !matches!(identity & 0xffff, 0xffff | 0x0001) {
            break identity;
        }
        if waited == READY_MS {
            return Err(ResetError::Gone(function));
        }
        waited += 1;
        delay.milliseconds(1);
    };
    silence(config, function);
    if identity != found.identity.device {
        return Err(ResetError::Changed(function));
    }
    quiet(config, function, &found.capabilities);
    for bar in &found.bars {
        program(config, function, bar);
    }
    Ok(())
}
