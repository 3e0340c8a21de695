// The one place of EL2 that touches SIMD registers: it moves one between the guest and memory, for an access that was
// decoded. x0 = number, x1 = 16 bytes. CPTR_EL2 lets FP through while a guest is on the core.

.arch_extension fp
.arch_extension simd

.section .text.simd, "ax"

.global oche_read_vector
oche_read_vector:
    adr     x2, 1f
    and     x0, x0, #31
    add     x2, x2, x0, lsl #3
    br      x2
1:
.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    str     q\n, [x1]
    ret
.endr

.global oche_write_vector
oche_write_vector:
    adr     x2, 1f
    and     x0, x0, #31
    add     x2, x2, x0, lsl #3
    br      x2
1:
.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ldr     q\n, [x1]
    ret
.endr
