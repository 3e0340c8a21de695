//! What the words of an SMMUv3 look like: registers (IHI 0070 6.3), commands (4), events (7.3),
//! stream table entries (5.2), context descriptors (5.4). Types and encodings, no algorithms.

use hv_core::{Iova, Pa};

use crate::iommu::{HostFault, HostFaultKind, HostStream};

/// Offsets of registers from the start of the window (page 0 and page 1, 64 KiB each).
pub mod offset {
    #![allow(missing_docs, reason = "the names are those of the specification, 6.3")]
    pub const IDR0: usize = 0x00;
    pub const IDR1: usize = 0x04;
    pub const IDR5: usize = 0x14;
    pub const CR0: usize = 0x20;
    pub const CR0ACK: usize = 0x24;
    pub const CR1: usize = 0x28;
    pub const CR2: usize = 0x2c;
    pub const GBPA: usize = 0x44;
    pub const IRQ_CTRL: usize = 0x50;
    pub const IRQ_CTRLACK: usize = 0x54;
    pub const GERROR: usize = 0x60;
    pub const GERRORN: usize = 0x64;
    pub const GERROR_IRQ_CFG0: usize = 0x68;
    pub const STRTAB_BASE: usize = 0x80;
    pub const STRTAB_BASE_CFG: usize = 0x88;
    pub const CMDQ_BASE: usize = 0x90;
    pub const CMDQ_PROD: usize = 0x98;
    pub const CMDQ_CONS: usize = 0x9c;
    pub const EVENTQ_BASE: usize = 0xa0;
    pub const EVENTQ_IRQ_CFG0: usize = 0xb0;
    pub const EVENTQ_PROD: usize = 0x1_00a8;
    pub const EVENTQ_CONS: usize = 0x1_00ac;
}

/// `CR0`, and what `CR0ACK` confirms.
pub mod cr0 {
    #![allow(
        missing_docs,
        reason = "the names are those of the specification, 6.3.9"
    )]
    pub const SMMUEN: u32 = 1 << 0;
    pub const EVENTQEN: u32 = 1 << 2;
    pub const CMDQEN: u32 = 1 << 3;
}

/// `CR1`: tables and queues are inner shareable, write-back (6.3.11).
pub const CR1_COHERENT: u32 = 0b11 << 10 | 0b01 << 8 | 0b01 << 6 | 0b11 << 4 | 0b01 << 2 | 0b01;
/// `CR2`: no broadcast TLB maintenance (cores' invalidations are none of its business), and
/// accesses of streams past the table are recorded (6.3.12).
pub const CR2_PRIVATE_RECORDING: u32 = 1 << 2 | 1 << 1;
/// `GBPA.UPDATE` (6.3.14).
pub const GBPA_UPDATE: u32 = 1 << 31;
/// `GBPA.ABORT`: while the SMMU is off, everything is denied.
pub const GBPA_ABORT: u32 = 1 << 20;
/// `IRQ_CTRL.EVENTQ_IRQEN` (6.3.15).
pub const IRQ_EVENTS: u32 = 1 << 2;
/// `GERROR.CMDQ_ERR` (6.3.17): the command queue has stopped at a command.
pub const GERROR_COMMAND: u32 = 1 << 0;
/// Allocation hint of a base register (`RA`, `WA`).
pub const BASE_ALLOCATE: u64 = 1 << 62;

/// What the identification registers say, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Stage 1 translation.
    pub stage1: bool,
    /// VMSAv8-64 tables.
    pub aarch64_tables: bool,
    /// Little-endian tables.
    pub little_endian: bool,
    /// Its accesses to tables and queues are coherent with the cores' caches.
    pub coherent: bool,
    /// It has a hypervisor's translation regime of its own, whose TLB entries need a command of
    /// their own.
    pub el2: bool,
    /// Two-level stream tables.
    pub two_level: bool,
    /// Stalling is the only thing it does on a fault.
    pub stalls_always: bool,
    /// Stalling could be asked for, so `STE.S1STALLD` means something.
    pub stall_optional: bool,
    /// Queues or tables are at fixed places.
    pub preset: bool,
    /// Bits of a stream number.
    pub stream_bits: u32,
    /// log2 of the most commands in a queue.
    pub command_bits: u32,
    /// log2 of the most events in a queue.
    pub event_bits: u32,
    /// 16 KiB pages.
    pub granule_16k: bool,
    /// `IDR5.OAS`: the encoding of the output address size.
    pub output_size: u32,
}

