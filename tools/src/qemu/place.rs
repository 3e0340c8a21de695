//! Where the disk is on the machine's PCI buses.

use guest_abi::config::PciFunction;

use crate::cli::DiskBehind;

impl DiskBehind {
    /// QEMU's devices above the disk, from the root down, and the disk's bus and slot.
    pub(crate) fn devices(self) -> (&'static [&'static str], &'static str) {
        const ROOT_PORT: &str = "pcie-root-port,id=disk-port,chassis=1,addr=0x1";
        match self {
            Self::None => (&[], "addr=0x1"),
            Self::RootPort => (&[ROOT_PORT], "bus=disk-port"),
            Self::Switch => (
                &[
                    ROOT_PORT,
                    "x3130-upstream,id=disk-switch,bus=disk-port",
                    "xio3130-downstream,id=disk-downstream,bus=disk-switch,chassis=2",
                ],
                "bus=disk-downstream",
            ),
            Self::Bridge => (
                &["pcie-pci-bridge,id=disk-bridge,addr=0x1"],
                "bus=disk-bridge,addr=0x1",
            ),
        }
    }

    /// The disk's address, as Oche numbers the buses: one after the other, from the root down.
    pub(crate) fn disk(self) -> PciFunction {
        let (bus, device) = match self {
            Self::None => (0, 1),
            Self::RootPort => (1, 0),
            Self::Switch => (3, 0),
            Self::Bridge => (1, 1),
        };
        PciFunction {
            bus,
            device,
            function: 0,
        }
    }
}
