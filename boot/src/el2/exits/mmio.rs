//! Loads and stores that stage 2 stopped: emulated devices, and addresses where nothing is.

use hv_core::addr::Ipa;
use hv_core::arch::aarch64::guest::GuestFrame;
use hv_core::layout::{
    DART_BASE, DART_SIZE, ECAM_BASE, ECAM_SIZE, GICR_BASE, GICR_FRAME, GICR_STRIDE,
};
use hv_core::pci::{self, ConfigEffect};
use hv_core::redistributor::{self, Access};
use hv_core::trap::{DataAccess, Injected, StageTwoCause};

use super::super::allocator::FRAMES;
use super::super::guest::Guest;
use super::complain;

/// A window that is emulated, and the offset in it.
enum Device {
    Dart(u64),
    /// RD_base of one vCPU.
    Redistributor(usize, u64),
    ConfigSpace(u64),
}

fn device_at(ipa: Ipa) -> Option<Device> {
    let inside = |base: Ipa, size: u64| ipa.offset_from(base).filter(|offset| *offset < size);
    if let Some(offset) = inside(DART_BASE, DART_SIZE) {
        return Some(Device::Dart(offset));
    }
    if let Some(offset) = inside(ECAM_BASE, ECAM_SIZE) {
        return Some(Device::ConfigSpace(offset));
    }
    let span = GICR_STRIDE.checked_mul(hv_core::psci::MAX_VCPUS as u64)?;
    let offset = inside(GICR_BASE, span)?;
    let (index, offset) = (offset / GICR_STRIDE, offset % GICR_STRIDE);
    (offset < GICR_FRAME).then_some(Device::Redistributor(index as usize, offset))
}

/// A load or store that stage 2 stopped.
pub(super) fn data(guest: &Guest, frame: &mut GuestFrame, access: DataAccess, far: u64) {
    let nothing_there = Injected::DataAbort {
        address: far,
        write: access.write,
    };
    let device = device_at(access.ipa)
        .filter(|_| !access.walk && access.cause == StageTwoCause::Translation);
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
        return frame.inject(nothing_there);
    };
    let counter = match device {
        Device::Dart(_) => &guest.counters.dart,
        Device::Redistributor(..) => &guest.counters.redistributor,
        Device::ConfigSpace(_) => &guest.counters.pci,
    };
    counter.add();
    let Some(transfer) = access.transfer else {
        complain(format_args!(
            "guest at {:#x}: an access to {} that its syndrome does not describe",
            frame.pc, access.ipa
        ));
        return frame.inject(nothing_there);
    };
    let answered = if access.write {
        let value = frame.get(transfer.register);
        let bits = u32::from(transfer.bytes) * 8;
        let value = if bits == 64 {
            value
        } else {
            value & ((1 << bits) - 1)
        };
        store(guest, device, transfer.bytes, value)
    } else {
        load(guest, device, transfer.bytes)
            .map(|value| frame.set(transfer.register, transfer.loaded(value)))
    };
    match answered {
        Some(()) => frame.step(access.long),
        None => frame.inject(nothing_there),
    }
}

fn load(guest: &Guest, device: Device, bytes: u8) -> Option<u64> {
    match device {
        Device::Dart(offset) => guest.dart_load(offset, bytes).ok(),
        Device::ConfigSpace(offset) => Some(guest.bus.lock().read(offset, bytes)),
        Device::Redistributor(vcpu, offset) => {
            let host = guest.redistributors.get(vcpu)?;
            let last = vcpu.checked_add(1)? == guest.redistributors.len();
            let access = if guest.lpis {
                Access::Host { mask: !0, set: 0 }
            } else {
                redistributor::read(offset, bytes, last)
            };
            Some(match access {
                Access::Host { mask, set } => {
                    let value = if bytes == 8 {
                        host.read64(offset)
                    } else {
                        host.read32(offset).into()
                    };
                    (value & mask) | set
                }
                Access::Forward { .. } | Access::Nothing => 0,
            })
        }
    }
}

fn store(guest: &Guest, device: Device, bytes: u8, value: u64) -> Option<()> {
    match device {
        Device::Dart(offset) => guest.dart_store(offset, bytes, value).ok(),
        Device::ConfigSpace(offset) => {
            let mut bus = guest.bus.lock();
            match bus.write(offset, bytes, value) {
                ConfigEffect::None => {}
                ConfigEffect::SetCommand { function, command } => {
                    pci::set_command(&guest.config_space, function, command);
                }
            }
            Some(())
        }
        Device::Redistributor(vcpu, offset) => {
            let host = guest.redistributors.get(vcpu)?;
            let access = if guest.lpis {
                Access::Forward { mask: !0 }
            } else {
                redistributor::write(offset, bytes)
            };
            match access {
                Access::Forward { mask: u64::MAX } if bytes == 8 => host.write64(offset, value),
                Access::Forward { mask } => {
                    let kept = u64::from(host.read32(offset)) & !mask;
                    host.write32(offset, (((value & mask) | kept) & 0xffff_ffff) as u32);
                }
                Access::Host { .. } | Access::Nothing => {}
            }
            Some(())
        }
    }
}
