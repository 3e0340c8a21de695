//! Loads and stores that stage 2 stopped: emulated devices, and addresses where nothing is.

use dart_virt::seams::GuestMemory;
use hv_core::addr::Ipa;
use hv_core::arch::aarch64::guest::{GuestFrame, Vectors};
use hv_core::arch::aarch64::{barrier, core as cpu, translate};
use hv_core::layout::{
    DART_BASE, DART_SIZE, ECAM_BASE, ECAM_SIZE, GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE,
    UART_BASE, UART_SIZE, V2M_BASE, V2M_SIZE,
};
use hv_core::trap::access::{Abort, Bus, Cause, Fault, Memory, Plan, Situation, plan};
use hv_core::trap::instruction::Ordering;
use hv_core::trap::{DataAccess, EXTERNAL_ABORT, Injected, StageTwoCause};
use hv_core::vgic::v2m;

use super::super::allocator::FRAMES;
use super::super::guest::Guest;
use super::complain;

/// A window that is emulated, and the offset in it.
enum Device {
    Dart(u64),
    Distributor(u64),
    /// Both frames of one vCPU's.
    Redistributor(usize, u64),
    ConfigSpace(u64),
    Uart(u64),
    /// The frame for messages, written by a core.
    Messages(u64),
}

fn device_at(ipa: Ipa) -> Option<Device> {
    let inside = |base: Ipa, size: u64| ipa.offset_from(base).filter(|offset| *offset < size);
    if let Some(offset) = inside(DART_BASE, DART_SIZE) {
        return Some(Device::Dart(offset));
    }
    if let Some(offset) = inside(ECAM_BASE, ECAM_SIZE) {
        return Some(Device::ConfigSpace(offset));
    }
    if let Some(offset) = inside(V2M_BASE, V2M_SIZE) {
        return Some(Device::Messages(offset));
    }
    if let Some(offset) = inside(UART_BASE, UART_SIZE) {
        return Some(Device::Uart(offset));
    }
    if let Some(offset) = inside(GICD_BASE, GICD_SIZE) {
        return Some(Device::Distributor(offset));
    }
    let span = GICR_STRIDE.checked_mul(hv_core::psci::MAX_VCPUS as u64)?;
    let offset = inside(GICR_BASE, span)?;
    let (index, offset) = (offset / GICR_STRIDE, offset % GICR_STRIDE);
    Some(Device::Redistributor(index as usize, offset))
}

/// A load or store that stage 2 stopped.
pub(super) fn data(guest: &Guest, frame: &mut GuestFrame, access: DataAccess, esr: u64, far: u64) {
    let fault = Fault::of(esr, far);
    let device = device_at(access.ipa).filter(|_| access.cause == StageTwoCause::Translation);
    let Some(device) = device else {
        guest.counters.stage2_other.add();
        // An entry that became valid between the fault and now: the access is simply made again.
        let mapped = guest
            .stage2
            .lock()
            .walk(&FRAMES, access.ipa.get())
            .is_some();
        if mapped && access.cause == StageTwoCause::Translation {
            return;
        }
        complain(format_args!(
            "guest at {:#x}: nothing answers at {} ({:?})",
            frame.pc, access.ipa, access.cause
        ));
        return frame.inject(Injected::DataAbort {
            status: EXTERNAL_ABORT,
            address: far,
            write: access.write,
        });
    };
    let counter = match device {
        Device::Dart(_) => &guest.counters.dart,
        Device::Distributor(_) | Device::Redistributor(..) | Device::Messages(_) => {
            &guest.counters.gic
        }
        Device::ConfigSpace(_) => &guest.counters.pci,
        Device::Uart(_) => &guest.counters.uart,
    };
    counter.add();
    answer(guest, frame, &fault, access.ipa);
}

