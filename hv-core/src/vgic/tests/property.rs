//! Whatever devices and guest do, a guest sees the same as on a GIC without list registers: at every step each vCPU's
//! most urgent pending interrupt, its running priority, what it acknowledges, and the registers that it reads.

extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::machine::Machine;
use super::naive::Naive;
use super::virtual_cpu::SPURIOUS;
use crate::vgic::Linking;

const VCPUS: usize = 3;
const IDS: [u32; 14] = [0, 1, 7, 15, 20, 27, 32, 33, 34, 35, 63, 64, 65, 287];
const PRIORITIES: [u8; 6] = [0x00, 0x20, 0x60, 0x80, 0xa0, 0xd8];

#[derive(Clone, Debug)]
enum Step {
    Raise(usize, usize, bool),
    Pulse(usize, usize),
    Sgi(usize, u64, bool, usize),
    /// By, of, register, interrupt.
    Bit(usize, usize, Register, usize),
    Priority(usize, usize, usize, usize),
    Route(usize, usize, u64),
    Config(usize, usize, bool),
    Distributor(usize, bool),
    Sleep(usize, usize, bool),
    Acknowledge(usize),
    End(usize),
    Deactivate(usize, usize),
    Mask(usize, usize),
    Split(usize, bool),
    BinaryPoint(usize, u8),
    Exit(usize),
    Read(usize, usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Register {
    Enable,
    Disable,
    Group1,
    Group0,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
}

fn step() -> impl Strategy<Value = Step> {
    use Register::*;
    let v = 0..VCPUS;
    let i = 0..IDS.len();
    let register = prop_oneof![
        6 => Just(Enable), 2 => Just(Disable), 1 => Just(Group0), 2 => Just(Group1),
        2 => Just(SetPending), 1 => Just(ClearPending), 1 => Just(SetActive), 2 => Just(ClearActive)
    ];
    prop_oneof![
        4 => (v.clone(), i.clone(), any::<bool>()).prop_map(|(v, i, h)| Step::Raise(v, i, h)),
        4 => (v.clone(), i.clone()).prop_map(|(v, i)| Step::Pulse(v, i)),
        2 => (v.clone(), 0_u64..8, prop::bool::weighted(0.2), 0_usize..4)
            .prop_map(|(v, t, e, i)| Step::Sgi(v, t, e, i)),
        6 => (v.clone(), v.clone(), register, i.clone()).prop_map(|(v, o, r, i)| Step::Bit(v, o, r, i)),
        2 => (v.clone(), v.clone(), i.clone(), 0..PRIORITIES.len())
            .prop_map(|(v, o, i, p)| Step::Priority(v, o, i, p)),
        1 => (v.clone(), i.clone(), 0_u64..4).prop_map(|(v, i, t)| Step::Route(v, i, t)),
        1 => (v.clone(), i.clone(), any::<bool>()).prop_map(|(v, i, e)| Step::Config(v, i, e)),
        1 => (v.clone(), prop::bool::weighted(0.8)).prop_map(|(v, on)| Step::Distributor(v, on)),
        1 => (v.clone(), v.clone(), prop::bool::weighted(0.2)).prop_map(|(v, o, s)| Step::Sleep(v, o, s)),
        10 => v.clone().prop_map(Step::Acknowledge),
        8 => v.clone().prop_map(Step::End),
        3 => (v.clone(), 0_usize..8).prop_map(|(v, n)| Step::Deactivate(v, n)),
        1 => (v.clone(), 0..PRIORITIES.len()).prop_map(|(v, p)| Step::Mask(v, p)),
        2 => (v.clone(), prop::bool::weighted(0.7)).prop_map(|(v, s)| Step::Split(v, s)),
        1 => (v.clone(), 3_u8..8).prop_map(|(v, p)| Step::BinaryPoint(v, p)),
        1 => v.clone().prop_map(Step::Exit),
        2 => (v.clone(), v, i).prop_map(|(v, o, i)| Step::Read(v, o, i)),
    ]
}

struct Both {
    machine: Machine,
    naive: Naive,
    /// Acknowledged and not yet ended, in order.
    nested: [Vec<u32>; VCPUS],
    /// Ended with `EOImode` 1 and not yet deactivated: interrupt and the vCPU that it is private to.
    dropped: Vec<(usize, u32)>,
}

impl Both {
    fn new(lrs: usize) -> Self {
        let mut machine = Machine::new(VCPUS, lrs, Linking::Hardware);
        machine.set_up();
        Self {
            machine,
            naive: Naive::new(VCPUS),
            nested: Default::default(),
            dropped: Vec::new(),
        }
    }

    fn bit(&mut self, by: usize, of: usize, register: Register, id: u32) {
        let irq = self.naive.irq(of, id);
        let base = match register {
            Register::Enable => {
                irq.enabled = true;
                0x100
            }
            Register::Disable => {
                irq.enabled = false;
                0x180
            }
            Register::Group1 | Register::Group0 => {
                irq.group1 = matches!(register, Register::Group1);
                return self.group(by, of, id);
            }
            Register::SetPending => {
                irq.latch = true;
                0x200
            }
            Register::ClearPending => {
                irq.latch = false;
                0x280
            }
            Register::SetActive => {
                irq.active = true;
                0x300
            }
            Register::ClearActive => {
                let taken = irq.taken;
                let of = taken.map_or(of, |(_, vcpu)| vcpu);
                let dropped = self.dropped.iter().position(|entry| *entry == (of, id));
                // What runs is ended, not cleared: an end that meets an inactive one is UNPREDICTABLE.
                match dropped {
                    Some(n) => drop(self.dropped.remove(n)),
                    None if taken.is_some() => return,
                    None => {}
                }
                self.naive.deactivate(of, id);
                0x380
            }
        };
        self.machine.write_bit(by, of, base, id);
    }

    fn group(&mut self, by: usize, of: usize, id: u32) {
        let first = id / 32 * 32;
        let word = (0..32).fold(0, |word, n| {
            word | u64::from(self.naive.irq(of, first + n).group1) << n
        });
        let offset = 0x80 + u64::from(id / 32) * 4;
        match id {
            0..32 => self
                .machine
                .write_private(by, of, 0x1_0000 + offset, 4, word),
            _ => self.machine.write(by, offset, 4, word),
        }
    }

    fn config(&mut self, by: usize, id: u32, edge: bool) {
        if id < 32 {
            return;
        }
        self.naive.irq(0, id).edge = edge;
        let first = id / 16 * 16;
        let word = (0..16).fold(0, |word, n| {
            word | u64::from(self.naive.irq(0, first + n).edge) << (2 * n + 1)
        });
        self.machine
            .write(by, 0xc00 + u64::from(id / 16) * 4, 4, word);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Raise(v, i, high) if IDS[i] >= 16 => {
                self.naive.raise(v, IDS[i], high);
                self.machine.aside(|vgic| vgic.raise(v, IDS[i], high));
            }
            Step::Raise(..) => {}
            Step::Pulse(v, i) => {
                self.naive.irq(v, IDS[i]).latch = true;
                self.machine.pulse(v, IDS[i]);
            }
            Step::Sgi(from, targets, others, i) => {
                let id = IDS[i];
                for v in 0..VCPUS {
                    let chosen = if others {
                        v != from
                    } else {
                        targets >> v & 1 != 0
                    };
                    let irq = self.naive.irq(v, id);
                    irq.latch |= chosen && irq.group1;
                }
                let value = targets | u64::from(id) << 24 | u64::from(others) << 40;
                self.machine.exit(from, |vgic| vgic.send_sgi(from, value));
            }
            Step::Bit(by, of, register, i) => self.bit(by, of, register, IDS[i]),
            Step::Priority(by, of, i, p) => {
                self.naive.irq(of, IDS[i]).priority = PRIORITIES[p];
                self.machine.set_priority(by, of, IDS[i], PRIORITIES[p]);
            }
            Step::Route(by, i, target) if IDS[i] >= 32 => {
                let there = usize::try_from(target).unwrap();
                self.naive.irq(0, IDS[i]).target = (there < VCPUS).then_some(there);
                self.machine
                    .write(by, 0x6000 + u64::from(IDS[i]) * 8, 8, target);
            }
            Step::Route(..) => {}
            Step::Config(by, i, edge) => self.config(by, IDS[i], edge),
            Step::Distributor(by, on) => {
                self.naive.on = on;
                self.machine.write(by, 0, 4, u64::from(on) << 1);
            }
            Step::Sleep(by, of, sleep) => {
                self.naive.cpus[of].awake = !sleep;
                self.machine
                    .write_private(by, of, 0x14, 4, u64::from(sleep) << 1);
            }
            Step::Acknowledge(v) => self.acknowledge(v),
            Step::End(v) => self.end(v),
            Step::Deactivate(v, n) => {
                if n < self.dropped.len() && self.naive.cpus[v].split {
                    let (of, id) = self.dropped[n];
                    if id >= 32 || of == v {
                        self.dropped.remove(n);
                        self.naive.deactivate(of, id);
                        self.machine.deactivate(v, id);
                    }
                }
            }
            Step::Mask(v, p) => {
                self.naive.cpus[v].mask = PRIORITIES[p];
                self.machine.set_mask(v, PRIORITIES[p]);
            }
            // A change while priorities run is the guest's mistake.
            Step::Split(v, split) if self.nested[v].is_empty() => {
                self.naive.cpus[v].split = split;
                self.machine.set_split(v, split);
            }
            Step::BinaryPoint(v, point) if self.nested[v].is_empty() => {
                self.naive.cpus[v].binary_point = point;
                self.machine.set_binary_point(v, point);
            }
            Step::Split(..) | Step::BinaryPoint(..) => {}
            Step::Exit(v) => self.machine.exit(v, |_| Default::default()),
            Step::Read(by, of, i) => self.read(by, of, IDS[i]),
        }
        for v in 0..VCPUS {
            self.compare(v);
        }
    }

    fn acknowledge(&mut self, v: usize) {
        let right = self.naive.acknowledgeable(v);
        let id = self.machine.acknowledge(v);
        if id == SPURIOUS {
            assert!(
                right.is_empty(),
                "vCPU {v} got nothing, not one of {right:?}"
            );
            return;
        }
        assert!(
            right.contains(&id),
            "vCPU {v} got {id}, not one of {right:?}"
        );
        self.naive.acknowledge(v, id);
        self.nested[v].push(id);
    }

    fn end(&mut self, v: usize) {
        if let Some(id) = self.nested[v].pop() {
            if self.naive.cpus[v].split {
                self.dropped.push((v, id));
            }
            self.naive.end(v, id);
            self.machine.end(v, id);
        }
    }

    fn read(&mut self, by: usize, of: usize, id: u32) {
        let irq = self.naive.irq(of, id).clone();
        for (base, right) in [
            (0x80, irq.group1),
            (0x100, irq.enabled),
            (0x200, irq.pending()),
            (0x380, irq.active),
        ] {
            let is = self.machine.read_bit(by, of, base, id);
            assert_eq!(is, right, "register {base:#x} of interrupt {id}");
        }
    }

    fn compare(&mut self, v: usize) {
        let (_, choices) = self.naive.choices(v);
        let first = self.machine.first_pending(v);
        assert!(
            choices.contains(&first) || (choices.is_empty() && first == SPURIOUS),
            "vCPU {v} sees {first}, not one of {choices:?}"
        );
        assert_eq!(self.machine.running(v), self.naive.running(v));
    }

    /// Everything is enabled and taken until nothing is left.
    fn drain(&mut self) {
        self.step(&Step::Distributor(0, true));
        for v in 0..VCPUS {
            self.step(&Step::Sleep(0, v, false));
            self.machine.set_mask(v, 0xf8);
            self.naive.cpus[v].mask = 0xf8;
        }
        for (i, id) in IDS.iter().enumerate() {
            for v in 0..VCPUS {
                self.step(&Step::Bit(0, v, Register::Enable, i));
                self.step(&Step::Bit(0, v, Register::Group1, i));
                self.step(&Step::Bit(0, v, Register::ClearActive, i));
                if *id >= 16 {
                    self.step(&Step::Raise(v, i, false));
                }
            }
            self.step(&Step::Route(0, i, 1));
        }
        for v in 0..VCPUS {
            while !self.nested[v].is_empty() {
                self.step(&Step::End(v));
            }
            self.step(&Step::Split(v, true));
            while let Some(n) = self
                .dropped
                .iter()
                .position(|(of, id)| *of == v || *id >= 32)
            {
                self.step(&Step::Deactivate(v, n));
                // Those beyond the reach of the step's index shift down.
            }
            self.step(&Step::Split(v, false));
        }
        for v in 0..VCPUS {
            for _ in 0..64 {
                self.step(&Step::Acknowledge(v));
                self.step(&Step::End(v));
            }
            assert!(self.naive.choices(v).1.is_empty());
            assert!(!self.machine.vgic.is_pending(v));
        }
        for id in IDS {
            for v in 0..VCPUS {
                self.read(0, v, id);
            }
        }
    }
}

fn run(lrs: usize, steps: &[Step]) {
    let mut both = Both::new(lrs);
    for step in steps {
        both.step(step);
    }
    both.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn list_registers_do_not_show(lrs in 1_usize..6, steps in prop::collection::vec(step(), 1..150)) {
        run(lrs, &steps);
    }

    #[test]
    fn sixteen_list_registers_do_not_show(steps in prop::collection::vec(step(), 1..150)) {
        run(16, &steps);
    }

    #[test]
    fn the_trapped_interface_is_the_same_gic(steps in prop::collection::vec(step(), 1..150)) {
        run(0, &steps);
    }
}
