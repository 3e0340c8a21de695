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
