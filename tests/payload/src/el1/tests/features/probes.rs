//! One instruction, or a few, of every feature: what comes of it if the feature is shown, or that it is undefined.

use core::arch::asm;
use core::cell::UnsafeCell;

use super::registers::Registers;

/// How a feature is used.
pub(super) struct Probe {
    /// The Arm ARM's name of the feature.
    pub(super) name: &'static str,
    /// The register that shows it: CRm, op2; and the bits of the field.
    pub(super) place: (u8, u8),
    pub(super) mask: u64,
    /// Is it shown? `None` where the field leaves open whether this instruction exists.
    pub(super) shown: fn(&Registers) -> Option<bool>,
    /// Does it.
    pub(super) run: fn() -> u64,
    /// What `run` gives.
    pub(super) result: u64,
}

/// Fields without an instruction that tells them from "absent": hints, which are no-ops there, and properties. By
/// register. PAC has a test of its own.
pub(super) const WITHOUT_INSTRUCTIONS: &[((u8, u8), u64)] = &[
    // DGH; GPI, GPA, API, APA
    ((6, 1), 0xf << 48 | 0xff << 24 | 0xff << 4),
    // RPRFM, PRFMSLC, CLRBHB; PAC_frac, APA3, GPA3; RPRES
    ((6, 2), 0xf << 48 | 0xf << 40 | 0xff << 24 | 0xfff << 4),
];

/// Memory that probes use.
#[repr(C, align(64))]
struct Scratch(UnsafeCell<[u64; 8]>);

// SAFETY: probes run on one core, one after the other, and nothing else uses it.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(UnsafeCell::new([0; 8]));

/// `x9` is [`SCRATCH`], which begins with 5 and 6; `x0` is zero at first, and the result.
macro_rules! instructions {
    ($($text:literal),+ $(,)?) => {
        || {
            let result: u64;
            // SAFETY: an instruction of a probe changes no memory but SCRATCH and no register but these and vector
            // registers, of which the payload uses none; an exception is expected by the caller.
            unsafe {
                asm!(
                    ".arch armv9.5-a+aes+sha2+sha3+sm4+rng+lse128+rcpc3+mops+ls64+sve+sme+memtag+cssc+d128+fp16fml",
                    "mov x0, #5",
                    "str x0, [x9]",
                    "mov x0, #6",
                    "str x0, [x9, #8]",
                    "mov x0, #0",
                    $($text),+,
                    in("x9") SCRATCH.0.get(),
                    out("x0") result, out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _,
                    options(nostack)
                );
            }
            result
        }
    };
}

macro_rules! probe {
    ($name:literal, $crm:literal $op2:literal [$low:literal] >= $least:literal, $result:expr, $($text:literal),+ $(,)?) => {
        Probe {
            name: $name,
            place: ($crm, $op2),
            mask: 0xf << $low,
            shown: |registers| Some(registers.field($crm, $op2, $low) >= $least),
            run: instructions!($($text),+),
            result: $result,
        }
    };
    // FP and AdvSIMD: 15 is "none".
    ($name:literal, $crm:literal $op2:literal [$low:literal] signed >= $least:literal, $result:expr, $($text:literal),+ $(,)?) => {
        Probe {
            name: $name,
            place: ($crm, $op2),
            mask: 0xf << $low,
            shown: |registers| Some(($least..8).contains(&registers.field($crm, $op2, $low))),
            run: instructions!($($text),+),
            result: $result,
        }
    };
}