impl Identity {
    /// From `IDR0`, `IDR1`, `IDR5` (6.3.1, 6.3.2, 6.3.6).
    pub fn from_registers(idr0: u32, idr1: u32, idr5: u32) -> Self {
        let bit = |value: u32, bit: u32| value & (1 << bit) != 0;
        let endian = (idr0 >> 21) & 0b11;
        let stall = (idr0 >> 24) & 0b11;
        Self {
            stage1: bit(idr0, 1),
            aarch64_tables: bit(idr0, 3),
            little_endian: endian == 0b00 || endian == 0b10,
            coherent: bit(idr0, 4),
            el2: bit(idr0, 9),
            two_level: (idr0 >> 27) & 0b11 == 0b01,
            stalls_always: stall == 0b10,
            stall_optional: stall == 0b00,
            preset: bit(idr1, 29) || bit(idr1, 30),
            stream_bits: idr1 & 0x3f,
            command_bits: (idr1 >> 21) & 0x1f,
            event_bits: (idr1 >> 16) & 0x1f,
            granule_16k: bit(idr5, 5),
            output_size: idr5 & 0b111,
        }
    }

    /// Bits of address that it can put out. Encodings above 52 bits are reserved and read as that.
    pub fn output_bits(&self) -> u32 {
        match self.output_size {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            5 => 48,
            _ => 52,
        }
    }
}

/// A command: two words (4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `CMD_CFGI_STE`, with all levels of the stream table.
    ForgetStream {
        /// Its number.
        stream: u32,
    },
    /// `CMD_CFGI_ALL`: all stream table entries and context descriptors.
    ForgetAllStreams,
    /// `CMD_TLBI_NH_ASID`, without a VMID because there is no stage 2.
    ForgetContext {
        /// The tag.
        asid: u16,
    },
    /// `CMD_TLBI_NH_VA`, the last level only.
    ForgetPage {
        /// The tag.
        asid: u16,
        /// The page.
        iova: u64,
    },
    /// `CMD_TLBI_NSNH_ALL`: everything but the hypervisor's own regime.
    ForgetEverything,
    /// `CMD_TLBI_EL2_ALL`: the hypervisor's own regime.
    ForgetEverythingEl2,
    /// `CMD_SYNC` without a signal: it is complete when it was consumed.
    Sync,
}

impl Command {
    /// Its two words.
    pub fn words(self) -> [u64; 2] {
        const LAST_LEVEL_ONLY: u64 = 1;
        const WHOLE_RANGE: u64 = 31;
        match self {
            Self::ForgetStream { stream } => [u64::from(stream) << 32 | 0x03, 0],
            Self::ForgetAllStreams => [0x04, WHOLE_RANGE],
            Self::ForgetContext { asid } => [u64::from(asid) << 48 | 0x11, 0],
            Self::ForgetPage { asid, iova } => [
                u64::from(asid) << 48 | 0x12,
                (iova & !0xfff) | LAST_LEVEL_ONLY,
            ],
            Self::ForgetEverything => [0x30, 0],
            Self::ForgetEverythingEl2 => [0x20, 0],
            Self::Sync => [0x46, 0],
        }
    }
}

/// Words of a stream table entry or context descriptor.
pub const ENTRY_WORDS: usize = 8;

/// A stream table entry that is valid (5.2). Word 0 as 0 is the invalid one: its stream's accesses
/// are terminated and recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEntry {
    /// Stage 1 through one context descriptor.
    Translate {
        /// Where the descriptor is.
        descriptor: Pa,
        /// Set `S1STALLD`: faults do not stall. Zero where stalling cannot be had anyway.
        no_stall: bool,
    },
    /// Test images only: no translation, no check.
    #[cfg(feature = "guards-out")]
    Bypass,
}

/// `STE.V`, and `CD` has its own at another place.
pub const STREAM_VALID: u64 = 1 << 0;