/// Ends an access to an emulated device as hardware would (`docs/machine.md`).
fn answer(guest: &Guest, frame: &mut GuestFrame, fault: &Fault, ipa: Ipa) {
    // Most accesses are of one register and aligned, and need nothing but the syndrome.
    let plain = fault
        .described
        .is_some_and(|transfer| fault.address.is_multiple_of(transfer.bytes.into()));
    let memory = if plain && !fault.may_straddle() {
        Memory::Device
    } else if let Some(memory) = Memory::of_par(translate::stage1(fault.address)) {
        memory
    } else {
        return; // the guest has changed its tables meanwhile: it takes its own fault when it tries again
    };
    let aarch32 = frame.is_aarch32();
    let straddles = fault.may_straddle() && memory == Memory::Normal;
    let word = if (fault.needs_instruction() || straddles) && !aarch32 {
        let Some(word) = fetch(guest, frame.pc) else {
            return; // likewise
        };
        Some(word)
    } else {
        None
    };
    let situation = Situation {
        pc: frame.pc,
        memory,
        big_endian: frame.is_big_endian(),
        aarch32,
    };
    let ended = match plan(fault, word, frame, &situation) {
        Plan::Run(run) => {
            // A device's access is in order with itself; with memory it is if the instruction says so.
            let ordered = run.ordering() != Ordering::PLAIN;
            if ordered {
                barrier::dsb_sy();
            }
            let ended = {
                let el0 = frame.at_el0();
                let mut bus = GuestBus {
                    guest,
                    fault,
                    ipa,
                    el0,
                };
                run.complete(frame, &mut Vectors, &mut bus)
            };
            if ordered {
                barrier::dsb_sy();
            }
            ended
        }
        Plan::Skip => Ok(()),
        Plan::Abort(abort) => Err(abort),
        Plan::Again => {
            let Some(repeats) = guest.repeats.get(cpu::index()) else {
                return;
            };
            if !repeats.lock().is_repeated(frame.pc, word, fault) {
                return;
            }
            let (address, write) = (fault.address, fault.write);
            Err(Abort {
                cause: Cause::External,
                address,
                write,
            })
        }
    };
    if let Some(repeats) = guest.repeats.get(cpu::index()) {
        repeats.lock().forget();
    }
    match ended {
        Ok(()) => frame.step(fault.long),
        Err(abort) => frame.inject(Injected::DataAbort {
            status: abort.cause.fault_status(),
            address: abort.address,
            write: abort.write,
        }),
    }
}

/// The instruction at `pc`, read once, through the guest's own translation and out of its RAM.
fn fetch(guest: &Guest, pc: u64) -> Option<u32> {
    let at = translate::output(translate::stage1(pc), pc)?;
    let word = guest.ram.load_u64(Ipa::new(at.get() & !7)).ok()?;
    Some((word >> ((at.get() & 4) * 8) & 0xffff_ffff) as u32)
}

/// What an access reaches: emulated devices, and nothing else. One that begins in a device's page and ends in RAM, or
/// the other way round, is refused there.
struct GuestBus<'a> {
    guest: &'a Guest,
    fault: &'a Fault,
    ipa: Ipa,
    el0: bool,
}

impl GuestBus<'_> {
    fn device(&self, address: u64) -> Option<Device> {
        let here = self.fault.ipa_of(address, self.ipa);
        // The page that trapped was allowed by stage 1; another one has to be asked for, with the guest's own rights.
        let elsewhere = || {
            let par = translate::stage1_for(address, self.fault.write, self.el0);
            translate::output(par, address)
        };
        device_at(here.or_else(elsewhere)?)
    }
}

impl Bus for GuestBus<'_> {
    fn load(&mut self, address: u64, bytes: u8) -> Option<u64> {
        load(self.guest, self.device(address)?, bytes)
    }

    fn store(&mut self, address: u64, bytes: u8, value: u64) -> Option<()> {
        store(self.guest, self.device(address)?, bytes, value)
    }
}

fn load(guest: &Guest, device: Device, bytes: u8) -> Option<u64> {
    match device {
        Device::Dart(offset) => guest.dart_load(offset, bytes).ok(),
        Device::ConfigSpace(offset) => Some(guest.bus.lock().read(offset, bytes)),
        Device::Messages(offset) => guest.messages.map(|_| v2m::read(offset, bytes)),
        Device::Uart(offset) => Some(guest.uart_load(offset, bytes)),
        Device::Distributor(offset) => Some(guest.distributor_load(offset, bytes)),
        Device::Redistributor(vcpu, offset) => match guest.lpi_frame(vcpu, offset) {
            Some(host) if bytes == 8 => Some(host.read64(offset)),
            Some(host) => Some(host.read32(offset).into()),
            None => Some(guest.redistributor_load(vcpu, offset, bytes)),
        },
    }
}

fn store(guest: &Guest, device: Device, bytes: u8, value: u64) -> Option<()> {
    match device {
        Device::Dart(offset) => guest.dart_store(offset, bytes, value).ok(),
        Device::ConfigSpace(offset) => {
            // Under the lock: what two cores ask for reaches the device in the order in which it is remembered.
            let mut bus = guest.bus.lock();
            bus.write(offset, bytes, value).apply(&guest.config_space);
            Some(())
        }
        Device::Messages(offset) => {
            guest.messages?;
            guest.interrupts(|vgic| vgic.v2m_write(offset, bytes, value));
            Some(())
        }
        Device::Uart(offset) => {
            guest.uart_store(offset, bytes, value);
            Some(())
        }
        Device::Distributor(offset) => {
            guest.distributor_store(offset, bytes, value);
            Some(())
        }
        Device::Redistributor(vcpu, offset) => {
            match guest.lpi_frame(vcpu, offset) {
                Some(host) if bytes == 8 => host.write64(offset, value),
                Some(host) => host.write32(offset, (value & 0xffff_ffff) as u32),
                None => guest.redistributor_store(vcpu, offset, bytes, value),
            }
            Some(())
        }
    }
}
