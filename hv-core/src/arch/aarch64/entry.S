// The image's head, its move to the top of RAM, and the way in for every core.
//
// Until `oche_main` turns the MMU on, all of this runs with it off: every access is to Device memory,
// so nothing here (nor in `oche_early`, which is built with strict alignment) may be unaligned or
// exclusive.

.macro adr_l reg, symbol
    adrp    \reg, \symbol
    add     \reg, \reg, :lo12:\symbol
.endm

// An absolute linker constant below 4 GiB (a size, not an address: it must not be relocated).
.macro ldr_imm reg, symbol
    movz    \reg, #:abs_g1:\symbol
    movk    \reg, #:abs_g0_nc:\symbol
.endm

.section .head, "ax"
.global _start
_start:
    b       primary                         // code0
    .long   0                               // code1
    .quad   0                               // text_offset: anywhere, 2 MiB aligned
    .quad   __image_size                    // image_size: covers .bss and the stacks
    .quad   0b1100                          // flags: little-endian, 16K pages unspecified (10), anywhere (bit 3)
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .long   0

.section .text.entry, "ax"

// x0 = device tree, MMU off, at the place the loader chose.
primary:
    msr     daifset, #0xf
    mov     x19, x0
    mrs     x20, CurrentEL
    lsr     x20, x20, #2
    cmp     x20, #2
    b.ne    1f
    mrs     x22, cntpct_el0                 // the time of entry
    bl      become_host                     // E2H before anything looks at a register whose layout it changes
1:  adr_l   x0, __stack_primary_top
    mov     sp, x0
    bl      clear_bss
    bl      relocate

    // Where to? `oche_early` answers with the new base, or does not return.
    mov     x29, xzr                        // the chain of frame pointers ends here
    mov     x0, x19
    adr_l   x1, __image_start
    mov     x2, x20
    bl      oche_early
    mov     x21, x0                         // new base

    // Evict whatever a cache may still hold of the destination, copy, and drop what was speculated in between.
    adr_l   x1, __image_start
    ldr_imm x2, __image_size
    mov     x0, x21
    add     x3, x21, x2
    bl      clean_and_invalidate
    adr_l   x1, __image_start
    ldr_imm x2, __data_size
    mov     x0, x21
    add     x2, x1, x2
2:  ldp     x3, x4, [x1], #16
    stp     x3, x4, [x0], #16
    cmp     x1, x2
    b.lo    2b
    ldr_imm x2, __image_size
    mov     x0, x21
    add     x3, x21, x2
    bl      clean_and_invalidate
    ic      iallu
    dsb     nsh
    isb

    adr_l   x0, 3f
    adr_l   x1, __image_start
    sub     x0, x0, x1
    add     x0, x0, x21
    br      x0                              // the same instruction, in the new copy

3:  adr_l   x0, __stack_primary_top
    mov     sp, x0
    bl      clear_bss
    bl      relocate                        // idempotent: every entry is base + addend
    adr_l   x0, oche_vectors
    msr     vbar_el2, x0
    msr     s3_4_c13_c0_1, xzr              // CONTEXTIDR_EL2: the boot core has slot 0
    isb
    mov     x29, xzr
    mov     x0, x19
    mov     x1, x22
    bl      oche_main
    b       hang

// A core that the platform started for us: x0 = its `CoreStart` (PSCI context or mailbox).
.global oche_secondary_entry
oche_secondary_entry:
    msr     daifset, #0xf
    mov     x19, x0
    bl      become_host
    adr_l   x0, oche_vectors
    msr     vbar_el2, x0
    ldp     x0, x1, [x19]                   // CoreStart { stack_top, mmu: *const MmuRegisters, slot, .. }
    ldr     x2, [x19, #16]
    msr     s3_4_c13_c0_1, x2               // CONTEXTIDR_EL2: which emergency stack is this core's
    isb
    mov     sp, x0
    mov     x29, xzr
    mov     x0, x1
    bl      oche_enable_mmu
    mov     x0, x19
    bl      oche_secondary
    b       hang

hang:
    wfi
    b       hang

// HCR_EL2.E2H = 1 with every trap off; on an Apple core the bit reads as one already.
become_host:
    mov     x0, #(1 << 34)                  // E2H
    orr     x0, x0, #(1 << 31)              // RW
    msr     hcr_el2, x0
    isb
    msr     cptr_el2, xzr                   // E2H layout: trap everything here; EL2 code touches no FP
    isb
    ret

clear_bss:
    adr_l   x0, __bss_start
    adr_l   x1, __bss_end
4:  cmp     x0, x1
    b.hs    5f
    stp     xzr, xzr, [x0], #16
    b       4b
5:  ret

// R_AARCH64_RELATIVE only: the linker script refuses anything else by keeping no other dynamic section.
relocate:
    adr_l   x0, __image_start
    adr_l   x1, __rela_start
    adr_l   x2, __rela_end
6:  cmp     x1, x2
    b.hs    7f
    ldp     x3, x4, [x1], #16               // offset, info
    ldr     x5, [x1], #8                    // addend
    cmp     w4, #1027
    b.ne    6b
    add     x5, x5, x0
    str     x5, [x0, x3]
    b       6b
7:  ret

// [x0, x3): clean and invalidate to the point of coherency, smallest line assumed by CTR_EL0.
clean_and_invalidate:
    mrs     x4, ctr_el0
    ubfx    x4, x4, #16, #4
    mov     x5, #4
    lsl     x5, x5, x4
    sub     x6, x5, #1
    bic     x0, x0, x6
8:  dc      civac, x0
    add     x0, x0, x5
    cmp     x0, x3
    b.lo    8b
    dsb     sy
    ret

// x0 = *const MmuRegisters { mair, tcr, ttbr0, sctlr }, identity-mapped, so the next instruction is where it was.
.global oche_enable_mmu
oche_enable_mmu:
    ldp     x1, x2, [x0]
    ldp     x3, x4, [x0, #16]
    msr     mair_el2, x1
    msr     tcr_el2, x2
    msr     ttbr0_el2, x3
    isb
    tlbi    alle2
    dsb     nsh
    isb
    msr     sctlr_el2, x4
    isb
    ic      iallu
    dsb     nsh
    isb
    ret
