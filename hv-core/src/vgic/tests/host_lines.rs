//! Host interrupts that feed the guest: a device that asked is served, by either way of holding its line back,
//! and its line is left as it was found.

extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::machine::{HostLine, Machine};
use super::virtual_cpu::SPURIOUS;
use crate::vgic::lr::{self, State};
use crate::vgic::{LineChange, Linking};

const VCPUS: usize = 2;
/// Guest INTID, its vCPU, host INTID. Not the same numbers, so that they cannot be mixed up.
const LINES: [(u32, usize, u16); 5] = [
    (27, 0, 28),
    (27, 1, 29),
    (40, 0, 140),
    (41, 0, 141),
    (70, 0, 0x1abc),
];

#[derive(Clone, Debug)]
enum Step {
    Ask(usize, usize),
    Acknowledge(usize),
    Serve(usize),
    End(usize),
    /// Register, by, line.
    Bit(u64, usize, usize),
    Priority(usize, usize, u8),
    Route(usize, usize, u64),
    Split(usize, bool),
    Exit(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let v = 0..VCPUS;
    let l = 0..LINES.len();
    let bases = prop::sample::select(vec![0x100_u64, 0x100, 0x180, 0x200, 0x280]);
    prop_oneof![
        6 => (l.clone(), v.clone()).prop_map(|(l, v)| Step::Ask(l, v)),
        8 => v.clone().prop_map(Step::Acknowledge),
        6 => v.clone().prop_map(Step::Serve),
        6 => v.clone().prop_map(Step::End),
        4 => (bases, v.clone(), l.clone()).prop_map(|(b, v, l)| Step::Bit(b, v, l)),
        1 => (v.clone(), l.clone(), 0_u8..4).prop_map(|(v, l, p)| Step::Priority(v, l, p * 0x20)),
        1 => (v.clone(), l, 0_u64..2).prop_map(|(v, l, t)| Step::Route(v, l, t)),
        1 => (v.clone(), any::<bool>()).prop_map(|(v, s)| Step::Split(v, s)),
        1 => v.prop_map(Step::Exit),
    ]
}

struct Guest {
    machine: Machine,
    nested: [Vec<u32>; VCPUS],
    split: [bool; VCPUS],
    /// Made pending by register since it was last taken.
    soft: [bool; LINES.len()],
    /// Taken when its device had not asked.
    early: [bool; LINES.len()],
}

fn line(vcpu: usize, id: u32) -> usize {
    LINES
        .iter()
        .position(|(g, v, _)| *g == id && (id >= 32 || *v == vcpu))
        .unwrap()
}

pub(super) fn machine(lrs: usize, linking: Linking) -> Machine {
    let mut machine = Machine::new(VCPUS, lrs, linking);
    for (guest, vcpu, host) in LINES {
        assert!(machine.vgic.forward(vcpu, guest, host));
        machine.host.insert(
            host,
            HostLine {
                vcpu,
                guest,
                ..HostLine::default()
            },
        );
    }
    machine.strict = true;
    machine.set_up();
    machine
}

impl Guest {
    fn new(lrs: usize, linking: Linking) -> Self {
        Self {
            machine: machine(lrs, linking),
            nested: Default::default(),
            split: [false; VCPUS],
            soft: [false; LINES.len()],
            early: [false; LINES.len()],
        }
    }

    fn host(&mut self, n: usize) -> &mut HostLine {
        self.machine.host.get_mut(&LINES[n].2).unwrap()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Ask(l, on) => {
                self.host(l).high = true;
                self.machine.fire(on);
            }
            Step::Acknowledge(v) => {
                let id = self.machine.acknowledge(v);
                if id != SPURIOUS {
                    let l = line(v, id);
                    let soft = core::mem::take(&mut self.soft[l]);
                    self.early[l] = !self.host(l).high;
                    assert!(soft || !self.early[l], "{id} came for nothing");
                    self.nested[v].push(id);
                }
            }
            Step::Serve(v) => {
                if let Some(id) = self.nested[v].last() {
                    let l = line(v, *id);
                    self.host(l).high = false;
                    // A request that came meanwhile is served here, and its interrupt comes for nothing: nobody
                    // sees a host's wire fall.
                    self.soft[l] |= self.early[l];
                }
            }
            Step::End(v) => {
                if let Some(id) = self.nested[v].pop() {
                    self.machine.end(v, id);
                    if self.split[v] {
                        self.machine.deactivate(v, id);
                    }
                    self.machine.fire(v);
                }
            }
            Step::Bit(base, by, l) => {
                let (guest, of, _) = LINES[l];
                match base {
                    0x200 => self.soft[l] = true,
                    0x280 => self.soft[l] = false,
                    _ => {}
                }
                self.machine.write_bit(by, of, base, guest);
            }
            Step::Priority(by, l, p) => self.machine.set_priority(by, LINES[l].1, LINES[l].0, p),
            Step::Route(by, l, to) => {
                if LINES[l].0 >= 32 {
                    self.machine
                        .write(by, 0x6000 + u64::from(LINES[l].0) * 8, 8, to);
                }
            }
            Step::Split(v, split) => {
                if self.nested[v].is_empty() {
                    self.split[v] = split;
                    self.machine.set_split(v, split);
                }
            }
            Step::Exit(v) => self.machine.exit(v, |_| Default::default()),
        }
    }

