// Executes loads and stores at EL1 of QEMU's `virt` machine and prints what became of registers and memory.
//
// Records of 1024 bytes lie at 0x8000_0000 (effects.rs writes them): x0 to x30, sp, v0 to v31, the instruction (0 ends
// the list), bytes that it may read and write. For each, one line on the UART: a hash of the record afterwards.

.equ UART, 0x09000000
.equ RECORDS, 0x80000000
.equ WORD, 768

.text
.global _start
_start:
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el1, x0
    mov     x0, #(3 << 20)                  // CPACR_EL1.FPEN
    msr     cpacr_el1, x0
    mov     x0, #0xff                       // attribute 0: Normal write-back; attribute 1: Device
    msr     mair_el1, x0
    ldr     x0, =0x803519                   // 39 bits, 4K, inner shareable write-back, no TTBR1
    msr     tcr_el1, x0
    adrp    x0, table
    msr     ttbr0_el1, x0
    isb
    ldr     x0, =0x30d01805                 // M, C, I and what is RES1; no alignment checks
    msr     sctlr_el1, x0
    isb
    ldr     x28, =RECORDS
next:
    ldr     w1, [x28, #WORD]
    cbz     w1, end
    adr     x2, slot
    str     w1, [x2]
    dc      cvau, x2
    dsb     ish
    ic      ivau, x2
    dsb     ish
    isb
    msr     tpidr_el1, x28
    add     x0, x28, #256
    ld1     {v0.2d-v3.2d}, [x0], #64
    ld1     {v4.2d-v7.2d}, [x0], #64
    ld1     {v8.2d-v11.2d}, [x0], #64
    ld1     {v12.2d-v15.2d}, [x0], #64
    ld1     {v16.2d-v19.2d}, [x0], #64
    ld1     {v20.2d-v23.2d}, [x0], #64
    ld1     {v24.2d-v27.2d}, [x0], #64
    ld1     {v28.2d-v31.2d}, [x0], #64
    ldr     x0, [x28, #248]
    mov     sp, x0
    mov     x0, x28
    .irp    n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    ldr     x\n, [x0, #(8 * \n)]
    .endr
    ldr     x0, [x0]
slot:
    nop
    msr     tpidr_el0, x0
    mrs     x0, tpidr_el1
    .irp    n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    str     x\n, [x0, #(8 * \n)]
    .endr
    mov     x28, x0
    mrs     x1, tpidr_el0
    str     x1, [x28]
    mov     x1, sp
    str     x1, [x28, #248]
    add     x0, x28, #256
    st1     {v0.2d-v3.2d}, [x0], #64
    st1     {v4.2d-v7.2d}, [x0], #64
    st1     {v8.2d-v11.2d}, [x0], #64
    st1     {v12.2d-v15.2d}, [x0], #64
    st1     {v16.2d-v19.2d}, [x0], #64
    st1     {v20.2d-v23.2d}, [x0], #64
    st1     {v24.2d-v27.2d}, [x0], #64
    st1     {v28.2d-v31.2d}, [x0], #64
    // The hash of effects.rs over 128 words.
    mov     x0, #0
    ldr     x1, =0x9e3779b97f4a7c15
    mov     x2, #128
1:  ldr     x3, [x28], #8
    eor     x0, x0, x3
    mul     x0, x0, x1
    eor     x0, x0, x0, lsr #32
    subs    x2, x2, #1
    b.ne    1b
print:
    ldr     x4, =UART
    mov     x2, #32
2:  sub     x2, x2, #4
    lsr     x3, x0, x2
    and     x3, x3, #15
    cmp     x3, #10
    add     x5, x3, #'0'
    add     x6, x3, #('a' - 10)
    csel    x3, x5, x6, lo
    strb    w3, [x4]
    cbnz    x2, 2b
    mov     w3, #'\n'
    strb    w3, [x4]
    b       next

end:
    mov     w0, #0x0008                     // PSCI SYSTEM_OFF
    movk    w0, #0x8400, lsl #16
    hvc     #0
    b       .

.ltorg

.balign 2048
vectors:
    .rept   16
    b       fault
    .balign 128
    .endr
fault:
    // Printed as a hash that is none: the generator refuses the line.
    ldr     x4, =UART
    mov     w3, #'!'
    strb    w3, [x4]
    mrs     x28, tpidr_el1
    add     x28, x28, #1024
    mov     x0, #0
    ldr     x1, =print
    msr     elr_el1, x1
    mov     x1, #0x3c5
    msr     spsr_el1, x1
    eret
.ltorg

.data
.balign 4096
table:
    .quad   0x0060000000000405              // devices: EL1, read and write, never executed
    .quad   0x0000000040000701              // this program: EL1, read and write, executed
    .quad   0x0060000080000741              // records: EL0 too, for LDTR and STTR
    .fill   509, 8, 0
