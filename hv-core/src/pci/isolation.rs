//! Which functions can reach each other without the IOMMU, and which look alike to it.

use super::capability::PortKind;
use super::{Bus, Capabilities, ConfigSpace, Function, HostFunction};

/// Access control services of a port that keep apart what is behind it: source validation, request
/// redirect, completion redirect, upstream forwarding (PCI Express Base 4.0, 6.12.1).
const OF_A_PORT: u32 = 1 << 0 | INSIDE_A_DEVICE | 1 << 4;
/// Those that keep functions of one device apart: request and completion redirect.
const INSIDE_A_DEVICE: u32 = 1 << 2 | 1 << 3;
/// What is switched on where it is there: all of these, and translation blocking, because no
/// device's own translations are to be believed.
const SWITCHED_ON: u32 = OF_A_PORT | 1 << 1;

/// How a bridge or function keeps things apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isolation {
    /// Everything goes up to the root complex, with the requester's own id.
    Apart,
    /// With its own id, but perhaps straight to a neighbour.
    Together,
    /// Perhaps with the bridge's id: a bus that is not PCI Express is behind it.
    Alias,
}

/// Switches a port's access control on, and tells what it is worth.
pub(super) fn isolate(
    config: &impl ConfigSpace,
    function: Function,
    capabilities: &Capabilities,
    multifunction: bool,
) -> Isolation {
    let Some(express) = capabilities.express else {
        return Isolation::Alias;
    };
    match express.kind {
        PortKind::Root | PortKind::Downstream => {
            if access_control(config, function, capabilities) & OF_A_PORT == OF_A_PORT {
                Isolation::Apart
            } else {
                Isolation::Together
            }
        }
        // It has nothing beside it to redirect to.
        PortKind::Upstream if !multifunction => Isolation::Apart,
        PortKind::Upstream => Isolation::Together,
        PortKind::Endpoint | PortKind::Other => Isolation::Alias,
    }
}

/// Switches a function's access control on: does it keep the function apart from the others of its
/// device?
pub(super) fn is_apart_in_its_device(
    config: &impl ConfigSpace,
    function: Function,
    capabilities: &Capabilities,
) -> bool {
    access_control(config, function, capabilities) & INSIDE_A_DEVICE == INSIDE_A_DEVICE
}

/// Switches access control on, and tells what there is of it.
fn access_control(
    config: &impl ConfigSpace,
    function: Function,
    capabilities: &Capabilities,
) -> u32 {
    let word = capabilities.acs.and_then(|at| at.checked_add(4));
    let Some(word) = word.filter(|word| *word < 0x1000) else {
        return 0;
    };
    // The capability register in the lower half is read-only, the control register is the upper.
    let there = config.read32(function, word) & 0xffff & SWITCHED_ON;
    config.write32(function, word, there << 16);
    there
}

/// The first bridge above a function behind which accesses may carry the bridge's id.
pub(super) fn alias_of(bus: &Bus, found: &HostFunction) -> Option<Function> {
    found.path.iter().copied().find(|function| {
        bus.bridge(*function)
            .is_none_or(|bridge| bridge.isolation == Isolation::Alias)
    })
}

/// The topmost bus above a function on which ports are not all apart makes one group of all that
/// is behind them: the access control of the port where an access comes in decides, so one port
/// without it is enough. Where there is none, functions of one device may reach each other inside.
pub(super) fn group_of(bus: &Bus, found: &HostFunction) -> Function {
    let mut above = None;
    for bridge in &found.path {
        let joint = bus.bridges.iter().find(|other| {
            other.function.bus() == bridge.bus() && other.isolation == Isolation::Together
        });
        if let Some(joint) = joint {
            return above.unwrap_or(joint.function);
        }
        above = Some(*bridge);
    }
    if found.multifunction {
        found.function.first_of_device()
    } else {
        found.function
    }
}
