//! The machine as the device tree describes it.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

use super::{console, cores};

/// What the payload uses of the machine.
pub(super) struct Machine {
    /// Start and size of RAM.
    pub(super) memory: (u64, u64),
    /// The affinity of the first core, and of the second if there is one.
    pub(super) cores: [Option<u64>; 2],
    /// The affinities of all cores, as far as there is room.
    pub(super) all_cores: [Option<u64>; cores::MAX],
    /// The PL011's registers, and its interrupt as the GIC numbers it.
    pub(super) uart: (u64, u32),
    /// The GIC's distributor.
    pub(super) distributor: u64,
    /// The first redistributor.
    pub(super) redistributors: u64,
    /// The DART's registers; without one (on a bare QEMU) an IOVA is an address.
    pub(super) dart: Option<u64>,
    /// PCI configuration space.
    pub(super) ecam: u64,
    /// The start of the 32-bit window, for a BAR that nobody has placed.
    pub(super) pci_window: u64,
    pci: FdtNode<'static>,
    chosen: FdtNode<'static>,
}

type Wrong = &'static str;

impl Machine {
    /// Reads the device tree. The console works from the moment it is found.
    ///
    /// # Safety
    /// `tree` points to a device tree that nobody writes to from now on.
    pub(super) unsafe fn read(tree: *const u8) -> Result<Self, Wrong> {
        // SAFETY: the caller's promise.
        let fdt: Fdt<'static> = unsafe { Fdt::from_raw(tree) }.map_err(|_| "not one")?;
        let root = fdt.root();
        let find = |compatible: &str| root.children().find(|node| node.is_compatible(compatible));
        let uart = find("arm,pl011").ok_or("no arm,pl011")?;
        let uart_base = range(uart, 0)?.0;
        console::set_base(uart_base);
        let memory = root.child("memory").ok_or("no memory")?;
        let gic = find("arm,gic-v3").ok_or("no arm,gic-v3")?;
        let pci = find("pci-host-ecam-generic").ok_or("no pci-host-ecam-generic")?;
        Ok(Self {
            memory: range(memory, 0)?,
            cores: first_cores(root).ok_or("no cpus")?,
            all_cores: all_cores(root).ok_or("no cpus")?,
            uart: (uart_base, shared_interrupt(uart).ok_or("no interrupt")?),
            distributor: range(gic, 0)?.0,
            redistributors: range(gic, 1)?.0,
            dart: find("apple,t8103-dart")
                .map(|node| range(node, 0))
                .transpose()?
                .map(|it| it.0),
            ecam: range(pci, 0)?.0,
            pci_window: window(pci).ok_or("no 32-bit window in ranges of the PCI bus")?,
            pci,
            chosen: root.child("chosen").ok_or("no chosen")?,
        })
    }

    /// The value of `key=` on the command line.
    pub(super) fn argument(&self, key: &str) -> Option<&'static str> {
        let line = self
            .chosen
            .property("bootargs")?
            .value_as::<&'static str>()
            .ok()?;
        line.split_ascii_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// How often Oche has started this guest before.
    pub(super) fn boots(&self) -> u64 {
        let property = self.chosen.property("oche,boots");
        property.map_or(0, |property| {
            property
                .value()
                .iter()
                .fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
        })
    }

    /// The address and size of one of the things that Oche was asked to reveal.
    pub(super) fn target(&self, property: &str) -> Option<(u64, u64)> {
        let value = self.chosen.property(property)?;
        let cells = value.value_as::<[u32; 4]>().ok()?.map(u64::from);
        Some((cells[0] << 32 | cells[1], cells[2] << 32 | cells[3]))
    }

    /// The stream of the DART that a requester id is.
    pub(super) fn stream(&self, rid: u16) -> Option<u8> {
        let map = self.pci.property("iommu-map")?;
        map.value().as_chunks::<16>().0.iter().find_map(|line| {
            let (cells, _) = line.as_chunks::<4>();
            let [first, _, stream, length] =
                [0, 1, 2, 3].map(|cell| u32::from_be_bytes(cells[cell]));
            let offset = u32::from(rid).checked_sub(first)?;
            (offset < length).then(|| u8::try_from(stream + offset).ok())?
        })
    }
}

/// The number of a node's first interrupt, which is a shared one (GIC binding: type 0, number, trigger).
fn shared_interrupt(node: FdtNode<'static>) -> Option<u32> {
    let value: &'static [u8] = node.property("interrupts")?.value_as().ok()?;
    let (cells, _) = value.as_chunks::<4>();
    (u32::from_be_bytes(*cells.first()?) == 0).then_some(())?;
    u32::from_be_bytes(*cells.get(1)?).checked_add(32)
}

/// The affinities of the first two cores.
fn first_cores(root: FdtNode<'static>) -> Option<[Option<u64>; 2]> {
    let [first, second, ..] = all_cores(root)?;
    Some([Some(first?), second])
}

/// The affinities of the cores, as one cell or two.
fn all_cores(root: FdtNode<'static>) -> Option<[Option<u64>; cores::MAX]> {
    let cpus = root.child("cpus")?;
    let nodes = cpus
        .children()
        .filter(|node| node.name_without_address() == "cpu");
    let mut found = [None; cores::MAX];
    for (node, place) in nodes.zip(&mut found) {
        *place = Some(node.reg().ok()??.next()?.address::<u64>().ok()?);
    }
    Some(found)
}

/// One line of a node's `reg`.
fn range(node: FdtNode<'static>, index: usize) -> Result<(u64, u64), Wrong> {
    let mut reg = node.reg().ok().flatten().ok_or("a node without reg")?;
    let line = reg.nth(index).ok_or("a node with too short a reg")?;
    let address = line
        .address::<u64>()
        .map_err(|_| "an address of too many cells")?;
    let size = line.size::<u64>().map_err(|_| "a size of too many cells")?;
    Ok((address, size))
}

/// The processor's address of the first 32-bit memory window: lines of three, two and two cells.
fn window(pci: FdtNode<'static>) -> Option<u64> {
    let ranges = pci.property("ranges")?;
    let ranges: &'static [u8] = ranges.value_as().ok()?;
    ranges.as_chunks::<28>().0.iter().find_map(|line| {
        let (cells, _) = line.as_chunks::<4>();
        let cell = |at: usize| u64::from(u32::from_be_bytes(cells[at]));
        (cell(0) >> 24 & 3 == 2).then(|| cell(3) << 32 | cell(4))
    })
}
