//! The guest's PCI functions: which there are, and what they get of the machine: streams, interrupt lines, messages.

use boot::machine::{Interrupt, Machine};
use dart_virt::{GuestDma, Host, HostStream, StreamId};
use guest_abi::config::GuestConfig;
use hv_core::layout::PCI_PIN_INTID;
use hv_core::pci::{Bus, Function, Unassignable};
use hv_core::vgic::Vgic;

use super::super::interrupts::{Feed, host, set_feed};
use super::super::messages::Messages;
use super::super::sentence::{Sentence, sentence};
use super::ingredients::{ForwardedLine, Ingredients, Lines, Route, Routes, Wire};

/// Makes interrupts of the guest out of its functions' messages, and gives it the doorbell.
pub(super) fn give_messages(
    from: &Ingredients,
    messages: Option<&Messages>,
    routes: &[Route],
) -> Result<(), Sentence> {
    let Some(messages) = messages else {
        return Ok(());
    };
    for route in routes {
        messages.assign(from.machine, route.function, from.id)?;
    }
    from.ownership
        .assign_registers(messages.doorbell(), from.id)
        .map_err(|error| sentence!("the doorbell could not be given to the guest: {error}"))
}

/// Takes both back, once no device of the guest can write any more.
pub(super) fn take_messages(
    from: &Ingredients,
    messages: Option<&Messages>,
) -> Result<(), Sentence> {
    let Some(messages) = messages else {
        return Ok(());
    };
    messages.revoke_all(from.id)?;
    from.ownership
        .withdraw_registers(messages.doorbell(), from.id)
        .map_err(|error| sentence!("the doorbell could not be taken back: {error}"))
}

/// Puts the guest's functions behind their streams.
pub(super) fn assign(
    dart: &mut GuestDma,
    host: &mut Host<'_>,
    routes: &[Route],
) -> Result<(), Sentence> {
    for route in routes {
        let stream = StreamId::new(route.stream)
            .ok_or_else(|| sentence!("a DART has no stream {}", route.stream))?;
        dart.assign(host, stream, HostStream(route.host))
            .map_err(|error| sentence!("{}: {error}", route.function))?;
    }
    Ok(())
}

/// The machine's lines that feed the guest, its cores' timers and the pins of its PCI functions; says so to the
/// machine's GIC.
pub(super) fn lines(machine: &Machine, routes: &[Route]) -> Result<Lines, Sentence> {
    let gic = host().ok_or_else(|| sentence!("the GIC was not set up"))?;
    let mut lines = Lines::new();
    let pins = routes.iter().filter_map(|route| route.wire);
    let timers = [machine.timer.virtual_timer, machine.timer.physical];
    // A timer has its own number in the guest too.
    let timers = timers.map(|machine| ForwardedLine {
        machine,
        intid: machine.intid(),
    });
    for line in timers.into_iter().chain(pins.map(|wire| wire.line)) {
        if lines.contains(&line) {
            continue;
        }
        gic.set_trigger(line.machine);
        gic.route(0, line.machine.intid());
        set_feed(line.machine.intid(), Feed::Guest(line.intid));
        lines.try_push(line).map_err(|_| {
            sentence!("the guest's devices pull more interrupt lines than Oche keeps")
        })?;
    }
    Ok(lines)
}

/// Tells the guest's GIC of them.
pub(super) fn forward(vgic: &mut Vgic, vcpus: usize, lines: &Lines) {
    for line in lines {
        let Ok(physical) = u16::try_from(line.machine.intid()) else {
            continue; // no INTID of a line is so large
        };
        let each = if line.intid < 32 { vcpus } else { 1 };
        for vcpu in 0..each {
            // Refused for a number that no guest has: such a device stays silent.
            let _ = vgic.forward(vcpu, line.intid, physical);
        }
    }
}

/// The line of a pin: functions that share a wire of the machine share an interrupt of the guest.
fn wire(routes: &Routes, pin: u8, machine: Interrupt) -> Wire {
    let known = || {
        routes
            .iter()
            .filter_map(|route| route.wire)
            .map(|wire| wire.line)
    };
    let same = known().find(|line| line.machine == machine);
    let next = known().map(|line| line.intid.saturating_add(1)).max();
    let intid = same.map_or(next.unwrap_or(PCI_PIN_INTID), |line| line.intid);
    Wire {
        pin,
        line: ForwardedLine { machine, intid },
    }
}

pub(super) fn routes(
    machine: &Machine,
    config: &GuestConfig<'_>,
    found: &Bus,
) -> Result<Routes, Sentence> {
    let mut routes = Routes::new();
    for device in &config.devices {
        let name = config.name;
        let function = Function::from_rid(device.function.requester());
        let known = found
            .assignable(function)
            .map_err(|why| sentence!("guest {name}: {why}"))?;
        let host = machine
            .pci
            .stream_of(function)
            .filter(|stream| stream.iommu == machine.smmu.phandle)
            .ok_or_else(|| sentence!("guest {name}: {}", Unassignable::NoIommu(function)))?;
        let wire = known
            .root_pin()
            .and_then(|(root, pin)| machine.pci.pin_interrupt(root, pin))
            .map(|machine| wire(&routes, known.pin, machine));
        routes.push(Route {
            function,
            stream: device.stream,
            wire,
            host: host.stream,
        });
    }
    Ok(routes)
}
