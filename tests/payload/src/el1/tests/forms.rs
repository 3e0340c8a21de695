//! Loads and stores of emulated devices by instructions that no syndrome describes.

use core::arch::asm;

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::exceptions::expecting;
use crate::el1::mmio::Registers;

/// `STREAM_SELECT`, both words: plain read-back registers of the DART (dart reference 1.2).
const SELECT: u64 = 0x34;

/// Data fault status codes (Arm ARM D24.2.40).
const EXTERNAL: u64 = 0x10;
const ALIGNMENT: u64 = 0x21;
const UNSUPPORTED: u64 = 0x35;

/// One way to load the first words of a function's configuration space, and what has to come of it.
type Load = (&'static str, fn(u64) -> (u64, u64), (u64, u64));

/// One way to make an access that ends in an abort: where it is made, and with which status.
type Refused = (&'static str, fn(u64), u64, u64);

macro_rules! load {
    ($($text:literal),+) => {
        |at: u64| {
            let (first, second): (u64, u64);
            // SAFETY: loads from configuration space, whose address the device tree gives; the base register is given
            // back as the second result where the instruction changes it.
            unsafe {
                asm!(".arch_extension simd", $($text),+, in("x9") at, out("x0") first, out("x1") second, out("x2") _,
                     lateout("x9") _, options(nostack));
            }
            (first, second)
        }
    };
}

/// Every form answers as hardware would: what it loads, where the base register goes, and which abort it ends in.
pub(super) fn loads_and_stores(bench: &mut Bench) -> Result<Finding, Failure> {
    let (drive, _) = bench.find()?;
    let base = bench.machine.ecam + (u64::from(drive.rid) << 12);
    // SAFETY: the device tree says that configuration space is there.
    let config = unsafe { Registers::new(base) };
    let word = |offset| u64::from(config.read32(offset));
    let (id, status, class) = (word(0), word(4), word(8));
    let wide = status << 32 | id;
    // SAFETY: the payload has nothing in SIMD registers that could leak or break.
    unsafe { asm!("msr cpacr_el1, {}", "isb", in(reg) 0b11_u64 << 20, options(nostack)) };

    let forms: [Load; 11] = [
        ("pair of words", load!("ldp w0, w1, [x9]"), (id, status)),
        (
            "pair of doublewords",
            load!("ldp x0, x1, [x9]"),
            (wide, word(12) << 32 | class),
        ),
        (
            "signed pair",
            load!("ldpsw x0, x1, [x9]"),
            (sign(id, 32), sign(status, 32)),
        ),
        (
            "post-index",
            load!("ldr w0, [x9], #8", "mov x1, x9"),
            (id, base + 8),
        ),
        (
            "pre-index",
            load!("ldr w0, [x9, #8]!", "mov x1, x9"),
            (class, base + 8),
        ),
        (
            "post-index pair",
            load!("ldp w0, w2, [x9], #16", "mov x1, x9"),
            (id, base + 16),
        ),
        (
            "register offset",
            load!("mov x1, #2", "ldr w0, [x9, x1, lsl #2]"),
            (class, 2),
        ),
        ("acquire", load!("ldar w0, [x9]", "mov x1, #0"), (id, 0)),
        (
            "vector register",
            load!("ldr q0, [x9]", "umov x0, v0.d[0]", "umov x1, v0.d[1]"),
            (wide, word(12) << 32 | class),
        ),
        (
            "vector structure",
            load!(
                "ld1 {{v1.4s}}, [x9]",
                "umov x0, v1.d[0]",
                "umov w1, v1.s[2]"
            ),
            (wide, class),
        ),
        (
            "signed byte, post-index",
            load!("ldrsb x0, [x9], #1", "mov x1, x9"),
            (sign(id, 8), base + 1),
        ),
    ];
    for (name, load, wanted) in forms {
        let (got, syndrome) = expecting(|| load(base));
        if got != wanted || syndrome.is_some() {
            fact!(bench, "{name}: {got:x?}, {syndrome:?}, wanted {wanted:x?}");
            return Err(Failure::Wrong(
                "a form of load is not answered as it should be",
            ));
        }
    }
    fact!(bench, "{} forms of load", forms.len());
    stores(bench)?;
    aborts(bench, base)?;
    Ok(Finding::Works)
}

/// The low `bits` of a word, sign-extended.
const fn sign(word: u64, bits: u32) -> u64 {
    let shift = 64 - bits;
    (((word << shift) as i64) >> shift) as u64
}

fn stores(bench: &mut Bench) -> Result<(), Failure> {
    let select = bench.machine.dart.ok_or(Failure::NoDart)? + SELECT;
    // SAFETY: the device tree says that the DART is there.
    let registers = unsafe { Registers::new(select) };
    let both = || (registers.read32(0), registers.read32(4));
    let after: u64;
    // SAFETY: two registers of the DART that read back what was written.
    unsafe {
        asm!("stp {a:w}, {b:w}, [{at}]", a = in(reg) 0x1234, b = in(reg) 0x5678, at = in(reg) select, options(nostack))
    };
    must(both() == (0x1234, 0x5678), "a pair was not stored")?;
    // SAFETY: as above.
    unsafe {
        asm!("str {a:w}, [{at}], #4", "str {b:w}, [{at}]", a = in(reg) 0x9, b = in(reg) 0x8, at = inout(reg) select => after,
             options(nostack));
    }
    must(
        after == select + 4 && both() == (9, 8),
        "a store with write-back went wrong",
    )?;
    // SAFETY: as above.
    unsafe {
        asm!(".arch_extension simd", "movi v2.4s, #7", "str s2, [{at}]", at = in(reg) select, options(nostack))
    };
    must(both() == (7, 8), "a vector register was not stored")?;
    registers.write32(0, 0);
    registers.write32(4, 0);
    fact!(bench, "pairs, write-back and vector registers are stored");
    Ok(())
}

fn aborts(bench: &mut Bench, config: u64) -> Result<(), Failure> {
    let select = bench.machine.dart.ok_or(Failure::NoDart)? + SELECT;
    let refused: [Refused; 4] = [
        (
            "exclusive",
            |at| {
                // SAFETY: a load from configuration space, or an abort.
                unsafe { asm!("ldxr {0:w}, [{1}]", out(reg) _, in(reg) at, options(nostack)) }
            },
            config,
            UNSUPPORTED,
        ),
        (
            "unaligned",
            |at| {
                // SAFETY: as above.
                unsafe { asm!("ldr {0:w}, [{1}, #1]", out(reg) _, in(reg) at, options(nostack)) }
            },
            config,
            ALIGNMENT,
        ),
        (
            "zeroing",
            |at| {
                // SAFETY: configuration space holds no memory of the payload.
                unsafe { asm!("dc zva, {0}", in(reg) at, options(nostack)) }
            },
            config,
            ALIGNMENT,
        ),
        (
            "too wide a pair",
            |at| {
                // SAFETY: the DART has no registers of 64 bits.
                unsafe { asm!("stp {0}, {0}, [{1}]", in(reg) 0_u64, in(reg) at, options(nostack)) }
            },
            select - SELECT + 0x40,
            EXTERNAL,
        ),
    ];
    for (name, access, at, wanted) in refused {
        let ((), syndrome) = expecting(|| access(at));
        fact!(bench, "{name}: {syndrome:?}");
        must(
            syndrome.is_some_and(|it| it.is_data_abort_with(wanted)),
            "an access does not end in the abort that hardware gives",
        )?;
    }
    Ok(())
}