impl StreamEntry {
    /// Its words.
    pub fn words(self) -> [u64; ENTRY_WORDS] {
        const CONFIG_STAGE1: u64 = 0b101 << 1;
        // The descriptor is fetched through write-back caches, inner shareable.
        const DESCRIPTOR_COHERENT: u64 = 0b01 << 2 | 0b01 << 4 | 0b11 << 6;
        // Data and unprivileged, whatever the device claims: one set of permissions for all.
        const UNPRIVILEGED: u64 = 0b10 << 48;
        const DATA: u64 = 0b10 << 50;
        // ATS is off (EATS = 0: a translated address from a device is never believed), the stream
        // is tagged as NS-EL1's (STRW = 0).
        match self {
            Self::Translate {
                descriptor,
                no_stall,
            } => {
                let mut words = [0; ENTRY_WORDS];
                words[0] =
                    (descriptor.get() & 0x000f_ffff_ffff_ffc0) | CONFIG_STAGE1 | STREAM_VALID;
                words[1] = DESCRIPTOR_COHERENT | UNPRIVILEGED | DATA | u64::from(no_stall) << 27;
                words
            }
            #[cfg(feature = "guards-out")]
            Self::Bypass => {
                const CONFIG_BYPASS: u64 = 0b100 << 1;
                const SHAREABILITY_INCOMING: u64 = 0b01 << 44;
                [
                    CONFIG_BYPASS | STREAM_VALID,
                    SHAREABILITY_INCOMING,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                ]
            }
        }
    }
}

/// A context descriptor (5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextDescriptor {
    /// Bits of input address.
    pub input_bits: u32,
    /// Encoding of the output address size.
    pub output_size: u32,
    /// The tag.
    pub asid: u16,
    /// The root.
    pub root: Pa,
}

impl ContextDescriptor {
    /// Its words: 16 KiB granule, `TTB0` only, VMSAv8-64, faults abort and are recorded, never
    /// stall; no hardware update of access flags.
    pub fn words(self) -> [u64; ENTRY_WORDS] {
        const GRANULE_16K: u64 = 0b10 << 6;
        const WALKS_COHERENT: u64 = 0b01 << 8 | 0b01 << 10 | 0b11 << 12;
        const NO_TTB1: u64 = 1 << 30;
        const VALID: u64 = 1 << 31;
        const AARCH64: u64 = 1 << 41;
        const RECORD: u64 = 1 << 45;
        const ABORT: u64 = 1 << 46;
        /// The tag is ours alone: no core's broadcast invalidation concerns it.
        const TAG_PRIVATE: u64 = 1 << 47;
        /// Attribute 0: normal, write-back, read- and write-allocate. Attribute 1: Device-nGnRE.
        const MAIR: u64 = 0x04ff;
        let t0sz = u64::from(64_u32.saturating_sub(self.input_bits));
        // Above 48 bits (0b101) the descriptor format would be another one.
        let ips = u64::from(self.output_size.min(0b101));
        let mut words = [0; ENTRY_WORDS];
        words[0] = t0sz | GRANULE_16K | WALKS_COHERENT | NO_TTB1 | VALID | ips << 32;
        words[0] |= AARCH64 | RECORD | ABORT | TAG_PRIVATE | u64::from(self.asid) << 48;
        words[1] = self.root.get() & 0x000f_ffff_ffff_fff0;
        words[3] = MAIR;
        words
    }
}

/// Words of an event record.
pub const EVENT_WORDS: usize = 4;

/// Takes an event record apart (7.3).
pub fn event(words: [u64; EVENT_WORDS]) -> HostFault {
    const READ: u64 = 1 << 35;
    let number = (words[0] & 0xff) as u8;
    let kind = match number {
        // F_TRANSLATION, F_ACCESS (entries always have the access flag, so an entry without it is
        // one that a device raced with).
        0x10 | 0x12 => HostFaultKind::Translation,
        0x11 => HostFaultKind::AddressSize,
        0x13 => HostFaultKind::Permission,
        // C_BAD_STREAMID, C_BAD_STE, F_STREAM_DISABLED.
        0x02 | 0x04 | 0x06 => HostFaultKind::NoStream,
        other => HostFaultKind::Other(other),
    };
    HostFault {
        stream: HostStream((words[0] >> 32) as u32),
        iova: Iova::new(words[2]),
        write: words[1] & READ == 0,
        kind,
    }
}
