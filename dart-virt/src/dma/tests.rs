//! The whole of a guest's DMA against a made-up machine.

mod doorbell;
mod exhaustion;
mod hostile;
mod linux;
mod random;
