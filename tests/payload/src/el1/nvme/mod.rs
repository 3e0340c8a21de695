//! A polling NVMe driver: an admin queue, one pair of I/O queues, reads and writes (NVMe base 1.4).
//!
//! The drive is the DMA master of the tests: a Write command makes it read memory, a Read command
//! makes it write memory.

mod queue;

use self::queue::{Command, Pair};
use super::cpu::{Deadline, barrier};
use super::memory::{PAGE_SIZE, Page};
use super::pci::Drive;

/// Registers (NVMe base 1.4, 3.1).
const CAP: u64 = 0x00;
const CC: u64 = 0x14;
const CSTS: u64 = 0x1c;
const AQA: u64 = 0x24;
const ASQ: u64 = 0x28;
const ACQ: u64 = 0x30;

/// Enabled, 64-byte commands, 16-byte completions, memory pages of 16 KiB (MPS = 2: 2^(12 + 2)).
const CONFIGURATION: u32 = 4 << 20 | 6 << 16 | 2 << 7 | 1;
const READY: u32 = 1;

/// Opcodes (NVMe base 1.4, 5 and NVM command set 6).
const CREATE_SUBMISSION: u32 = 0x01;
const CREATE_COMPLETION: u32 = 0x05;
const IDENTIFY: u32 = 0x06;
const WRITE: u32 = 0x01;
const READ: u32 = 0x02;

/// How long the drive may take.
const PATIENCE_MS: u64 = 3000;

/// A page and what the drive calls it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DmaPage {
    pub(super) page: Page,
    pub(super) iova: u64,
}

/// Why the drive does not do as it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The controller does not become ready, or cannot do pages of 16 KiB.
    NotReady,
    /// No completion in time.
    Silent,
    /// It is not a disk of 512-byte blocks, or much too small.
    Unsuitable,
}

/// The pages that a drive needs.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    pub(super) admin: [DmaPage; 2],
    pub(super) io: [DmaPage; 2],
    /// For what identifying writes, and for lists of pages.
    pub(super) scratch: DmaPage,
}

/// A drive that works.
pub(super) struct Nvme {
    admin: Pair,
    io: Pair,
    scratch: DmaPage,
}

/// Blocks are of this many bytes.
pub(super) const BLOCK_SIZE: u64 = 512;

impl Nvme {
    /// Resets the controller and gives it its queues.
    pub(super) fn start(drive: &Drive, pages: &Pages) -> Result<Self, Trouble> {
        let mut nvme = Self::with_admin_queue(drive, pages)?;
        nvme.identify_namespace()?;
        nvme.create_queues(pages)?;
        Ok(nvme)
    }

    /// Only as far as the admin queue, for a drive that may not reach memory yet.
    pub(super) fn with_admin_queue(drive: &Drive, pages: &Pages) -> Result<Self, Trouble> {
        let registers = drive.registers;
        let capabilities = registers.read64(CAP);
        // MPSMIN and MPSMAX in bits 51:48 and 55:52.
        if capabilities >> 48 & 0xf > 2 || (capabilities >> 52 & 0xf) < 2 {
            return Err(Trouble::NotReady);
        }
        for page in pages.admin.iter().chain(&pages.io) {
            page.page.clear();
        }
        registers.write32(CC, 0);
        wait(|| registers.read32(CSTS) & READY == 0)?;
        let last = queue::ENTRIES - 1;
        registers.write32(AQA, last << 16 | last);
        registers.write64(ASQ, pages.admin[0].iova);
        registers.write64(ACQ, pages.admin[1].iova);
        barrier();
        registers.write32(CC, CONFIGURATION);
        wait(|| registers.read32(CSTS) & READY != 0)?;
        // The doorbell stride, 4 << DSTRD, is in bits 35:32.
        let stride = 4 << (capabilities >> 32 & 0xf);
        Ok(Self {
            admin: Pair::new(registers, 0, stride, pages.admin),
            io: Pair::new(registers, 1, stride, pages.io),
            scratch: pages.scratch,
        })
    }

