//! A GIC as the specification tells it, without list registers: every interrupt's state in one place, every CPU
//! looks at it directly (IHI 0069, chapter 4). Slow, obvious, the measure of the other.

extern crate std;

use std::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Irq {
    pub(super) enabled: bool,
    pub(super) group1: bool,
    pub(super) edge: bool,
    pub(super) line: bool,
    pub(super) latch: bool,
    pub(super) active: bool,
    pub(super) priority: u8,
    /// The priority at which it was acknowledged, and by whom.
    pub(super) taken: Option<(u8, usize)>,
    pub(super) target: Option<usize>,
}

impl Irq {
    pub(super) fn pending(&self) -> bool {
        self.latch || (self.line && !self.edge)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Cpu {
    pub(super) awake: bool,
    pub(super) mask: u8,
    pub(super) binary_point: u8,
    pub(super) split: bool,
    /// Group priorities that run.
    pub(super) running: Vec<u8>,
    private: Vec<Irq>,
}

pub(super) struct Naive {
    pub(super) on: bool,
    pub(super) cpus: Vec<Cpu>,
    shared: Vec<Irq>,
}

impl Naive {
    /// As [`super::machine::Machine::set_up`] leaves it.
    pub(super) fn new(vcpus: usize) -> Self {
        let irq = Irq {
            group1: true,
            priority: 0xa0,
            ..Irq::default()
        };
        let private = |vcpu| {
            (0..32)
                .map(|id| Irq {
                    edge: id < 16,
                    target: Some(vcpu),
                    ..irq.clone()
                })
                .collect()
        };
        Self {
            on: true,
            cpus: (0..vcpus)
                .map(|vcpu| Cpu {
                    awake: true,
                    mask: 0xf8,
                    binary_point: 3,
                    split: false,
                    running: Vec::new(),
                    private: private(vcpu),
                })
                .collect(),
            shared: std::vec![Irq { target: Some(0), ..irq.clone() }; 256],
        }
    }

    pub(super) fn irq(&mut self, vcpu: usize, id: u32) -> &mut Irq {
        match id {
            0..32 => &mut self.cpus[vcpu].private[id as usize],
            _ => &mut self.shared[id as usize - 32],
        }
    }

    pub(super) fn raise(&mut self, vcpu: usize, id: u32, high: bool) {
        let irq = self.irq(vcpu, id);
        irq.latch |= irq.edge && high && !irq.line;
        irq.line = high;
    }

    /// All that `vcpu` could be given next, by priority alone: any of them is right.
    pub(super) fn choices(&self, vcpu: usize) -> (Option<u8>, Vec<u32>) {
        let cpu = &self.cpus[vcpu];
        if !self.on || !cpu.awake {
            return (None, Vec::new());
        }
        let ready = |irq: &Irq| {
            irq.enabled && irq.group1 && irq.pending() && !irq.active && irq.target == Some(vcpu)
        };
        let mut best = None;
        let mut same = Vec::new();
        for (id, irq) in (0..).zip(cpu.private.iter().chain(&self.shared)) {
            if !ready(irq) || best.is_some_and(|best| irq.priority > best) {
                continue;
            }
            if best != Some(irq.priority) {
                best = Some(irq.priority);
                same.clear();
            }
            same.push(id);
        }
        (best, same)
    }

    fn group(&self, vcpu: usize, priority: u8) -> u8 {
        priority & (0xff << self.cpus[vcpu].binary_point)
    }

    pub(super) fn running(&self, vcpu: usize) -> u8 {
        self.cpus[vcpu]
            .running
            .iter()
            .copied()
            .min()
            .unwrap_or(0xff)
    }

    /// What an acknowledgement may return; nothing: spurious.
    pub(super) fn acknowledgeable(&self, vcpu: usize) -> Vec<u32> {
        match self.choices(vcpu) {
            (Some(best), same)
                if best < self.cpus[vcpu].mask && self.group(vcpu, best) < self.running(vcpu) =>
            {
                same
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn acknowledge(&mut self, vcpu: usize, id: u32) {
        let irq = self.irq(vcpu, id);
        irq.latch = false;
        irq.active = true;
        let priority = irq.priority;
        irq.taken = Some((priority, vcpu));
        let group = self.group(vcpu, priority);
        self.cpus[vcpu].running.push(group);
    }

    /// The end of the interrupt that was acknowledged last.
    pub(super) fn end(&mut self, vcpu: usize, id: u32) {
        self.cpus[vcpu].running.pop();
        if !self.cpus[vcpu].split {
            self.deactivate(vcpu, id);
        }
    }

    pub(super) fn deactivate(&mut self, vcpu: usize, id: u32) {
        let irq = self.irq(vcpu, id);
        irq.active = false;
        irq.taken = None;
    }
}
