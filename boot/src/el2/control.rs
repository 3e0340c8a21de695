//! The control line on the machine: Oche's own 16550, looked at now and then. What is said on it is `boot::control`'s
//! business; here are the registers, what Oche knows of itself, and the place where an order waits to be carried out.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use arrayvec::ArrayString;
use boot::control::{LogRing, Machine, Order, Refused, Registers, Server, Uart16550};
use guest_abi::control::{GuestState, LogChunk, State, Status, Version};
use guest_abi::summary::{Outcome, reason};
use hv_core::Pa;
use hv_core::arch::aarch64::core as cpu;
use hv_core::arch::aarch64::mmio::Mmio;
use log::info;
use spin::Mutex;

use super::allocator::FRAMES;
use super::guest::{self, Guest};
use super::platform;

/// Bytes of log that are kept.
const LOG_SIZE: usize = 32 << 10;
/// Registers of a 16550, one byte each.
const UART_SIZE: u64 = 8;
/// Spins until a line of log is given up: far more than it takes to write or read the longest.
const PATIENCE: u32 = 1_000_000;

static LOG: Mutex<LogRing<LOG_SIZE>> = Mutex::new(LogRing::new());
static LINE: Mutex<Option<Line>> = Mutex::new(None);
static ORDER: Mutex<Option<Order>> = Mutex::new(None);
/// The guest that is to be killed because its end was chosen in the menu, and one more; 0 for none.
static KILL_FROM_CONSOLE: AtomicUsize = AtomicUsize::new(0);

/// The UART's registers.
struct Ports(Mmio);

impl Registers for Ports {
    fn read(&self, register: u8) -> u8 {
        self.0.read8(register.into())
    }

    fn write(&self, register: u8, value: u8) {
        self.0.write8(register.into(), value);
    }
}

/// The line, once there is one.
struct Line {
    uart: Uart16550<Ports>,
    server: Server,
    oche: Oche,
}

/// What the server asks.
struct Oche {
    cores: u64,
}

/// Begins to listen on the 16550 at `registers`, on a machine with so many cores. `false`: no UART answers there.
///
/// # Safety
/// The registers of a UART or of nothing are there, byte by byte, mapped as device memory, and nobody else's.
pub(super) unsafe fn start(registers: Pa, cores: u64) -> bool {
    // SAFETY: the caller's promise; a UART does no DMA.
    let ports = Ports(unsafe { Mmio::new(registers, UART_SIZE) });
    let line = Uart16550::new(ports).map(|uart| Line {
        uart,
        server: Server::new(),
        oche: Oche { cores },
    });
    let found = line.is_some();
    *LINE.lock() = line;
    found
}

/// Goes on with what is asked, a bounded amount of it; one look at a register when nobody asks. To be called at least
/// some ten times a second. What is ordered waits for [`carry_out`].
pub(super) fn poll() {
    // Another core that is at it does the same.
    let Some(mut line) = LINE.try_lock() else {
        return;
    };
    let Some(Line { uart, server, oche }) = line.as_mut() else {
        return;
    };
    if let Some(order) = server.poll(uart, oche) {
        *ORDER.lock() = Some(order);
    }
}

/// Has a guest killed when [`carry_out`] is next called.
pub(super) fn kill_from_console(number: usize) {
    KILL_FROM_CONSOLE.store(number.saturating_add(1), Ordering::Release);
}

/// Carries out what was ordered, if anything was. To be called where no interrupt is being dealt with and no lock is
/// held: it may end the run, or start a guest anew with this core waiting for orders.
pub(super) fn carry_out() {
    let guest = |number| Oche::guests().nth(number);
    let chosen = KILL_FROM_CONSOLE.swap(0, Ordering::AcqRel).checked_sub(1);
    if let Some(guest) = chosen.and_then(guest) {
        let reason = reason(format_args!("killed at the console"));
        guest::end(guest, Outcome::Stopped, Some(reason))
    }
    let Some(order) = ORDER.lock().take() else {
        return;
    };
    match order {
        Order::Kill(number) => {
            if let Some(guest) = guest(number) {
                let reason = reason(format_args!("killed over the control line"));
                guest::end(guest, Outcome::Stopped, Some(reason))
            }
        }
        Order::Restart(number) => {
            if let Some(guest) = guest(number) {
                info!("guest {} is started anew, as ordered", name(guest));
                guest::restart(guest)
            }
        }
        Order::Reset => {
            info!("the machine is reset, as ordered");
            platform::current().reset()
        }
    }
}

/// Keeps a line of Oche's log for whoever asks. A core that failed with the log in its hands does not keep another one's
/// report from the console: such a line is left out.
pub(super) fn record(line: fmt::Arguments<'_>) {
    for _ in 0..PATIENCE {
        if let Some(mut log) = LOG.try_lock() {
            return log.push(line);
        }
        core::hint::spin_loop();
    }
}

fn interrupts(guest: &Guest) -> u64 {
    let exits = guest.counters.exits();
    exits.irq.saturating_add(exits.fiq)
}

fn name(guest: &Guest) -> &'static str {
    guest.from.config.name
}

impl Oche {
    /// The guests in the order of their numbers.
    fn guests() -> impl Iterator<Item = &'static Guest> {
        guest::current().into_iter()
    }
}

impl Machine for Oche {
    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn status(&mut self) -> Status {
        Status {
            oche: Version::from(env!("CARGO_PKG_VERSION")).unwrap_or_default(),
            // The counter starts with the machine, and Oche soon after it.
            uptime_us: cpu::microseconds(cpu::ticks()),
            cores: self.cores,
            guests: Self::guests().count() as u64,
            frames_total: FRAMES.total(),
            frames_free: FRAMES.free_frames(),
            interrupts: Self::guests().map(interrupts).sum(),
            log_end: LOG.lock().end(),
        }
    }

    fn guest(&mut self, number: usize) -> Option<GuestState> {
        let guest = Self::guests().nth(number)?;
        let dma = guest.dma_counters();
        let entered = guest.entered.load(Ordering::Relaxed);
        let run = match entered {
            0 => 0,
            _ => cpu::ticks().saturating_sub(entered),
        };
        Some(GuestState {
            name: ArrayString::from(name(guest)).unwrap_or_default(),
            state: match guest.ending.load(Ordering::Relaxed) {
                true => State::Stopping,
                false => State::Running,
            },
            vcpus: guest.affinities.len() as u64,
            vcpus_on: guest.cores.lock().running() as u64,
            memory: guest.ram.host().size(),
            restarts: guest.restarts.load(Ordering::Relaxed),
            run_us: cpu::microseconds(run),
            exits: guest.counters.exits(),
            pages_pinned: dma.pages_pinned,
            faults: dma.faults,
        })
    }

    fn find(&mut self, wanted: &str) -> Option<usize> {
        Self::guests().position(|guest| name(guest) == wanted)
    }

    fn log(&mut self, from: u64) -> LogChunk {
        LOG.lock().read(from)
    }

    fn check(&mut self, order: Order) -> Result<(), Refused> {
        if ORDER.lock().is_some() {
            return Err(Refused::NotNow);
        }
        match order {
            // A guest that is being started anew ends after that.
            Order::Kill(number) => Self::guests().nth(number).map(|_| ()).ok_or(Refused::Off),
            Order::Restart(number) => {
                let guest = Self::guests().nth(number).ok_or(Refused::Off)?;
                match guest.ending.load(Ordering::Relaxed) {
                    true => Err(Refused::NotNow),
                    false => Ok(()),
                }
            }
            Order::Reset => Ok(()),
        }
    }
}