    /// Asks for the first namespace's description, which goes to the scratch page.
    pub(super) fn identify_namespace(&mut self) -> Result<(), Trouble> {
        let command = Command {
            opcode: IDENTIFY,
            namespace: 1,
            data: [self.scratch.iova, 0],
            ..Command::default()
        };
        self.admin.run(&command)?;
        let page = self.scratch.page;
        // Size in blocks first; the format in use is named at byte 26, its block size at 128 + 4n.
        let format = (page.read(3) >> 16 & 0xf) as usize;
        let shift = page.read32(32 + format) >> 16 & 0xff;
        if page.read(0) < 0x800 || shift != BLOCK_SIZE.trailing_zeros() {
            return Err(Trouble::Unsuitable);
        }
        Ok(())
    }

    fn create_queues(&mut self, pages: &Pages) -> Result<(), Trouble> {
        let last = (queue::ENTRIES - 1) << 16;
        let create = |opcode, page: DmaPage, flags| Command {
            opcode,
            data: [page.iova, 0],
            words: [last | 1, flags, 0],
            ..Command::default()
        };
        // Contiguous, no interrupts; the submission queue's completions go to queue 1.
        self.admin.run(&create(CREATE_COMPLETION, pages.io[1], 1))?;
        self.admin
            .run(&create(CREATE_SUBMISSION, pages.io[0], 1 << 16 | 1))?;
        Ok(())
    }

    /// The drive reads `bytes` (at most a page, not across one) at `iova` and keeps them at `block`.
    /// The status is returned, and proves nothing.
    pub(super) fn device_reads(
        &mut self,
        iova: u64,
        block: u64,
        bytes: u64,
    ) -> Result<u16, Trouble> {
        self.io.run(&transfer(WRITE, [iova, 0], block, bytes))
    }

    /// The drive writes what it has at `block` to `iova`.
    pub(super) fn device_writes(
        &mut self,
        iova: u64,
        block: u64,
        bytes: u64,
    ) -> Result<u16, Trouble> {
        self.io.run(&transfer(READ, [iova, 0], block, bytes))
    }

    /// The drive reads whole pages, named by a list that it fetches too.
    pub(super) fn device_reads_pages(&mut self, iovas: &[u64], block: u64) -> Result<u16, Trouble> {
        let data = self.list(iovas);
        self.io.run(&transfer(
            WRITE,
            data,
            block,
            iovas.len() as u64 * PAGE_SIZE,
        ))
    }

    /// The drive writes whole pages.
    pub(super) fn device_writes_pages(
        &mut self,
        iovas: &[u64],
        block: u64,
    ) -> Result<u16, Trouble> {
        let data = self.list(iovas);
        self.io
            .run(&transfer(READ, data, block, iovas.len() as u64 * PAGE_SIZE))
    }

    /// The two words that name the data: one page, two, or one and a list (NVMe base 1.4, 4.3).
    fn list(&mut self, iovas: &[u64]) -> [u64; 2] {
        match *iovas {
            [] => [0, 0],
            [one] => [one, 0],
            [one, two] => [one, two],
            [first, ref others @ ..] => {
                for (index, iova) in others.iter().enumerate() {
                    self.scratch.page.write(index, *iova);
                }
                [first, self.scratch.iova]
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the words of the block number are wanted"
)]
fn transfer(opcode: u32, data: [u64; 2], block: u64, bytes: u64) -> Command {
    // The number of blocks is one less than meant.
    let words = [
        block as u32,
        (block >> 32) as u32,
        (bytes / BLOCK_SIZE) as u32 - 1,
    ];
    Command {
        opcode,
        namespace: 1,
        data,
        words,
    }
}

fn wait(ready: impl Fn() -> bool) -> Result<(), Trouble> {
    let deadline = Deadline::after_ms(PATIENCE_MS);
    while !ready() {
        if deadline.passed() {
            return Err(Trouble::NotReady);
        }
    }
    Ok(())
}
