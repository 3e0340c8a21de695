//! The words that the table is about: every combination of the fixed opcode bits of A64's load/store group
//! (Arm ARM C4.1, op0 = x1x0), with registers and immediates drawn from a fixed seed.

/// `xorshift64*`: the table holds no words, so both sides must draw the same ones for ever.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let product = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        (product >> 32) as u32
    }

    /// A word in which each of the register fields is 31 (zero register or stack pointer) more often than by chance.
    fn operands(&mut self) -> u32 {
        let (mut word, choice) = (self.next(), self.next());
        for (index, shift) in [0, 5, 10, 16].into_iter().enumerate() {
            if (choice >> (index * 3)) & 7 == 0 {
                word |= 31 << shift;
            }
        }
        word
    }
}

const LOAD_STORE: u32 = 1 << 27;
const OPCODE_TOP: u32 = 0xffe0_0000;
const MINOR: u32 = 0x3f << 10;
const THIRD: u32 = 31 << 16;

/// Bits 15:10 run through all their values, `rounds` times.
fn every_minor(
    words: &mut Vec<u32>,
    draw: &mut Draw,
    top: u32,
    rounds: u32,
    third: &[Option<u32>],
) {
    for minor in 0..64 {
        for round in 0..rounds {
            let mut word = top | (draw.operands() & !(OPCODE_TOP | MINOR)) | (minor << 10);
            if let Some(Some(third)) = third.get(round as usize) {
                word = (word & !THIRD) | (third << 16);
            }
            words.push(word);
        }
    }
}

fn some(words: &mut Vec<u32>, draw: &mut Draw, top: u32, count: u32) {
    words.extend((0..count).map(|_| top | (draw.operands() & !OPCODE_TOP)));
}

/// Exclusives, ordered accesses, compare and swap. Register fields that are not used "should be one": that they need
/// not be is tried with exclusives only, because disassemblers disagree about the others.
fn exclusives(words: &mut Vec<u32>, draw: &mut Draw, top: u32) {
    for sample in 0..32 {
        let mut word = top | (draw.operands() & !OPCODE_TOP & !(1 << 15));
        if sample & 1 != 0 {
            word |= 1 << 15;
        }
        let ordered = top & (1 << 23 | 1 << 21) == 1 << 23;
        if sample & 2 != 0 || ordered {
            word |= 31 << 10;
        }
        if sample & 4 != 0 || ordered {
            word |= THIRD;
        }
        if sample & 8 != 0 && !ordered {
            // Pairs of registers (CASP) begin at an even one.
            word &= !(1 << 16 | 1);
        }
        words.push(word);
    }
}

/// Two places where the disassembler is known to differ from the Arm ARM are left to unit tests: `LDPSW` with one register
/// twice (which it calls undefined, though not `LDP`), and the eight registers of a 64-byte access (any for it; from an
/// even one up to x22 in the Arm ARM).
fn without_differences(word: u32) -> u32 {
    if word & 0xfe40_0000 == 0x6840_0000 {
        // Rt, Rn and Rt2 end in 01, 10 and 00.
        return word & !(3 << 10 | 3 << 5 | 3) | 2 << 5 | 1;
    }
    match word & 0xffe0_fc00 {
        0xf820_9000 | 0xf820_a000 | 0xf820_b000 | 0xf820_d000 => word & !0b01001,
        _ => word,
    }
}

/// All words, in the table's order.
pub(crate) fn words() -> Vec<u32> {
    let (mut words, mut draw) = (Vec::new(), Draw(0x0c4e_0c4e_0c4e_0c4e));
    for combination in 0..512_u32 {
        // Bits 31:28, 26, 24:21; bit 27 is one and bit 25 zero in the whole group.
        let top = (combination >> 5) << 28
            | LOAD_STORE
            | ((combination >> 4) & 1) << 26
            | (combination & 0xf) << 21;
        let (high, vector, bit24) = ((top >> 28) & 3, top & (1 << 26) != 0, top & (1 << 24) != 0);
        match (high, vector, bit24) {
            (0b00, false, _) => exclusives(&mut words, &mut draw, top),
            (0b00, true, _) if top >> 31 == 0 => {
                every_minor(
                    &mut words,
                    &mut draw,
                    top,
                    2,
                    &[None, Some(if top & (1 << 23) == 0 { 0 } else { 31 })],
                );
            }
            (0b01, false, true) => every_minor(&mut words, &mut draw, top, 1, &[]),
            (0b10, ..) => some(&mut words, &mut draw, top, 24),
            (0b11, _, true) => some(&mut words, &mut draw, top, 20),
            (0b11, _, false) => every_minor(&mut words, &mut draw, top, 3, &[None, Some(31)]),
            _ => some(&mut words, &mut draw, top, 8),
        }
    }
    // What is not in the group at all: everything else of A64, which must not decode.
    while words.len() % 1024 != 0 {
        let word = draw.next();
        if word & (LOAD_STORE | 1 << 25) != LOAD_STORE {
            words.push(word);
        }
    }
    words.into_iter().map(without_differences).collect()
}
