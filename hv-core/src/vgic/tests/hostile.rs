//! A guest that writes anything anywhere: no panic, no endless maintenance, bounded effects.

extern crate std;

use std::vec;

use proptest::prelude::*;

use super::machine::{HostLine, Machine};
use crate::trap::Encoding;
use crate::vgic::{IccRegister, Linking, MAX_LINES};

#[derive(Clone, Debug)]
enum Step {
    Distributor(usize, u64, u8, u64),
    Redistributor(usize, usize, u64, u8, u64),
    Icc(usize, u8, u8, u64),
    Acknowledge(usize),
    End(usize, u32),
    Deactivate(usize, u32),
    Split(usize, bool),
    BinaryPoint(usize, u8),
    Source(u8, usize, u32),
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0_u64..0x400).prop_map(|n| n * 4),
        1 => 0_u64..0x1000,
        1 => (0_u64..0x400).prop_map(|n| 0x6000 + n * 8),
        1 => any::<u64>(),
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0_u64..4]
}

fn step() -> impl Strategy<Value = Step> {
    let v = 0_usize..2;
    let bytes = prop::sample::select(vec![1_u8, 2, 4, 4, 4, 4, 8, 16, 0, 255]);
    let frame = prop_oneof![Just(0_u64), Just(0x1_0000)];
    let id = prop_oneof![0_u32..300, 1015_u32..1030, any::<u32>()];
    prop_oneof![
        6 => (v.clone(), offset(), bytes.clone(), value())
            .prop_map(|(v, o, b, x)| Step::Distributor(v, o, b, x)),
        3 => (v.clone(), 0_usize..10, frame, offset(), bytes, value())
            .prop_map(|(v, of, f, o, b, x)| Step::Redistributor(v, of, f.wrapping_add(o), b, x)),
        2 => (v.clone(), 8_u8..13, 0_u8..8, value()).prop_map(|(v, m, o, x)| Step::Icc(v, m, o, x)),
        4 => v.clone().prop_map(Step::Acknowledge),
        3 => (v.clone(), id.clone()).prop_map(|(v, i)| Step::End(v, i)),
        2 => (v.clone(), id.clone()).prop_map(|(v, i)| Step::Deactivate(v, i)),
        1 => (v.clone(), any::<bool>()).prop_map(|(v, s)| Step::Split(v, s)),
        1 => (v.clone(), 3_u8..8).prop_map(|(v, p)| Step::BinaryPoint(v, p)),
        4 => (0_u8..4, v, id).prop_map(|(k, v, i)| Step::Source(k, v, i)),
    ]
}

fn machine(lrs: usize, linking: Linking) -> Machine {
    let mut machine = Machine::new(2, lrs, linking);
    for intid in 16..288_u16 {
        let vcpus = if intid < 32 { 2 } else { 1 };
        for (vcpu, base) in [1000, 2000].into_iter().enumerate().take(vcpus) {
            let host = intid + base;
            let intid = u32::from(intid);
            assert!(machine.vgic.forward(vcpu, intid, host));
            machine.host.insert(
                host,
                HostLine {
                    vcpu,
                    guest: intid,
                    ..HostLine::default()
                },
            );
        }
    }
    machine.set_up();
    machine
}

fn run(machine: &mut Machine, step: &Step) {
    match *step {
        Step::Distributor(v, offset, bytes, value) => {
            let _ = machine.vgic.distributor_read(offset, bytes);
            let _ = machine.vgic.distributor_stale(offset, bytes);
            machine.write(v, offset, bytes, value);
        }
        Step::Redistributor(v, of, offset, bytes, value) => {
            let _ = machine.vgic.redistributor_read(of, offset, bytes);
            let _ = machine.vgic.redistributor_stale(of, offset, bytes);
            machine.write_private(v, of, offset, bytes, value);
        }
        Step::Icc(v, crm, op2, value) => {
            if let Some(register) = IccRegister::decode(Encoding(3, 0, 12, crm, op2)) {
                let _ = machine.vgic.icc_read(v, register);
                machine.exit(v, |vgic| {
                    vgic.icc_write(v, register, value).unwrap_or_default()
                });
            }
        }
        Step::Acknowledge(v) => {
            let _ = machine.acknowledge(v);
        }
        Step::End(v, id) => machine.end(v, id),
        Step::Deactivate(v, id) => machine.deactivate(v, id),
        Step::Split(v, split) => machine.set_split(v, split),
        Step::BinaryPoint(v, point) => machine.set_binary_point(v, point),
        Step::Source(kind, v, id) => machine.aside(|vgic| match kind {
            0 => vgic.raise(v, id, true),
            1 => vgic.raise(v, id, false),
            2 => vgic.physical(v, id),
            _ => vgic.pulse(v, id),
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_that_a_guest_writes_upsets_it(
        lrs in 0_usize..6,
        software in any::<bool>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let linking = if software { Linking::Software } else { Linking::Hardware };
        let mut machine = machine(lrs, linking);
        for step in &steps {
            run(&mut machine, step);
        }
    }

    #[test]
    fn list_registers_that_come_back_changed_at_will_upset_nothing(
        words in prop::collection::vec(any::<u64>(), 0..20),
        hcr in any::<u64>(),
        vcpu in 0_usize..10,
    ) {
        let mut machine = machine(16, Linking::Software);
        for intid in 32..64 {
            machine.write_bit(0, 0, 0x100, intid);
            machine.aside(|vgic| vgic.physical(0, intid));
        }
        machine.vgic.store(vcpu, &words, hcr);
        prop_assert!(machine.vgic.changes().lines().len() <= MAX_LINES);
        let mut lrs = [0; 16];
        let controls = machine.vgic.load(vcpu, &mut lrs);
        prop_assert!(controls.used <= 16);
    }
}

#[test]
fn as_many_lines_change_as_a_store_can_change() {
    let mut machine = machine(16, Linking::Software);
    for intid in 32..96 {
        machine.write_bit(0, 0, 0x100, intid);
        machine.aside(|vgic| vgic.physical(0, intid));
    }
    // All of them are taken, one batch after the other, then sixteen end in list registers and more outside.
    for _ in 0..3 {
        let mut lrs = machine.cpus[0].lrs.clone();
        lrs.iter_mut()
            .for_each(|lr| *lr = (*lr & !(3 << 62)) | 2 << 62);
        machine.vgic.store(0, &lrs, 0);
        machine.vgic.carried_out();
        let _ = machine.vgic.load(0, &mut machine.cpus[0].lrs);
        let lrs = &mut machine.cpus[0].lrs;
        lrs.iter_mut().for_each(|lr| *lr &= !(1 << 63));
    }
    let gone = [0; 16];
    machine.vgic.store(0, &gone, 31 << 27);
    assert!(machine.vgic.changes().lines().len() <= 47);
}

#[test]
fn no_vcpus_or_no_list_registers_is_no_reason_to_fall() {
    let mut machine = Machine::new(0, 4, Linking::Hardware);
    machine.vgic.distributor_write(0, 4, 2);
    machine.vgic.distributor_write(0x104, 4, 0xffff_ffff);
    machine.vgic.pulse(0, 40);
    machine.vgic.send_sgi(0, u64::MAX);
    assert_eq!(machine.vgic.load(0, &mut [0; 4]).used, 0);
    let mut one = Machine::new(1, 4, Linking::Hardware);
    one.set_up();
    one.write_bit(0, 0, 0x100, 40);
    one.vgic.pulse(0, 40);
    assert_eq!(one.vgic.load(0, &mut []).used, 0);
}
