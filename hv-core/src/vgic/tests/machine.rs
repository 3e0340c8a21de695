//! A virtual GIC with its vCPUs and the host's lines, stepped by tests.

extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use super::virtual_cpu::{SPURIOUS, VirtualCpu, intid};
use crate::trap::Encoding;
use crate::vgic::{DirTrap, IccRegister, LineChange, Linking, Platform, VcpuSet, Vgic};

/// A host interrupt line, level-triggered.
#[derive(Clone, Debug, Default)]
pub(super) struct HostLine {
    pub(super) high: bool,
    pub(super) enabled: bool,
    pub(super) active: bool,
    pub(super) vcpu: usize,
    pub(super) guest: u32,
}

pub(super) struct Machine {
    pub(super) vgic: Vgic,
    pub(super) cpus: Vec<VirtualCpu>,
    pub(super) host: BTreeMap<u16, HostLine>,
    /// `ICC_*` accesses trap; the list registers stay unused.
    trapped: bool,
    linking: Linking,
    /// Kicked vCPUs leave the guest only when told to.
    pub(super) delayed: Option<VcpuSet>,
    /// Nothing at the host is deactivated that is not active.
    pub(super) strict: bool,
    /// Interrupts that went the short way.
    pub(super) quick: usize,
}

pub(super) fn icc(crn: u8, crm: u8, op2: u8) -> IccRegister {
    IccRegister::decode(Encoding(3, 0, crn, crm, op2)).unwrap()
}

impl Machine {
    /// `lrs` 0: with trapped `ICC_*`.
    pub(super) fn new(vcpus: usize, lrs: usize, linking: Linking) -> Self {
        let platform = Platform {
            linking,
            dir_trap: DirTrap::Own,
        };
        let mut vgic = Vgic::new((0..vcpus as u64).map(|n| 0x8000_0000 | n), platform);
        if lrs == 0 {
            for vcpu in 0..vcpus {
                let _ = vgic.icc_write(vcpu, icc(4, 6, 0), 0xf8);
                let _ = vgic.icc_write(vcpu, icc(12, 12, 7), 1);
            }
        }
        Self {
            vgic,
            cpus: (0..vcpus).map(|_| VirtualCpu::new(lrs)).collect(),
            host: BTreeMap::new(),
            trapped: lrs == 0,
            linking,
            delayed: None,
            strict: false,
            quick: 0,
        }
    }

    /// As a kernel sets the GIC up: awake, all in Group 1 at 0xa0, distributor on; nothing enabled.
    pub(super) fn set_up(&mut self) {
        self.write(0, 0, 4, 0b10_0010);
        for vcpu in 0..self.cpus.len() {
            self.write_private(0, vcpu, 0x14, 4, 0);
            self.write_private(0, vcpu, 0x1_0080, 4, 0xffff_ffff);
            for n in 0..8 {
                self.write_private(0, vcpu, 0x1_0400 + n * 4, 4, 0xa0a0_a0a0);
            }
        }
        for n in 1..9 {
            self.write(0, 0x80 + n * 4, 4, 0xffff_ffff);
        }
        for n in 8..72 {
            self.write(0, 0x400 + n * 4, 4, 0xa0a0_a0a0);
        }
        self.write(0, 0, 4, 0b11_0010);
    }

    pub(super) fn leave(&mut self, vcpu: usize) {
        if self.trapped {
            return;
        }
        if let Some(kicked) = &mut self.delayed {
            kicked.remove(vcpu);
        }
        let cpu = &mut self.cpus[vcpu];
        self.vgic.store(vcpu, &cpu.lrs, cpu.hcr);
        cpu.lrs.fill(0);
        cpu.hcr = 0;
        self.apply(Some(vcpu));
    }

    pub(super) fn enter(&mut self, vcpu: usize) {
        if self.trapped {
            return;
        }
        let cpu = &mut self.cpus[vcpu];
        let controls = self.vgic.load(vcpu, &mut cpu.lrs);
        assert!(cpu.lrs[controls.used..].iter().all(|lr| *lr == 0));
        cpu.hcr = controls.hcr;
        cpu.assert_well_formed();
        assert_eq!(cpu.misr(), 0, "a maintenance interrupt comes back at once");
    }

    /// An exit of `vcpu` during which `call` runs.
    pub(super) fn exit(&mut self, vcpu: usize, call: impl FnOnce(&mut Vgic)) {
        self.leave(vcpu);
        call(&mut self.vgic);
        self.apply(Some(vcpu));
        self.enter(vcpu);
        self.fire(vcpu);
    }

