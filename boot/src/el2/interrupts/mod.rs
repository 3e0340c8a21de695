//! The machine's interrupts: all of them are taken here, at EL2, and given to whom they are for.

mod feed;
mod host;
mod tick;

use boot::machine::Machine;
use hv_core::arch::aarch64::gic::{self, FIRST_MESSAGE, Signal};
use log::warn;

pub(in crate::el2) use self::feed::{Feed, set as set_feed};
pub(in crate::el2) use self::host::host;
use super::cores::{self, Core};
use super::sentence::{Sentence, sentence};
use super::{console, control, guest};

/// Interrupts that are taken in one exit; more of them make another one.
const INTERRUPTS_PER_EXIT: usize = 8;

/// The maintenance interrupt where the device tree does not say (Arm BSA, 3.7).
const USUAL_MAINTENANCE: u32 = 25;

/// Sets the machine's GIC up for the cores with these affinities, and what is Oche's own on it.
pub(in crate::el2) fn start(machine: &Machine, affinities: &[u64]) -> Result<(), Sentence> {
    host::start(machine, affinities)?;
    let gic = host().ok_or_else(|| sentence!("the GIC was not set up"))?;
    set_feed(host::KICK, Feed::Kick);
    set_feed(maintenance(machine), Feed::Maintenance);
    set_feed(machine.timer.hypervisor.intid(), Feed::Tick);
    for (line, feed) in [
        (machine.smmu.event_queue, Feed::Iommu),
        (machine.console.interrupt, Feed::Console),
    ] {
        gic.set_trigger(line);
        gic.route(0, line.intid());
        set_feed(line.intid(), feed);
        gic.enable(0, line.intid());
    }
    console::enable_receive();
    Ok(())
}

fn maintenance(machine: &Machine) -> u32 {
    let line = machine.gic.maintenance;
    line.map_or(USUAL_MAINTENANCE, |line| line.intid())
}

/// The calling core's part. The first core also keeps the time.
pub(in crate::el2) fn start_core(core: usize, machine: &Machine) -> Result<(), Sentence> {
    let gic = host().ok_or_else(|| sentence!("the GIC was not set up"))?;
    gic.start_core(core)?;
    gic.enable(core, maintenance(machine));
    if core == 0 {
        gic.enable(core, machine.timer.hypervisor.intid());
        tick::start();
    }
    Ok(())
}

/// Takes what is pending on this core, by one of the two signals.
pub(in crate::el2) fn take(core: &'static Core, signal: Signal) {
    let running = core.running();
    for _ in 0..INTERRUPTS_PER_EXIT {
        let Some(intid) = gic::acknowledge(signal) else {
            return;
        };
        gic::drop_priority(signal, intid);
        if intid >= FIRST_MESSAGE {
            guest::message(core, running, intid);
            continue;
        }
        match feed::get(intid) {
            // The guest's end of interrupt deactivates it, or the line change that comes with it does.
            Feed::Guest(virtual_intid) => guest::physical(running, intid, virtual_intid),
            feed => own(core, intid, feed),
        }
    }
}

/// One of Oche's own. Apart from the others, so that those do not pay for what this needs.
#[inline(never)]
fn own(core: &'static Core, intid: u32, feed: Feed) {
    deal_with(core, intid, feed);
    gic::deactivate(intid);
    if matches!(feed, Feed::Tick | Feed::Console) {
        control::carry_out(); // may not come back: nothing is left to be done for this interrupt
    }
}

fn deal_with(core: &'static Core, intid: u32, feed: Feed) {
    match feed {
        Feed::Kick => cores::kicked(core),
        Feed::Maintenance => guest::attend(core),
        Feed::Tick => tick::tick(),
        Feed::Iommu => guest::faults(),
        Feed::Console => console::receive(),
        Feed::Nobody | Feed::Guest(_) => {
            warn!("interrupt {intid} is for nobody, and is switched off");
            if let Some(gic) = host() {
                gic.disable(core.index(), intid);
            }
        }
    }
}
