//! The first instructions: the header of an arm64 `Image`, relocation, a stack.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .head, "ax"
    .globl _start
_start:
    b       1f
    .long   0
    .quad   0                       // text_offset
    .quad   __image_size
    .quad   0xa                     // little-endian, 4 KiB pages, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

1:  msr     daifset, #0xf
    isb
    mov     x19, x0                 // the device tree
    adrp    x20, __image_start      // where this is: linked at 0, so the difference to apply
    add     x20, x20, :lo12:__image_start
    adrp    x0, __stack_top
    add     x0, x0, :lo12:__stack_top
    mov     sp, x0

    adrp    x0, __bss_start
    add     x0, x0, :lo12:__bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
2:  cmp     x0, x1
    b.hs    3f
    stp     xzr, xzr, [x0], #16
    b       2b

3:  adrp    x0, __rela_start
    add     x0, x0, :lo12:__rela_start
    adrp    x1, __rela_end
    add     x1, x1, :lo12:__rela_end
4:  cmp     x0, x1
    b.hs    5f
    ldp     x2, x3, [x0], #16       // where, kind
    ldr     x4, [x0], #8            // what
    cmp     w3, #1027               // R_AARCH64_RELATIVE is the only kind there is
    b.ne    4b
    add     x4, x4, x20
    str     x4, [x2, x20]
    b       4b

5:  dsb     sy
    isb
    adrp    x0, payload_vectors
    add     x0, x0, :lo12:payload_vectors
    msr     vbar_el1, x0
    isb
    mov     x0, x19
    bl      {main}
6:  wfi
    b       6b

    // Where PSCI starts the second core: x0 is what CPU_ON was given.
    .globl  second_start
second_start:
    msr     daifset, #0xf
    adrp    x1, __second_stack_top
    add     x1, x1, :lo12:__second_stack_top
    mov     sp, x1
    adrp    x1, payload_vectors
    add     x1, x1, :lo12:payload_vectors
    msr     vbar_el1, x1
    isb
    bl      {second_main}
    b       6b
    "#,
    main = sym super::main,
    second_main = sym super::tests::second_main,
);

unsafe extern "C" {
    safe fn second_start();
}

/// The address at which a second core starts.
pub(super) fn second_entry() -> u64 {
    second_start as *const () as u64
}