    fn finish(&mut self) {
        for l in 0..LINES.len() {
            self.step(&Step::Bit(0x100, 0, l));
        }
        for _ in 0..4 * LINES.len() {
            for v in 0..VCPUS {
                self.step(&Step::Acknowledge(v));
                while !self.nested[v].is_empty() {
                    self.step(&Step::Serve(v));
                    self.step(&Step::End(v));
                }
            }
        }
        for l in 0..LINES.len() {
            let line = self.host(l).clone();
            assert!(!line.high, "{line:?} was never served");
            assert!(line.enabled && !line.active, "{line:?} is still held back");
        }
        for v in 0..VCPUS {
            self.step(&Step::Exit(v));
        }
        let mut left = 0;
        self.machine.vgic.release_all(|line| {
            left += usize::from(line.change == LineChange::Disable);
            assert_ne!(line.change, LineChange::Deactivate);
        });
        assert_eq!(left, LINES.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_request_is_lost_and_none_comes_twice(
        lrs in 0_usize..5,
        software in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let linking = if software { Linking::Software } else { Linking::Hardware };
        let mut guest = Guest::new(lrs, linking);
        for step in &steps {
            guest.step(step);
        }
        guest.finish();
    }
}

#[test]
fn a_linked_interrupt_names_its_host_interrupt_in_the_list_register() {
    let mut guest = Guest::new(4, Linking::Hardware);
    guest.step(&Step::Bit(0x100, 0, 4));
    guest.step(&Step::Ask(4, 1));
    let lr = guest.machine.cpus[0].lrs[0];
    assert_eq!(
        lr,
        lr::word(70, State::Pending, 0xa0, lr::Tie::Host(0x1abc))
    );
    assert!(guest.host(4).active);
    assert_eq!(guest.machine.acknowledge(0), 70);
    guest.host(4).high = false;
    guest.machine.end(0, 70);
    assert!(!guest.host(4).active);
}

#[test]
fn a_masked_interrupt_is_unmasked_when_the_guest_is_done() {
    let mut guest = Guest::new(4, Linking::Software);
    guest.step(&Step::Bit(0x100, 0, 0));
    assert!(guest.host(0).enabled);
    guest.step(&Step::Ask(0, 0));
    assert!(!guest.host(0).enabled && !guest.host(0).active);
    assert_ne!(guest.machine.cpus[0].lrs[0] & lr::EOI, 0);
    assert_eq!(guest.machine.acknowledge(0), 27);
    guest.host(0).high = false;
    assert!(!guest.host(0).enabled);
    guest.machine.end(0, 27);
    assert!(guest.host(0).enabled);
}

#[test]
fn a_host_line_follows_the_enable_register_of_the_guest() {
    for linking in [Linking::Hardware, Linking::Software] {
        let mut guest = Guest::new(4, linking);
        assert!(!guest.host(2).enabled);
        guest.step(&Step::Bit(0x100, 0, 2));
        assert!(guest.host(2).enabled);
        guest.step(&Step::Bit(0x180, 1, 2));
        assert!(!guest.host(2).enabled);
    }
}

#[test]
fn a_timer_that_was_moved_before_its_interrupt_was_taken_is_not_delivered() {
    let mut guest = Guest::new(4, Linking::Hardware);
    guest.step(&Step::Bit(0x100, 0, 0));
    guest.step(&Step::Ask(0, 0));
    guest.host(0).high = false;
    guest.machine.exit(0, |vgic| vgic.raise(0, 27, false));
    assert_eq!(guest.machine.acknowledge(0), SPURIOUS);
    assert!(!guest.host(0).active);
}

#[test]
fn a_host_line_goes_where_the_guest_routes_it() {
    let mut guest = Guest::new(4, Linking::Hardware);
    let mut routed = Vec::new();
    guest.machine.exit(0, |vgic| {
        vgic.distributor_write(0x6000 + 40 * 8, 8, 1);
        routed.extend(
            vgic.changes()
                .lines()
                .iter()
                .map(|line| (line.physical, line.change)),
        );
    });
    assert_eq!(routed, [(140, LineChange::Route(1))]);
}

#[test]
fn only_peripheral_interrupts_can_be_fed_by_the_host() {
    let mut machine = machine(4, Linking::Hardware);
    for (intid, allowed) in [
        (15, false),
        (16, true),
        (287, true),
        (288, false),
        (u32::MAX, false),
    ] {
        assert_eq!(machine.vgic.forward(0, intid, 99), allowed);
    }
    // And nothing that is not fed is taken for it.
    machine.vgic.physical(0, 50);
    assert_eq!(*machine.vgic.changes(), Default::default());
}
