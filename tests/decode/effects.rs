//! What loads and stores do to registers and memory: `Run::complete` against a processor (QEMU's, at EL1).
//!
//! Each word of the table that is a plain load or store becomes a record: a whole register file and some bytes of
//! memory, in which the base register points to those bytes. The processor's records and ours are compared by hash.

use hv_core::trap::access::{
    Bus, Fault, GeneralRegisters, Memory, Plan, Situation, VectorRegisters, plan,
};
use hv_core::trap::instruction::{
    self, Base, Extend, MemoryAccess, Offset, Operation, Registers, WriteBack,
};

use crate::words::{Draw, words};

/// Where the first record is, for the processor.
pub(crate) const RECORDS: u64 = 0x8000_0000;
/// Bytes of one.
pub(crate) const RECORD: usize = 1024;
const SP: usize = 31 * 8;
const VECTORS: usize = 256;
const WORD: usize = 768;
/// The accesses are in the last bytes.
const MEMORY: usize = 832;

/// One register file with its memory.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) bytes: [u8; RECORD],
    /// Of its first byte.
    address: u64,
}

impl Record {
    fn word(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes[offset..offset + 8].try_into().unwrap())
    }

    fn set_word(&mut self, offset: usize, value: u64) {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn general(&self, n: u8) -> u64 {
        if n == 31 {
            0
        } else {
            self.word(usize::from(n) * 8)
        }
    }

    /// As `processor.S` computes it.
    pub(crate) fn hash(&self) -> u32 {
        let hash = (0..RECORD / 8).fold(0_u64, |hash, index| {
            let hash = (hash ^ self.word(index * 8)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^ (hash >> 32)
        });
        (hash & 0xffff_ffff) as u32
    }
}

struct General<'a>(&'a mut Record);

impl GeneralRegisters for General<'_> {
    fn read(&self, n: u8) -> u64 {
        self.0.general(n)
    }

    fn write(&mut self, n: u8, value: u64) {
        if n < 31 {
            self.0.set_word(usize::from(n) * 8, value);
        }
    }

    fn read_sp(&self) -> u64 {
        self.0.word(SP)
    }

    fn write_sp(&mut self, value: u64) {
        self.0.set_word(SP, value);
    }
}

struct Vectors([u128; 32]);

impl VectorRegisters for Vectors {
    fn read(&self, n: u8) -> u128 {
        self.0[usize::from(n)]
    }

    fn write(&mut self, n: u8, value: u128) {
        self.0[usize::from(n)] = value;
    }
}

/// The record's bytes as a device.
struct Device {
    bytes: [u8; RECORD],
    address: u64,
}

impl Device {
    fn range(&self, address: u64, bytes: u8) -> std::ops::Range<usize> {
        let start = usize::try_from(address - self.address).unwrap();
        assert!(start >= MEMORY);
        start..start + usize::from(bytes)
    }
}

impl Bus for Device {
    fn load(&mut self, address: u64, bytes: u8) -> Option<u64> {
        let mut word = [0; 8];
        let range = self.range(address, bytes);
        word[..bytes.into()].copy_from_slice(self.bytes.get(range)?);
        Some(u64::from_le_bytes(word))
    }

    fn store(&mut self, address: u64, bytes: u8, value: u64) -> Option<()> {
        let range = self.range(address, bytes);
        let bytes = &value.to_le_bytes()[..bytes.into()];
        self.bytes.get_mut(range)?.copy_from_slice(bytes);
        Some(())
    }
}

/// Is what the word does defined, and can its address be chosen?
fn is_tried(access: &MemoryAccess) -> bool {
    let load = match access.operation {
        Operation::Load { .. } => true,
        Operation::Store => false,
        _ => return false,
    };
    let Base::Register(base) = access.address.base else {
        return false;
    };
    let writes = access.address.write_back != WriteBack::None && base != 31;
    // CONSTRAINED UNPREDICTABLE: write-back to a register that is transferred, one register loaded twice.
    let defined = match access.registers {
        Registers::General(n) => !writes || n != base,
        Registers::GeneralPair(n, m) => (!writes || (n != base && m != base)) && (!load || n != m),
        Registers::VectorPair(n, m) => !load || n != m,
        _ => true,
    };
    match access.address.offset {
        // No address to choose where base and offset are one register.
        Offset::Register { register, .. } => {
            defined && (access.address.write_back == WriteBack::After || register != base)
        }
        Offset::Immediate(_) => defined,
    }
}

