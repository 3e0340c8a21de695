//! A guest that starts anew: all that it had is taken back as at its end, but for its memory, which is filled again.

use core::sync::atomic::Ordering;

use dart_virt::GuestDma;
use guest_abi::summary::{Outcome, reason};
use hv_core::psci::Cores;
use log::info;

use super::super::cores;
use super::super::sentence::{Sentence, sentence};
use super::devices::{assign, forward, give_messages, take_messages};
use super::files::fill_ram;
use super::interrupts::vgic;
use super::{Guest, end};

/// Starts the guest anew, from whichever core; this core waits for orders then. A guest that cannot be is ended.
pub(in crate::el2) fn restart(guest: &'static Guest) -> ! {
    if guest.ending.swap(true, Ordering::SeqCst) {
        guest.leave()
    }
    let renewed = match guest.stop() {
        true => renew(guest),
        false => Err(sentence!("not every vCPU came out when it was called")),
    };
    match renewed {
        Ok((kernel, tree)) => {
            guest.ending.store(false, Ordering::SeqCst);
            let doom = guest.doom.lock().take();
            if let Some((outcome, reason)) = doom {
                end(guest, outcome, reason) // somebody asked for it meanwhile, and found the guest ending
            }
            guest.start(kernel, tree);
            cores::park()
        }
        Err(why) => {
            guest.ending.store(false, Ordering::SeqCst);
            let reason = reason(format_args!("the guest could not be started anew: {why}"));
            end(guest, Outcome::Stopped, Some(reason))
        }
    }
}

/// No vCPU runs.
fn renew(guest: &'static Guest) -> Result<(u64, u64), Sentence> {
    guest.bus.lock().silence(&guest.config_space);
    *guest.bus.lock() = guest.fresh_bus.clone();
    guest.with_dma(|dart, host| {
        dart.drain_faults(host);
        dart.shutdown(host)
            .map_err(|leftover| sentence!("its DMA could not be shut down: {leftover}"))
    })?;
    guest.reset_functions()?;
    take_messages(guest.from, guest.messages)?;
    give_messages(guest.from, guest.messages, &guest.routes)?;
    guest.with_dma(|dart, host| {
        *dart = GuestDma::renewed(host, dart).map_err(|error| sentence!("{error}"))?;
        assign(dart, host, &guest.routes)
    })?;
    let mut fresh = vgic(&guest.affinities, guest.delivery);
    forward(&mut fresh, guest.affinities.len(), &guest.lines);
    {
        let mut vgic = guest.vgic.lock();
        // What the old one has let through since it was taken off the lines is forgotten with it.
        guest.quiet_lines();
        *vgic = fresh;
    }
    guest.uart_reset();
    guest.dart_line.store(false, Ordering::Release);
    *guest.cores.lock() = Cores::new(guest.affinities.iter().copied());
    for (again, repeats) in guest.fetched_again.iter().zip(&guest.repeats) {
        again.store(false, Ordering::Relaxed);
        repeats.lock().forget();
    }
    let restarts = guest
        .restarts
        .fetch_add(1, Ordering::SeqCst)
        .saturating_add(1);
    let placement = fill_ram(
        guest.from,
        guest.ram,
        &guest.routes,
        &guest.fresh_bus,
        guest.messages.is_some(),
        &guest.targets,
        restarts,
    )?;
    info!("guest starts anew at {}", placement.kernel);
    Ok((placement.kernel.get(), placement.tree.get()))
}
