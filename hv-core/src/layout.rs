//! The guest's physical address map. It is Oche's own, the same on every host, so that nothing of the host's
//! map shows through; every window lies on 64 KiB boundaries, so it is a whole number of frames at any granule.

use crate::addr::Ipa;

/// The first virtual DART's registers.
pub const DART_BASE: Ipa = Ipa::new(0x1000_0000);
/// Bytes of one DART's register window (dart reference 1.1).
pub const DART_SIZE: u64 = 0x4000;
/// GIC distributor.
pub const GICD_BASE: Ipa = Ipa::new(0x2000_0000);
/// Bytes of the distributor's frame (GICv3, IHI 0069, 12.8).
pub const GICD_SIZE: u64 = 0x1_0000;
/// The frame that devices write to for a message-signalled interrupt (`arm,gic-v2m-frame`), its registers at the
/// start of a window of 64 KiB.
pub const V2M_BASE: Ipa = Ipa::new(0x2002_0000);
/// Bytes of its registers.
pub const V2M_SIZE: u64 = 0x1000;
/// The first interrupt that a message can raise: the INTID is the message's data.
pub const V2M_FIRST: u32 = 64;
/// How many interrupts a message can raise.
pub const V2M_COUNT: u32 = 128;
/// The first vCPU's redistributor; the others follow at [`GICR_STRIDE`].
pub const GICR_BASE: Ipa = Ipa::new(0x2010_0000);
/// One redistributor: the RD_base frame, then the SGI_base frame, 64 KiB each (IHI 0069, 12.10).
pub const GICR_STRIDE: u64 = 0x2_0000;
/// Bytes of each of a redistributor's two frames.
pub const GICR_FRAME: u64 = 0x1_0000;
/// The PL011.
pub const UART_BASE: Ipa = Ipa::new(0x3000_0000);
/// Bytes of the PL011's registers.
pub const UART_SIZE: u64 = 0x1000;
/// The PL011's interrupt.
pub const UART_INTID: u32 = 33;
/// The first virtual DART's interrupt.
pub const DART_INTID: u32 = 34;
/// The first of four interrupts that pins of PCI functions pull.
pub const PCI_PIN_INTID: u32 = 36;
/// PCI configuration space of bus 0 (ECAM, 4 KiB per function).
pub const ECAM_BASE: Ipa = Ipa::new(0x4000_0000);
/// Bytes of bus 0's configuration space.
pub const ECAM_SIZE: u64 = 0x10_0000;
/// Where PCI memory BARs appear; the PCI bus address is the same number.
pub const BAR_BASE: Ipa = Ipa::new(0x5000_0000);
/// Bytes of the BAR window.
pub const BAR_SIZE: u64 = 0x1000_0000;
/// The lowest address a guest's RAM may have.
pub const RAM_FLOOR: Ipa = Ipa::new(0x8000_0000);
