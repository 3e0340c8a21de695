//! How a host IOMMU's entries are written, and what they can say.

use hv_core::Pa;
use hv_core::table::{Entry, Format};

use crate::format::{Access, SubPage};

/// The format of a host IOMMU's entries. A closed set: every host IOMMU that Oche drives has one
/// of them, and a space does not care which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFormat {
    /// VMSAv8-64 stage 1, as an SMMUv3 walks it. Knows read-only and read-write pages; neither
    /// write-only ones nor windows into a page.
    VmsaStage1,
}

/// What lies behind a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// RAM, cached as the cores cache it.
    Normal,
    /// Registers.
    Device,
}

/// What a host leaf says beside its address: what the host format can express, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAttributes {
    access: Access,
    memory: Memory,
}

impl HostAttributes {
    /// What a device may do there.
    pub fn access(self) -> Access {
        self.access
    }

    /// What lies there.
    pub fn memory(self) -> Memory {
        self.memory
    }

    /// The same access to what `memory` says.
    #[must_use]
    pub fn of(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }
}

/// A guest's wish in the host's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expressed {
    /// Nothing is allowed: no entry is needed.
    Nothing,
    /// Just that.
    Exactly(HostAttributes),
    /// The closest the host can say allows more.
    Wider(HostAttributes),
}

impl HostFormat {
    /// How this format says that a device has `access` to `window` of a page of RAM.
    pub fn express(self, access: Access, window: SubPage) -> Expressed {
        if access == Access::NONE || window.is_empty() {
            return Expressed::Nothing;
        }
        match self {
            Self::VmsaStage1 => {
                let attributes = HostAttributes {
                    access: Access {
                        read: true,
                        ..access
                    },
                    memory: Memory::Normal,
                };
                if access.read && window == SubPage::WHOLE {
                    Expressed::Exactly(attributes)
                } else {
                    Expressed::Wider(attributes)
                }
            }
        }
    }
}

/// VMSAv8-64 stage 1 descriptors (Arm ARM D8.3; IHI 0070 3.4 and 5.4 for what an SMMU makes of
/// them).
mod vmsa {
    pub(super) const TABLE_OR_PAGE: u64 = 0b11;
    /// Address bits 47:14 at a 16 KiB granule.
    pub(super) const ADDRESS: u64 = 0x0000_ffff_ffff_c000;
    /// AttrIndx: the context descriptor's MAIR has write-back memory at 0, registers at 1.
    pub(super) const DEVICE: u64 = 1 << 2;
    /// AP\[1\]: unprivileged access, which is what a device's is.
    pub(super) const UNPRIVILEGED: u64 = 1 << 6;
    /// AP\[2\].
    pub(super) const READ_ONLY: u64 = 1 << 7;
    pub(super) const INNER_SHAREABLE: u64 = 0b11 << 8;
    pub(super) const ACCESS_FLAG: u64 = 1 << 10;
    /// Tagged with the ASID: without it one space's pages would be found in another.
    pub(super) const NOT_GLOBAL: u64 = 1 << 11;
    /// PXN and UXN: a device executes nothing.
    pub(super) const EXECUTE_NEVER: u64 = 0b11 << 53;
}

impl Format for HostFormat {
    type Attributes = HostAttributes;

    fn table(&self, next: Pa) -> u64 {
        match self {
            Self::VmsaStage1 => (next.get() & vmsa::ADDRESS) | vmsa::TABLE_OR_PAGE,
        }
    }

    fn leaf(&self, output: Pa, attributes: HostAttributes, _last: bool) -> u64 {
        match self {
            Self::VmsaStage1 => {
                let read_only = if attributes.access.write {
                    0
                } else {
                    vmsa::READ_ONLY
                };
                let index = match attributes.memory {
                    Memory::Normal => 0,
                    Memory::Device => vmsa::DEVICE,
                };
                (output.get() & vmsa::ADDRESS)
                    | vmsa::TABLE_OR_PAGE
                    | index
                    | vmsa::UNPRIVILEGED
                    | read_only
                    | vmsa::INNER_SHAREABLE
                    | vmsa::ACCESS_FLAG
                    | vmsa::NOT_GLOBAL
                    | vmsa::EXECUTE_NEVER
            }
        }
    }

    fn decode(&self, word: u64, last: bool) -> Entry<HostAttributes> {
        match self {
            Self::VmsaStage1 if word & 0b11 != vmsa::TABLE_OR_PAGE => Entry::Invalid,
            Self::VmsaStage1 if !last => Entry::Table(Pa::new(word & vmsa::ADDRESS)),
            Self::VmsaStage1 => Entry::Leaf {
                output: Pa::new(word & vmsa::ADDRESS),
                attributes: HostAttributes {
                    access: Access {
                        read: true,
                        write: word & vmsa::READ_ONLY == 0,
                    },
                    memory: match word & vmsa::DEVICE {
                        0 => Memory::Normal,
                        _ => Memory::Device,
                    },
                },
            },
        }
    }

    /// Never: a block could only be taken back as a whole, and a DART has none.
    fn allows_block(&self, _shift: u32) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VMSA: HostFormat = HostFormat::VmsaStage1;

    #[test]
    fn vmsa_can_say_read_and_read_write_and_must_widen_the_rest() {
        let all = Access::READ_WRITE;
        let read = Access {
            read: true,
            write: false,
        };
        let write = Access {
            read: false,
            write: true,
        };
        let window = SubPage { first: 1, last: 2 };
        let memory = Memory::Normal;
        let exactly = |access| Expressed::Exactly(HostAttributes { access, memory });
        let wider = |access| Expressed::Wider(HostAttributes { access, memory });
        assert_eq!(VMSA.express(all, SubPage::WHOLE), exactly(all));
        assert_eq!(VMSA.express(read, SubPage::WHOLE), exactly(read));
        assert_eq!(VMSA.express(write, SubPage::WHOLE), wider(all));
        assert_eq!(VMSA.express(read, window), wider(read));
        assert_eq!(
            VMSA.express(Access::NONE, SubPage::WHOLE),
            Expressed::Nothing
        );
        let empty = SubPage { first: 2, last: 1 };
        assert_eq!(VMSA.express(all, empty), Expressed::Nothing);
    }

    #[test]
    fn a_page_word_is_tagged_unprivileged_and_never_executed() {
        let attributes = HostAttributes {
            access: Access {
                read: true,
                write: false,
            },
            memory: Memory::Normal,
        };
        let word = VMSA.leaf(Pa::new(0x4_0000_4000), attributes, true);
        assert_eq!(word, 0x0060_0004_0000_4fc3);
        let output = Pa::new(0x4_0000_4000);
        assert_eq!(VMSA.decode(word, true), Entry::Leaf { output, attributes });
        let attributes = attributes.of(Memory::Device);
        let device = VMSA.leaf(output, attributes, true);
        assert_eq!(device, word | 1 << 2);
        assert_eq!(
            VMSA.decode(device, true),
            Entry::Leaf { output, attributes }
        );
        assert_eq!(VMSA.decode(word & !1, true), Entry::Invalid);
        assert_eq!(VMSA.decode(0x4003, false), Entry::Table(Pa::new(0x4000)));
    }
}
