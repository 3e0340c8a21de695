//! Starting and stopping cores: one vCPU is pinned to each.

use hv_core::Pa;
use hv_core::arch::aarch64::guest::{self as vcpu, GuestFrame};
use hv_core::arch::aarch64::mmu::MmuRegisters;
use hv_core::arch::aarch64::{cache, core as cpu};

use super::guest::Guest;
use super::image;
use super::platform::StartRefused;

/// What a core finds through `x0` when it starts with its MMU off; the first two fields as `entry.S` reads them.
#[repr(C)]
struct CoreStart {
    stack_top: u64,
    mmu: *const MmuRegisters,
    vcpu: usize,
    entry: u64,
    context: u64,
}

/// Starts vCPU `index` of `guest` at `entry` with `context` in `x0`.
pub(super) fn start(
    guest: &'static Guest,
    index: usize,
    entry: u64,
    context: u64,
) -> Result<(), StartRefused> {
    let (Some(stack), Some(affinity)) = (guest.stacks.get(index), guest.affinities.get(index))
    else {
        return Err(StartRefused);
    };
    let stack_top = stack.top().get();
    let start = CoreStart {
        stack_top,
        mmu: &raw const guest.mmu,
        vcpu: index,
        entry,
        context,
    };
    // SAFETY: the bottom of the stack belongs to this vCPU; PSCI's state machine lets one `CPU_ON` at a time through,
    // and a core that is still on its way off uses the top of the stack, not the bottom.
    unsafe { (stack.bottom().get() as *mut CoreStart).write(start) };
    cache::clean_and_invalidate(stack.bottom(), size_of::<CoreStart>() as u64);
    cache::clean_and_invalidate(
        Pa::new(&raw const guest.mmu as u64),
        size_of::<MmuRegisters>() as u64,
    );
    guest
        .platform
        .start_core(*affinity, image::secondary_entry(), stack.bottom())
}

/// A started core, MMU on, on its own stack.
#[unsafe(no_mangle)]
extern "C" fn oche_secondary(start: *const CoreStart) -> ! {
    // SAFETY: `start` wrote it for this core and nobody writes it again while the vCPU is on.
    let CoreStart {
        vcpu: index,
        entry,
        context,
        ..
    } = unsafe { start.read() };
    let Some(guest) = super::guest::current() else {
        hv_core::arch::aarch64::barrier::halt() // cores are started for a guest only
    };
    enter(guest, index, entry, context)
}

/// Enters the guest for the first time on this core.
pub(super) fn enter(guest: &'static Guest, index: usize, entry: u64, context: u64) -> ! {
    cpu::set_vcpu(index);
    vcpu::prepare(guest.stage2_registers, cpu::affinity());
    guest.cores.lock().started(index);
    let mut frame = GuestFrame::at(entry, context);
    // SAFETY: `prepare` has just run, nothing on this stack is needed any more, and stage 2 maps this guest's RAM, its
    // devices and nothing else (`guest::load`).
    unsafe { vcpu::enter(&mut frame) }
}