fn record(word: u32, access: &MemoryAccess, address: u64, draw: &mut Draw) -> Record {
    let mut record = Record {
        bytes: [0; RECORD],
        address,
    };
    for chunk in record.bytes.chunks_mut(4) {
        chunk.copy_from_slice(&draw.next().to_le_bytes());
    }
    record.set_word(WORD, word.into());
    // Ordered accesses must be aligned; of the others, half are not.
    let ordered = access.ordering.acquire || access.ordering.release;
    let start = match draw.next() % 64 {
        unaligned if !ordered && draw.next() & 1 != 0 => unaligned,
        aligned => aligned & !15,
    };
    let start = address + MEMORY as u64 + u64::from(start);
    let offset = match access.address.offset {
        Offset::Immediate(offset) => i64::from(offset).cast_unsigned(),
        Offset::Register {
            register,
            extend,
            shift,
        } => {
            let value = record.general(register);
            let low = value & 0xffff_ffff;
            let value = match extend {
                Extend::Uxtw => low,
                Extend::Sxtw if low >> 31 != 0 => low | !0xffff_ffff,
                Extend::Sxtw => low,
                Extend::Uxtx | Extend::Sxtx => value,
            };
            value << shift
        }
    };
    let base = match access.address.write_back {
        WriteBack::After => start,
        _ => start.wrapping_sub(offset),
    };
    if let Base::Register(n) = access.address.base {
        record.set_word(usize::from(n) * 8, base);
    }
    record
}

/// All records, before.
pub(crate) fn records() -> Vec<Record> {
    let (mut records, mut draw) = (Vec::new(), Draw(0x0c4e_1234_5678_9abc));
    for word in words() {
        if let Some(access) = instruction::decode(word).filter(is_tried) {
            let address = RECORDS + (records.len() * RECORD) as u64;
            records.push(record(word, &access, address, &mut draw));
        }
    }
    records
}

/// The record after Oche carried the instruction out.
pub(crate) fn carried_out(before: &Record) -> Record {
    let mut after = before.clone();
    let word = (before.word(WORD) & 0xffff_ffff) as u32;
    let access = instruction::decode(word).unwrap();
    let situation = Situation {
        pc: 0,
        memory: Memory::Normal,
        big_endian: false,
        aarch32: false,
    };
    let write = access.operation == Operation::Store;
    // Somewhere in the memory of the record: the plan refuses a fault that is not in the access.
    let fault = |address| Fault::of((1 << 25) | (u64::from(write) << 6) | 7, address);
    let start = before.address + MEMORY as u64;
    let run = (start..start + 64)
        .find_map(|address| {
            match plan(
                &fault(address),
                Some(word),
                &General(&mut after),
                &situation,
            ) {
                Plan::Run(run) => Some(run),
                _ => None,
            }
        })
        .unwrap();
    let mut vectors = Vectors(core::array::from_fn(|n| {
        let at = VECTORS + n * 16;
        u128::from_le_bytes(before.bytes[at..at + 16].try_into().unwrap())
    }));
    let mut device = Device {
        bytes: before.bytes,
        address: before.address,
    };
    run.complete(&mut General(&mut after), &mut vectors, &mut device)
        .unwrap();
    after.bytes[MEMORY..].copy_from_slice(&device.bytes[MEMORY..]);
    for (n, vector) in vectors.0.iter().enumerate() {
        let at = VECTORS + n * 16;
        after.bytes[at..at + 16].copy_from_slice(&vector.to_le_bytes());
    }
    after
}
