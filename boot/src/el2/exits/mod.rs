//! Traps: a guest's vCPU has left for EL2, and this decides how it goes on.

mod mmio;

use core::fmt::Arguments;
use core::sync::atomic::{AtomicU64, Ordering};

use guest_abi::summary::{Outcome, reason};
use hv_core::addr::Ipa;
use hv_core::arch::aarch64::core as cpu;
use hv_core::arch::aarch64::gic::Signal;
use hv_core::arch::aarch64::guest::GuestFrame;
use hv_core::psci::Action;
use hv_core::stage2::{Execute, Stage2Attributes};
use hv_core::trap::{
    Emulated, Exit, Injected, InstructionFault, StageTwoCause, SysReg, decode, emulate,
};
use hv_core::vgic::IccRegister;
use log::warn;

use super::allocator::FRAMES;
use super::guest::{self, Guest, StageTwoTlb};
use super::platform::StartRefused;
use super::{cores, interrupts};

/// Log lines that guests may cause in one run. What comes later is counted, not printed: a guest that faults in a loop
/// fills no console and waits for none.
const GUEST_LINES: u64 = 32;

static LINES: AtomicU64 = AtomicU64::new(0);

/// Logs something that a guest did, as long as it has lines left.
pub(super) fn complain(text: Arguments<'_>) {
    match LINES.fetch_add(1, Ordering::Relaxed) {
        n if n < GUEST_LINES => warn!("{text}"),
        GUEST_LINES => warn!("more of the guest's mistakes are not printed"),
        _ => {}
    }
}

/// Called by `vectors.S` for every exception from EL1 or EL0. `kind`: synchronous, IRQ, FIQ, SError.
#[unsafe(no_mangle)]
extern "C" fn oche_guest_exit(frame: &mut GuestFrame, kind: u64) {
    let core = cores::this();
    let Some((guest, vcpu)) = core.running() else {
        cores::park() // cannot be: what was left is a vCPU
    };
    match kind {
        0 => synchronous(guest, vcpu, frame),
        1 => {
            guest.counters.irq.add();
            interrupts::take(core, Signal::Irq);
        }
        2 => {
            guest.counters.fiq.add();
            interrupts::take(core, Signal::Fiq);
        }
        _ => {
            // SErrors of a guest's accesses are taken at EL1; what comes here is not known to be the guest's doing.
            guest.counters.other.add();
            complain(format_args!("SError: ESR {:#x}", cpu::exception().0));
        }
    }
    if guest.ending.load(Ordering::Acquire) {
        guest.leave();
    }
}

/// An exception that the vCPU's own instruction caused.
fn synchronous(guest: &'static Guest, vcpu: usize, frame: &mut GuestFrame) {
    let (esr, far, hpfar) = cpu::exception();
    match decode(esr, far, hpfar) {
        Exit::Hvc => {
            guest.counters.hvc.add();
            call(guest, vcpu, frame);
        }
        Exit::Smc => {
            guest.counters.smc.add();
            frame.step(true);
            call(guest, vcpu, frame);
        }
        Exit::Wait => {
            guest.counters.wfx.add();
            frame.step(true);
        }
        Exit::SystemRegister(access) => {
            guest.counters.sysreg.add();
            system_register(guest, frame, access);
        }
        Exit::Data(access) => mmio::data(guest, frame, access, esr, far),
        Exit::Instruction(fault) => instruction(guest, frame, fault, far),
        Exit::Hidden => {
            guest.counters.other.add();
            frame.inject(Injected::Undefined);
        }
        Exit::Unknown(class) => {
            guest.counters.other.add();
            complain(format_args!(
                "guest at {:#x}: exception class {class:#x} is not known here, answered as undefined",
                frame.pc
            ));
            frame.inject(Injected::Undefined);
        }
    }
}

