//! The control line, as plain logic: the server that answers on it, the UART behind it, and Oche's own log, which is
//! read over it. The protocol is `guest_abi::control`.

mod log_ring;
mod server;
#[cfg(test)]
mod tests;
mod uart16550;

pub use log_ring::{LogRing, MAX_LOG_LINE};
pub use server::{GUESTS_PER_ANSWER, PATIENCE, RECEIVED_PER_POLL, SENT_PER_POLL, Server};
pub use uart16550::{Registers, Uart16550};

use guest_abi::control::{GuestState, LogChunk, Status};

/// A serial line, as the server uses it. Nothing here waits.
pub trait Port {
    /// The next byte that came.
    fn receive(&mut self) -> Option<u8>;
    /// Hands a byte over. `false`: there is no room for it now.
    #[must_use]
    fn send(&mut self, byte: u8) -> bool;
    /// Has everything that was handed over left the machine?
    fn is_idle(&mut self) -> bool;
}

/// What Oche is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stop the guest of that number and take everything back.
    Kill(usize),
    /// Stop the guest of that number, and start it again as it was given to Oche.
    Restart(usize),
    /// Reset the machine.
    Reset,
}

/// Why an order is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// An earlier order is still being carried out, or the guest is being stopped by itself.
    NotNow,
    /// The guest does not run.
    Off,
    /// This Oche, or this machine, has no way to do it.
    Unable,
}

/// What the server asks of Oche. No call waits, and each is bounded.
pub trait Machine {
    /// Oche's version.
    fn version(&self) -> &str;
    /// How Oche and its machine are.
    fn status(&mut self) -> Status;
    /// The guest of that number; guests are numbered from 0 without a gap.
    fn guest(&mut self, number: usize) -> Option<GuestState>;
    /// The number of the guest of that name.
    fn find(&mut self, name: &str) -> Option<usize>;
    /// Oche's log from a position on.
    fn log(&mut self, from: u64) -> LogChunk;
    /// Would this order be carried out now? Asked before the asker is told so, and without an effect: the order itself
    /// comes from [`Server::poll`].
    ///
    /// # Errors
    /// Why it would not.
    fn check(&mut self, order: Order) -> Result<(), Refused>;
}