pub(super) const PROBES: &[Probe] = &[
    // ID_AA64PFR0_EL1
    probe!("FP", 4 0 [16] signed >= 0, 4, "fmov d0, #2.0", "fadd d0, d0, d0", "fcvtzs x0, d0"),
    probe!("FP16", 4 0 [16] signed >= 1, 0x4000, "mov w1, #0x3c00", "fmov s1, w1", "fadd h0, h1, h1", "fmov w0, s0"),
    probe!("AdvSIMD", 4 0 [20] signed >= 0, 0x0202_0202_0202_0202,
        "movi v0.16b, #1", "add v0.16b, v0.16b, v0.16b", "umov x0, v0.d[1]"),
    probe!("FP16 vectors", 4 0 [20] signed >= 1, 0x4000_4000_4000_4000,
        "mov w1, #0x3c00", "dup v1.8h, w1", "fadd v0.8h, v1.8h, v1.8h", "umov x0, v0.d[1]"),
    probe!("GIC", 4 0 [24] >= 1, 1, "mrs x0, icc_sre_el1", "and x0, x0, #1"),
    probe!("DIT", 4 0 [48] >= 1, 1 << 24, "msr dit, #1", "mrs x0, dit", "msr dit, #0"),
    // ID_AA64PFR1_EL1
    Probe {
        name: "SSBS2",
        place: (4, 1),
        mask: 0xf << 4,
        // 1 is PSTATE.SSBS without MSR and MRS, which QEMU has all the same.
        shown: |registers| match registers.field(4, 1, 4) {
            0 => Some(false),
            1 => None,
            _ => Some(true),
        },
        run: instructions!("msr ssbs, #1", "mrs x0, ssbs", "msr ssbs, #0"),
        result: 1 << 12,
    },
    // ID_AA64ISAR0_EL1
    probe!("AES", 6 0 [4] >= 1, 0x6363_6363_6363_6363,
        "movi v0.16b, #0", "movi v1.16b, #0", "aese v0.16b, v1.16b", "umov x0, v0.d[0]"),
    probe!("PMULL", 6 0 [4] >= 2, 5, "mov x1, #3", "fmov d0, x1", "pmull v1.1q, v0.1d, v0.1d", "umov x0, v1.d[0]"),
    probe!("SHA1", 6 0 [8] >= 1, 1, "mov w1, #4", "fmov s1, w1", "sha1h s0, s1", "fmov w0, s0"),
    probe!("SHA256", 6 0 [12] >= 1, 0x8_1002_0001,
        "movi v0.16b, #0", "movi v1.16b, #0", "mov w1, #8", "mov v0.s[1], w1", "sha256su0 v0.4s, v1.4s", "umov x0, v0.d[0]"),
    probe!("SHA512", 6 0 [12] >= 2, 0x83,
        "movi v0.16b, #0", "movi v1.16b, #0", "mov x1, #0x100", "mov v0.d[1], x1", "sha512su0 v0.2d, v1.2d", "umov x0, v0.d[0]"),
    probe!("CRC32", 6 0 [16] >= 1, 0x7707_3096, "mov w1, #0", "mov w2, #1", "crc32b w0, w1, w2"),
    probe!("LSE", 6 0 [20] >= 2, 8, "mov x1, #3", "ldadd x1, x2, [x9]", "ldr x0, [x9]"),
    probe!("LSE128", 6 0 [20] >= 3, 7, "mov x1, #7", "mov x2, #9", "swpp x1, x2, [x9]", "ldr x0, [x9]"),
    probe!("RDM", 6 0 [28] >= 1, 0x2000,
        "movi v0.16b, #0", "mov w1, #0x4000", "dup v1.4h, w1", "sqrdmlah v0.4h, v1.4h, v1.4h", "umov w0, v0.h[0]"),
    probe!("SHA3", 6 0 [32] >= 1, 0x0707_0707_0707_0707,
        "movi v1.16b, #1", "movi v2.16b, #2", "movi v3.16b, #4", "eor3 v0.16b, v1.16b, v2.16b, v3.16b", "umov x0, v0.d[0]"),
    probe!("SM3", 6 0 [36] >= 1, 0x80,
        "movi v1.16b, #0", "movi v2.4s, #1", "movi v3.16b, #0", "sm3ss1 v0.4s, v1.4s, v2.4s, v3.4s", "umov w0, v0.s[3]"),
    probe!("SM4", 6 0 [40] >= 1, 1, "sm4e v0.4s, v1.4s", "mov x0, #1"),
    probe!("DotProd", 6 0 [44] >= 1, 0x8_0000_0008,
        "movi v0.16b, #0", "movi v1.8b, #1", "movi v2.8b, #2", "udot v0.2s, v1.8b, v2.8b", "umov x0, v0.d[0]"),
    probe!("FHM", 6 0 [48] >= 1, 0x4000_0000_4000_0000,
        "movi v0.16b, #0", "mov w1, #0x3c00", "dup v1.4h, w1", "mov w1, #0x4000", "dup v2.4h, w1",
        "fmlal v0.2s, v1.2h, v2.2h", "umov x0, v0.d[0]"),
    probe!("FlagM", 6 0 [52] >= 1, 1, "cmp xzr, xzr", "cfinv", "cset x0, cc"),
    probe!("FlagM2", 6 0 [52] >= 2, 1, "mov x1, #0x10000000", "msr nzcv, x1", "axflag", "cset x0, eq"),
    probe!("TLBIOS", 6 0 [56] >= 1, 1, "tlbi vmalle1os", "dsb sy", "mov x0, #1"),
    probe!("TLBIRANGE", 6 0 [56] >= 2, 1, "mov x1, #0x400000000000", "tlbi rvae1, x1", "dsb sy", "mov x0, #1"),
    probe!("RNG", 6 0 [60] >= 1, 1, "mrs x1, rndr", "mrs x2, rndr", "cmp x1, x2", "cset x0, ne"),
    // ID_AA64ISAR1_EL1
    probe!("DPB", 6 1 [0] >= 1, 1, "dc cvap, x9", "mov x0, #1"),
    probe!("DPB2", 6 1 [0] >= 2, 1, "dc cvadp, x9", "mov x0, #1"),
    probe!("JSCVT", 6 1 [12] >= 1, 5, "fmov d0, #5.0", "fjcvtzs w0, d0"),
    probe!("FCMA", 6 1 [16] >= 1, 0x3f80_0000_c000_0000,
        "movi v1.16b, #0", "mov x1, #0x3f800000", "movk x1, #0x4000, lsl #48", "fmov d2, x1",
        "fcadd v0.2s, v1.2s, v2.2s, #90", "umov x0, v0.d[0]"),
    probe!("LRCPC", 6 1 [20] >= 1, 5, "ldapr x0, [x9]"),
    probe!("LRCPC2", 6 1 [20] >= 2, 6, "ldapur x0, [x9, #8]"),
    probe!("LRCPC3", 6 1 [20] >= 3, 6, "ldiapp x1, x0, [x9]"),
    probe!("FRINTTS", 6 1 [32] >= 1, 2, "fmov d1, #2.5", "frint32z d0, d1", "fcvtzs x0, d0"),
    probe!("SB", 6 1 [36] >= 1, 1, "sb", "mov x0, #1"),
    probe!("SPECRES", 6 1 [40] >= 1, 1, "mov x1, #0", "cfp rctx, x1", "mov x0, #1"),
    probe!("SPECRES2", 6 1 [40] >= 2, 1, "mov x1, #0", "cosp rctx, x1", "mov x0, #1"),
    probe!("BF16", 6 1 [44] >= 1, 0x4000_0000_4000_0000,
        "movi v0.16b, #0", "mov w1, #0x3f80", "dup v1.4h, w1", "bfdot v0.2s, v1.4h, v1.4h", "umov x0, v0.d[0]"),
    probe!("I8MM", 6 1 [52] >= 1, 0x8_0000_0008,
        "movi v0.16b, #0", "movi v1.8b, #1", "movi v2.8b, #2", "usdot v0.2s, v1.8b, v2.8b", "umov x0, v0.d[0]"),
    probe!("XS", 6 1 [56] >= 1, 1, "dsb ishnxs", "mov x0, #1"),
    // ID_AA64ISAR2_EL1
    probe!("WFxT", 6 2 [0] >= 2, 1, "mrs x1, cntvct_el0", "wfet x1", "wfit x1", "mov x0, #1"),
    probe!("HBC", 6 2 [20] >= 1, 1, "cmp xzr, xzr", "bc.ne 2f", "2:", "mov x0, #1"),
    probe!("CSSC", 6 2 [52] >= 1, 8, "mov x1, #0xff", "cnt x0, x1"),
    // ID_AA64MMFR*_EL1
    probe!("ECV", 7 0 [60] >= 1, 1, "mrs x1, cntvctss_el0", "mrs x2, cntvctss_el0", "cmp x2, x1", "cset x0, hs"),
    probe!("PAN", 7 1 [20] >= 1, 1 << 22, "msr pan, #1", "mrs x0, pan", "msr pan, #0"),
    probe!("PAN2", 7 1 [20] >= 2, 0, "at s1e1rp, x9", "isb", "mrs x0, par_el1", "and x0, x0, #1"),
    probe!("UAO", 7 2 [4] >= 1, 1 << 23, "msr uao, #1", "mrs x0, uao", "msr uao, #0"),
];
