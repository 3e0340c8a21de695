// EL2's exception vectors.
//
// From a guest: every general register is saved into a `GuestFrame` on the core's stack, `oche_guest_exit`
// decides, and the guest goes on with what the frame then holds. From Oche itself: an exception is a bug of
// ours, it is reported from a stack of its own (the one in use may be what broke) and nothing returns.
//
// Frame pointers chain up to the guest's frame: its slots of x29 and x30 lie as a frame record does, x29 points at
// them, and `oche_guest_exit_returns` in the record below tells a walk that it has arrived (arch/aarch64/failure.rs).

.macro guest_entry kind
    .balign 0x80
    sub     sp, sp, #(34 * 8)
    stp     x0, x1, [sp]
    mov     x0, #\kind
    b       guest_exit
.endm

.macro own_entry kind
    .balign 0x80
    msr     tpidr_el0, x0
    mov     x0, #\kind
    b       own_fault
.endm

// Where `GuestFrame` has them.
.macro save_x2_to_x27
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
.endm

.section .text.vectors, "ax"
.balign 0x800
.global oche_vectors
oche_vectors:
    own_entry 0                             // current EL, SP_EL0: synchronous, IRQ, FIQ, SError
    own_entry 1
    own_entry 2
    own_entry 3
    own_entry 4                             // current EL, SP_EL2
    own_entry 5
    own_entry 6
    own_entry 7
    guest_entry 0                           // lower EL, AArch64: synchronous, IRQ, FIQ, SError
    guest_entry 1
    guest_entry 2
    guest_entry 3
    guest_entry 0                           // lower EL, AArch32 (EL0 only: HCR_EL2.RW is set)
    guest_entry 1
    guest_entry 2
    guest_entry 3

guest_exit:
    save_x2_to_x27
    stp     x28, x29, [sp, #224]
    mrs     x1, elr_el2
    stp     x30, x1, [sp, #240]
    mrs     x1, spsr_el2
    mrs     x2, esr_el2
    stp     x1, x2, [sp, #256]
    mov     x1, x0
    mov     x0, sp
    add     x29, sp, #232
    bl      oche_guest_exit
.global oche_guest_exit_returns
oche_guest_exit_returns:
    mov     x0, sp
    // falls through: the frame is still at the top of the stack

// x0 = *const GuestFrame. Leaves EL2 with the registers it holds; the frame's memory is given back to the stack.
.global oche_enter_guest
oche_enter_guest:
    mov     sp, x0
    ldp     x30, x1, [sp, #240]
    msr     elr_el2, x1
    ldr     x1, [sp, #256]
    msr     spsr_el2, x1
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldp     x0, x1, [sp]
    add     sp, sp, #(34 * 8)
    eret

// The guest's thread registers hold what has no other place: this core does not return to it. The core's slot picks
// its emergency stack: each is a guard frame and a frame of stack (image.ld).
own_fault:
    msr     tpidrro_el0, x1
    mov     x1, sp
    msr     tpidr_el1, x1                   // where the stack was
    mrs     x1, s3_4_c13_c0_1               // CONTEXTIDR_EL2: the slot, modulo `CORE_SLOTS` whatever it holds
    and     x1, x1, #7
    add     x1, x1, #1
    lsl     x1, x1, #15
    mov     sp, x1
    adrp    x1, __stacks_emergency
    add     x1, x1, :lo12:__stacks_emergency
    add     sp, sp, x1
    sub     sp, sp, #(34 * 8)               // an `OwnFrame`
    save_x2_to_x27
    stp     x28, x29, [sp, #224]
    mrs     x2, tpidr_el0
    mrs     x3, tpidrro_el0
    stp     x2, x3, [sp]
    mrs     x1, elr_el2
    stp     x30, x1, [sp, #240]
    mrs     x1, spsr_el2
    mrs     x2, tpidr_el1
    stp     x1, x2, [sp, #256]
    mov     x1, x0
    mov     x0, sp
    mov     x29, xzr
    bl      oche_own_fault
9:  wfi
    b       9b
