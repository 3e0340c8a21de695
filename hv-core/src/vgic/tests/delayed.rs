//! vCPUs run on cores of their own, so a kick arrives late: until then the guest goes on with old list registers.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::machine::Machine;
use super::virtual_cpu::SPURIOUS;
use crate::vgic::{Linking, VcpuSet};

const VCPUS: usize = 3;
/// Edges: two SGIs (private) and SPIs.
const IDS: [u32; 6] = [2, 9, 36, 37, 90, 200];

#[derive(Clone, Debug)]
enum Step {
    Pulse(usize, usize),
    Acknowledge(usize),
    End(usize),
    Arrive(usize),
    Bit(bool, usize, usize, usize),
    Route(usize, usize, u64),
    Priority(usize, usize, usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let v = 0..VCPUS;
    let i = 0..IDS.len();
    prop_oneof![
        6 => (v.clone(), i.clone()).prop_map(|(v, i)| Step::Pulse(v, i)),
        6 => v.clone().prop_map(Step::Acknowledge),
        6 => v.clone().prop_map(Step::End),
        3 => v.clone().prop_map(Step::Arrive),
        2 => (prop::bool::weighted(0.7), v.clone(), v.clone(), i.clone())
            .prop_map(|(e, v, o, i)| Step::Bit(e, v, o, i)),
        1 => (v.clone(), i.clone(), 0_u64..3).prop_map(|(v, i, t)| Step::Route(v, i, t)),
        1 => (v.clone(), v, i, 0_u8..4).prop_map(|(v, o, i, p)| Step::Priority(v, o, i, p * 0x40)),
    ]
}

#[derive(Default)]
struct Count {
    pulses: u32,
    taken: u32,
    /// A pulse that no acknowledgement came after.
    unseen: bool,
}

struct Run {
    machine: Machine,
    counts: [[Count; IDS.len()]; VCPUS],
    nested: [Vec<u32>; VCPUS],
}

impl Run {
    fn count(&mut self, v: usize, i: usize) -> &mut Count {
        let v = if IDS[i] < 32 { v } else { 0 };
        &mut self.counts[v][i]
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pulse(v, i) => {
                let count = self.count(v, i);
                count.pulses += 1;
                count.unseen = true;
                self.machine.aside(|vgic| vgic.pulse(v, IDS[i]));
            }
            Step::Acknowledge(v) => {
                let id = self.machine.acknowledge(v);
                if id != SPURIOUS {
                    let i = IDS.iter().position(|other| *other == id).unwrap();
                    self.nested[v].push(id);
                    let count = self.count(v, i);
                    count.taken += 1;
                    count.unseen = false;
                    assert!(
                        count.taken <= count.pulses,
                        "{id} came more often than it was sent"
                    );
                }
            }
            Step::End(v) => {
                if let Some(id) = self.nested[v].pop() {
                    self.machine.end(v, id);
                }
            }
            Step::Arrive(v) => {
                if self
                    .machine
                    .delayed
                    .is_some_and(|kicked| kicked.contains(v))
                {
                    self.machine.exit(v, |_| Default::default());
                }
            }
            Step::Bit(enable, by, of, i) => {
                let base = if enable { 0x100 } else { 0x180 };
                self.machine.write_bit(by, of, base, IDS[i]);
            }
            Step::Route(by, i, to) => {
                if IDS[i] >= 32 {
                    self.machine
                        .write(by, 0x6000 + u64::from(IDS[i]) * 8, 8, to);
                }
            }
            Step::Priority(by, of, i, p) => self.machine.set_priority(by, of, IDS[i], p),
        }
    }

    fn finish(&mut self) {
        for i in 0..IDS.len() {
            for of in 0..VCPUS {
                self.step(&Step::Bit(true, 0, of, i));
            }
        }
        for _ in 0..64 {
            for v in 0..VCPUS {
                self.step(&Step::Arrive(v));
                while !self.nested[v].is_empty() {
                    self.step(&Step::End(v));
                }
                self.step(&Step::Acknowledge(v));
            }
        }
        for count in self.counts.iter().flatten() {
            assert!(!count.unseen, "a pulse was lost");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_edge_is_neither_lost_nor_doubled_however_late_kicks_are(
        lrs in 1_usize..5,
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut machine = Machine::new(VCPUS, lrs, Linking::Hardware);
        machine.set_up();
        for vcpu in 0..VCPUS {
            for id in IDS {
                machine.write_bit(0, vcpu, 0x100, id);
            }
        }
        machine.delayed = Some(VcpuSet::EMPTY);
        let mut run = Run { machine, counts: Default::default(), nested: Default::default() };
        for step in &steps {
            run.step(step);
        }
        run.finish();
    }
}

#[test]
fn a_disable_is_pending_until_the_vcpu_that_has_the_interrupt_has_come_out() {
    const RWP: u64 = 1 << 31;
    let mut machine = Machine::new(2, 4, Linking::Hardware);
    machine.set_up();
    machine.write_bit(0, 0, 0x100, 36);
    machine.write(0, 0x6000 + 36 * 8, 8, 1);
    machine.aside(|vgic| vgic.pulse(0, 36));
    machine.delayed = Some(VcpuSet::EMPTY);
    machine.write_bit(0, 0, 0x180, 36);
    assert_ne!(machine.vgic.distributor_read(0, 4) & RWP, 0);
    assert_eq!(machine.acknowledge(1), 36);
    machine.exit(1, |_| Default::default());
    assert_eq!(machine.vgic.distributor_read(0, 4) & RWP, 0);
}

#[test]
fn a_private_disable_is_pending_in_its_redistributor() {
    let mut machine = Machine::new(2, 4, Linking::Hardware);
    machine.set_up();
    machine.write_bit(0, 1, 0x100, 20);
    machine.aside(|vgic| vgic.raise(1, 20, true));
    machine.delayed = Some(VcpuSet::EMPTY);
    machine.write_bit(0, 1, 0x180, 20);
    assert_eq!(machine.vgic.redistributor_read(1, 0, 4), 1 << 3);
    assert_eq!(machine.vgic.redistributor_read(0, 0, 4), 0);
    machine.exit(1, |_| Default::default());
    assert_eq!(machine.vgic.redistributor_read(1, 0, 4), 0);
}

#[test]
fn the_active_state_on_another_core_is_read_after_its_store() {
    let mut machine = Machine::new(2, 4, Linking::Hardware);
    machine.set_up();
    machine.write(0, 0x6000 + 36 * 8, 8, 1);
    machine.write_bit(0, 0, 0x100, 36);
    machine.aside(|vgic| vgic.pulse(0, 36));
    assert_eq!(machine.acknowledge(1), 36);
    assert!(machine.vgic.distributor_stale(0x304, 4).contains(1));
    assert!(machine.vgic.distributor_stale(0x104, 4).is_empty());
    assert!(machine.read_bit(0, 0, 0x300, 36));
    machine.end(1, 36);
    assert!(!machine.read_bit(0, 0, 0x300, 36));
}