    /// Something that happens at EL2 on a core that runs no vCPU of these.
    pub(super) fn aside(&mut self, call: impl FnOnce(&mut Vgic)) {
        call(&mut self.vgic);
        self.apply(None);
        self.fire(0);
    }

    /// Which list registers are empty.
    fn empty(&self, vcpu: usize) -> u32 {
        let lrs = self.cpus[vcpu].lrs.iter().enumerate();
        lrs.filter(|(_, lr)| **lr >> 62 == 0)
            .fold(0, |empty, (n, _)| empty | 1 << n)
    }

    /// An edge that is taken on the core of `vcpu`: the short way where there is one.
    pub(super) fn pulse(&mut self, vcpu: usize, intid: u32) {
        let room = self.cpus[vcpu].lrs.len();
        let quick = match self.trapped {
            true => None,
            false => self.vgic.quick_pulse(vcpu, intid, self.empty(vcpu), room),
        };
        match quick {
            Some(written) => {
                self.quick += 1;
                self.cpus[vcpu].lrs[written.index] = written.word;
                self.cpus[vcpu].assert_well_formed();
            }
            None => self.exit(vcpu, |vgic| vgic.pulse(vcpu, intid)),
        }
    }

    /// Those who know better store, and go on when the vCPU at EL2 is done.
    fn synchronize(&mut self, vcpu: usize, stale: impl FnOnce(&Vgic) -> VcpuSet) -> VcpuSet {
        self.leave(vcpu);
        let stale = stale(&self.vgic);
        assert!(!stale.contains(vcpu));
        for other in stale.iter() {
            self.leave(other);
        }
        stale
    }

    fn resume(&mut self, others: VcpuSet) {
        for other in others.iter() {
            self.enter(other);
        }
    }

    pub(super) fn write(&mut self, vcpu: usize, offset: u64, bytes: u8, value: u64) {
        let stale = self.synchronize(vcpu, |vgic| vgic.distributor_stale(offset, bytes));
        self.exit(vcpu, |vgic| vgic.distributor_write(offset, bytes, value));
        self.resume(stale);
    }

    pub(super) fn write_private(&mut self, vcpu: usize, of: usize, at: u64, bytes: u8, value: u64) {
        let stale = self.synchronize(vcpu, |vgic| vgic.redistributor_stale(of, at, bytes));
        self.exit(vcpu, |vgic| vgic.redistributor_write(of, at, bytes, value));
        self.resume(stale);
    }

    /// A write to a banked register of one interrupt: `base` with one bit per interrupt.
    pub(super) fn write_bit(&mut self, vcpu: usize, of: usize, base: u64, id: u32) {
        let (offset, bit) = (base + u64::from(id / 32) * 4, 1 << (id % 32));
        match id {
            0..32 => self.write_private(vcpu, of, 0x1_0000 + offset, 4, bit),
            _ => self.write(vcpu, offset, 4, bit),
        }
    }

    /// A read of one interrupt's bit, as the run loop does it: those who know better store first.
    pub(super) fn read_bit(&mut self, vcpu: usize, of: usize, base: u64, id: u32) -> bool {
        let offset = base + u64::from(id / 32) * 4;
        let stale = self.synchronize(vcpu, |vgic| match id {
            0..32 => vgic.redistributor_stale(of, 0x1_0000 + offset, 4),
            _ => vgic.distributor_stale(offset, 4),
        });
        let word = match id {
            0..32 => self.vgic.redistributor_read(of, 0x1_0000 + offset, 4),
            _ => self.vgic.distributor_read(offset, 4),
        };
        self.resume(stale);
        self.enter(vcpu);
        word >> (id % 32) & 1 != 0
    }

    pub(super) fn set_priority(&mut self, vcpu: usize, of: usize, id: u32, priority: u8) {
        let at = 0x400 + u64::from(id);
        match id {
            0..32 => self.write_private(vcpu, of, 0x1_0000 + at, 1, priority.into()),
            _ => self.write(vcpu, at, 1, priority.into()),
        }
    }

    fn apply(&mut self, at_el2: Option<usize>) {
        let changes = self.vgic.changes().clone();
        self.vgic.carried_out();
        for line in changes.lines() {
            let Some(host) = self.host.get_mut(&line.physical) else {
                panic!("{line:?} is nobody's");
            };
            match line.change {
                LineChange::Enable => host.enabled = true,
                LineChange::Disable => host.enabled = false,
                LineChange::Deactivate => {
                    assert!(host.active || !self.strict, "{line:?} is not active");
                    host.active = false;
                }
                LineChange::Route(_) => {}
            }
        }
        for vcpu in changes.kick.iter().filter(|vcpu| Some(*vcpu) != at_el2) {
            match &mut self.delayed {
                Some(kicked) => kicked.insert(vcpu),
                None => {
                    self.leave(vcpu);
                    self.enter(vcpu);
                }
            }
        }
    }

