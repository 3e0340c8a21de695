//! The registers that come in words of 32 interrupts; distributor and SGI_base frame have them at the same offsets
//! (IHI 0069, 12.9 and 12.11).

use super::bank::{Bank, NEVER_RAN, NOBODY, PRIORITY_MASK, bits};

/// A register of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Banked {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
    /// `bytes` priorities from interrupt `first` on.
    Priority {
        first: usize,
        bytes: usize,
    },
    /// Two bits each for interrupts from `first` on, 16 of them.
    Config {
        first: usize,
    },
}

/// Which register lies at `offset`, and of which word of 32 interrupts (0: private).
pub(super) fn decode(offset: u64, bytes: u8) -> Option<(usize, Banked)> {
    let offset = usize::try_from(offset).ok()?;
    if let Some(n) = offset.checked_sub(0x400).filter(|n| *n < 0x400) {
        // Priorities are the one kind of register with byte access.
        let bytes = match bytes {
            1 => 1,
            4 if n.is_multiple_of(4) => 4,
            _ => return None,
        };
        let first = n % 32;
        return Some((n / 32, Banked::Priority { first, bytes }));
    }
    if bytes != 4 || !offset.is_multiple_of(4) {
        return None;
    }
    let word = (offset % 0x80) / 4;
    let register = match offset {
        0x080..0x100 => Banked::Group,
        0x100..0x180 => Banked::SetEnable,
        0x180..0x200 => Banked::ClearEnable,
        0x200..0x280 => Banked::SetPending,
        0x280..0x300 => Banked::ClearPending,
        0x300..0x380 => Banked::SetActive,
        0x380..0x400 => Banked::ClearActive,
        0xc00..0xd00 => {
            let word = (offset % 0x100) / 8;
            let first = if offset.is_multiple_of(8) { 0 } else { 16 };
            return Some((word, Banked::Config { first }));
        }
        _ => return None,
    };
    Some((word, register))
}

impl Banked {
    /// Is it about what may have moved on in list registers?
    pub(super) const fn is_about_state(self) -> bool {
        matches!(
            self,
            Self::SetPending | Self::ClearPending | Self::SetActive | Self::ClearActive
        )
    }
}

/// A new value for `state`; what changed.
const fn assign(state: &mut u32, value: u32) -> u32 {
    let changed = *state ^ value;
    *state = value;
    changed
}

impl Bank {
    pub(super) fn read(&self, register: Banked) -> u32 {
        match register {
            Banked::Group => self.group1,
            Banked::SetEnable | Banked::ClearEnable => self.enabled,
            Banked::SetPending | Banked::ClearPending => self.pending(),
            Banked::SetActive | Banked::ClearActive => self.active,
            Banked::Priority { first, bytes } => {
                let bytes = self.priority.iter().skip(first).take(bytes);
                bytes
                    .rev()
                    .fold(0, |word, byte| (word << 8) | u32::from(*byte))
            }
            Banked::Config { first } => {
                bits((self.edge >> first) & 0xffff).fold(0, |word, bit| word | 0b10 << (2 * bit))
            }
        }
    }

    /// Writes a register; returns the interrupts whose state it changed.
    pub(super) fn write(&mut self, register: Banked, value: u32) -> u32 {
        match register {
            Banked::Group => assign(&mut self.group1, value),
            Banked::SetEnable => {
                let enabled = self.enabled | value;
                assign(&mut self.enabled, enabled)
            }
            Banked::ClearEnable => {
                let enabled = self.enabled & !value;
                assign(&mut self.enabled, enabled)
            }
            Banked::SetPending => {
                self.latch(value);
                value
            }
            Banked::ClearPending => {
                let latched = (self.latch | self.again) & value;
                self.unlatch(value);
                latched
            }
            Banked::SetActive => {
                let fresh = value & !self.active;
                self.active |= fresh;
                for bit in bits(fresh) {
                    // No priority runs for it, so no end of interrupt is its end.
                    self.running[bit] = NEVER_RAN;
                    self.taken[bit] = 0;
                    if self.resident & (1 << bit) == 0 {
                        // Nobody acknowledged it; it counts as its target's.
                        let target = self.target[bit];
                        self.holder[bit] = if target == NOBODY { 0 } else { target };
                    }
                }
                fresh
            }
            Banked::ClearActive => {
                let active = self.active & !value;
                assign(&mut self.active, active)
            }
            Banked::Priority { first, bytes } => {
                let mut changed = 0;
                let bytes = value.to_le_bytes().into_iter().take(bytes);
                for ((bit, priority), new) in
                    self.priority.iter_mut().enumerate().skip(first).zip(bytes)
                {
                    let new = new & PRIORITY_MASK;
                    if *priority != new {
                        *priority = new;
                        changed |= 1 << bit;
                    }
                }
                changed
            }
            Banked::Config { first } => {
                // Only the upper bit of each pair means anything (IHI 0069, GICD_ICFGR<n>).
                let edges = (0..16).fold(0_u32, |edges, n| {
                    edges | (((value >> (2 * n + 1)) & 1) << n)
                });
                let rest = self.edge & !(0xffff << first);
                assign(&mut self.edge, rest | (edges << first))
            }
        }
    }
}