/// `HVC` and `SMC`: PSCI and the SMC calling convention.
fn call(guest: &'static Guest, vcpu: usize, frame: &mut GuestFrame) {
    #[cfg(feature = "guards-out")]
    super::sabotage::strike();
    const INTERNAL_FAILURE: i64 = -6;
    if frame.at_el0() {
        return frame.inject(Injected::Undefined); // cannot happen: both are undefined at EL0
    }
    let arguments = [frame.x[0], frame.x[1], frame.x[2], frame.x[3]];
    let is_ram = |entry| guest.ram.host_address(Ipa::new(entry), 4).is_some();
    let action = guest.cores.lock().call(vcpu, arguments, is_ram);
    match action {
        Action::Return(value) => frame.x[0] = value.cast_unsigned(),
        Action::Start {
            vcpu,
            entry,
            context,
        } => {
            let answer = match cores::send(guest.core_of(vcpu), guest, vcpu, entry, context) {
                Ok(()) => 0,
                Err(StartRefused) => {
                    guest.cores.lock().failed(vcpu);
                    INTERNAL_FAILURE
                }
            };
            frame.x[0] = answer.cast_unsigned();
        }
        Action::Stop if guest.cores.lock().running() == 0 => {
            let reason = reason(format_args!("the guest switched its last vCPU off"));
            guest::end(guest, Outcome::Stopped, Some(reason))
        }
        Action::Stop => guest.leave(),
        Action::PowerOff => guest::end(guest, Outcome::PoweredOff, None),
        Action::Reset if guest.from.run.reboot => guest::restart(guest),
        Action::Reset => guest::end(guest, Outcome::Reset, None),
    }
}

fn system_register(guest: &Guest, frame: &mut GuestFrame, access: SysReg) {
    if let Some(register) = IccRegister::decode(access.encoding) {
        let value = (!access.read).then(|| frame.get(access.register));
        return match guest.icc(register, value) {
            Some(answer) => {
                if access.read {
                    frame.set(access.register, answer);
                }
                frame.step(true);
            }
            None => frame.inject(Injected::Undefined),
        };
    }
    match emulate(access, cpu::id_register) {
        Emulated::Read(value) => {
            frame.set(access.register, value);
            frame.step(true);
        }
        Emulated::Ignored => frame.step(true),
        Emulated::Undefined => frame.inject(Injected::Undefined),
    }
}

/// A fetch that stage 2 stopped: the first one at EL0, or a jump to where nothing is.
fn instruction(guest: &Guest, frame: &mut GuestFrame, fault: InstructionFault, far: u64) {
    guest.counters.stage2_other.add();
    let forbidden_at_el0 = fault.cause == StageTwoCause::Permission && frame.at_el0();
    if forbidden_at_el0 && userspace_reached(guest) {
        return;
    }
    let mapped = guest.stage2.lock().walk(&FRAMES, fault.ipa.get()).is_some();
    if mapped && fault.cause == StageTwoCause::Translation {
        return;
    }
    complain(format_args!(
        "guest at {:#x}: nothing to execute at {} ({:?})",
        frame.pc, fault.ipa, fault.cause
    ));
    frame.inject(Injected::FetchAbort { address: far });
}

/// The guest executes at EL0 for the first time: notes when, and lets EL0 execute from here on. Another vCPU that
/// faulted meanwhile finds it done and tries again, once; `false` for a fetch that stage 2 forbids for good.
fn userspace_reached(guest: &Guest) -> bool {
    let table = guest.stage2.lock();
    if !guest.awaits_userspace.swap(false, Ordering::AcqRel) {
        let again = guest.fetched_again.get(cpu::index());
        return again.is_some_and(|again| !again.swap(true, Ordering::Relaxed));
    }
    let ticks = cpu::ticks().saturating_sub(guest.entered.load(Ordering::Relaxed));
    guest.userspace.store(ticks.max(1), Ordering::Relaxed);
    let mut tlb = StageTwoTlb {
        granule: guest.granule,
    };
    let allow = |attributes| Stage2Attributes {
        execute: Execute::Everywhere,
        ..attributes
    };
    let (base, size) = (guest.ram.base().get(), guest.ram.host().size());
    if table.protect(&FRAMES, &mut tlb, base, size, allow).is_err() {
        complain(format_args!(
            "EL0 could not be given back its right to execute"
        ));
    }
    true
}