    /// Host lines that are high and let through are taken at EL2, on the core of `vcpu`.
    pub(super) fn fire(&mut self, vcpu: usize) {
        loop {
            let ready = |line: &&mut HostLine| line.high && line.enabled && !line.active;
            let Some(line) = self.host.values_mut().find(ready) else {
                return;
            };
            line.active = self.linking == Linking::Hardware;
            let (of, guest) = (line.vcpu, line.guest);
            let room = self.cpus[vcpu].lrs.len();
            let quick = match self.trapped || (guest < 32 && of != vcpu) {
                true => None,
                false => self
                    .vgic
                    .quick_physical(vcpu, guest, self.empty(vcpu), room),
            };
            if let Some(written) = quick {
                self.quick += 1;
                self.cpus[vcpu].lrs[written.index] = written.word;
                self.cpus[vcpu].assert_well_formed();
                continue;
            }
            self.leave(vcpu);
            self.vgic.physical(of, guest);
            self.apply(Some(vcpu));
            self.enter(vcpu);
        }
    }

    fn maintain(&mut self, vcpu: usize) {
        // Bounded by what may be pending: each round takes at least one step.
        for _ in 0..1000 {
            if self.trapped || self.cpus[vcpu].misr() == 0 {
                self.fire(vcpu);
                return;
            }
            self.leave(vcpu);
            self.enter(vcpu);
        }
        panic!("maintenance interrupts without end");
    }

    pub(super) fn acknowledge(&mut self, vcpu: usize) -> u32 {
        if self.trapped {
            let id = self.vgic.icc_read(vcpu, icc(12, 12, 0)).unwrap();
            return u32::try_from(id).unwrap();
        }
        let id = self.cpus[vcpu].acknowledge();
        self.maintain(vcpu);
        id
    }

    pub(super) fn end(&mut self, vcpu: usize, id: u32) {
        if self.trapped {
            return self.icc_write(vcpu, icc(12, 12, 1), id.into());
        }
        if let Some(physical) = self.cpus[vcpu].end(id) {
            self.host.get_mut(&physical).unwrap().active = false;
        }
        self.maintain(vcpu);
    }

    pub(super) fn icc_write(&mut self, vcpu: usize, register: IccRegister, value: u64) {
        self.exit(vcpu, |vgic| vgic.icc_write(vcpu, register, value).unwrap());
    }

    /// `ICC_DIR_EL1`, which traps.
    pub(super) fn deactivate(&mut self, vcpu: usize, id: u32) {
        let stale = self.synchronize(vcpu, |vgic| vgic.deactivate_stale(vcpu, id));
        self.exit(vcpu, |vgic| vgic.deactivate(vcpu, id));
        self.resume(stale);
    }

    pub(super) fn set_mask(&mut self, vcpu: usize, mask: u8) {
        if self.trapped {
            return self.icc_write(vcpu, icc(4, 6, 0), mask.into());
        }
        self.cpus[vcpu].mask = mask;
    }

    pub(super) fn set_split(&mut self, vcpu: usize, split: bool) {
        if self.trapped {
            return self.icc_write(vcpu, icc(12, 12, 4), u64::from(split) << 1);
        }
        self.cpus[vcpu].split = split;
    }

    pub(super) fn set_binary_point(&mut self, vcpu: usize, point: u8) {
        if self.trapped {
            return self.icc_write(vcpu, icc(12, 12, 3), point.into());
        }
        self.cpus[vcpu].binary_point = point;
    }

    /// What `ICC_HPPIR1_EL1` says.
    pub(super) fn first_pending(&mut self, vcpu: usize) -> u32 {
        if self.trapped {
            return u32::try_from(self.vgic.icc_read(vcpu, icc(12, 12, 2)).unwrap()).unwrap();
        }
        let cpu = &self.cpus[vcpu];
        cpu.best().map_or(SPURIOUS, |(n, _)| intid(cpu.lrs[n]))
    }

    pub(super) fn running(&mut self, vcpu: usize) -> u8 {
        if self.trapped {
            return u8::try_from(self.vgic.icc_read(vcpu, icc(12, 11, 3)).unwrap()).unwrap();
        }
        self.cpus[vcpu].running()
    }
}
