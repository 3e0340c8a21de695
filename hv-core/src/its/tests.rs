#![allow(
    clippy::cast_possible_truncation,
    reason = "tests choose their own numbers"
)]

extern crate std;

use std::collections::BTreeMap;
use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::ownership::GuestId;

mod model;

use model::{Kind, Machine, QEMU};

const ONE: GuestId = match GuestId::new(1) {
    Some(guest) => guest,
    None => panic!("a guest number"),
};
const TWO: GuestId = match GuestId::new(2) {
    Some(guest) => guest,
    None => panic!("a guest number"),
};

/// Every machine that the driver must cope with.
fn kinds() -> Vec<Kind> {
    let mut kinds = std::vec![QEMU];
    for coherent in [true, false] {
        for indirect in [true, false] {
            for pages in [&[0_u64][..], &[1], &[2]] {
                kinds.push(Kind {
                    coherent,
                    indirect,
                    pages,
                    by_address: !coherent,
                    collection_table: !indirect,
                    device_bits: 14,
                });
            }
        }
    }
    kinds
}

/// What arrives at a core, as the guests' interrupts.
fn arrived(its: &Its<'_>, machine: &Machine, core: u64) -> Vec<Option<Routed>> {
    let lpis = machine.acknowledge(core);
    lpis.into_iter().map(|lpi| its.route(lpi)).collect()
}

#[test]
fn a_message_becomes_the_interrupt_of_its_number_in_its_own_guest() {
    for kind in kinds() {
        let machine = Machine::leaked(kind);
        let mut its = machine.start().unwrap();
        its.assign(8, ONE, 0).unwrap();
        its.assign(0x2010, TWO, 2).unwrap();
        for event in 0..300 {
            machine.message(8, event);
            let expected = (64..192).contains(&event).then_some(Some(Routed {
                guest: ONE,
                device: 8,
                event: event as u32,
            }));
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(arrived(&its, machine, 0), expected, "{kind:?} {event}");
        }
        machine.message(0x2010, 64);
        assert!(arrived(&its, machine, 0).is_empty());
        let routed = arrived(&its, machine, 2)[0].unwrap();
        assert_eq!((routed.guest, routed.device), (TWO, 0x2010));
        // A device that nobody was given says nothing.
        machine.message(9, 64);
        assert!((0..3).all(|core| arrived(&its, machine, core).is_empty()));
    }
}

#[test]
fn a_device_that_was_taken_back_sends_nothing_and_leaves_nothing() {
    for kind in kinds() {
        let machine = Machine::leaked(kind);
        let mut its = machine.start().unwrap();
        its.assign(8, ONE, 1).unwrap();
        let before = machine.arena.out();
        machine.message(8, 70);
        machine.message(8, 191);
        its.revoke(8).unwrap();
        machine.message(8, 70);
        assert!(
            machine.acknowledge(1).is_empty(),
            "what was pending is gone"
        );
        assert_eq!(machine.arena.out(), before - 1);
        assert_eq!(its.revoke(8), Err(AssignError::NotAssigned));
        // Another guest's device does not get the same LPIs at once.
        its.assign(8, TWO, 1).unwrap();
        assert_eq!(its.route(FIRST_LPI), None);
        assert_eq!(its.route(FIRST_LPI + 128).unwrap().guest, TWO);
    }
}

#[test]
fn an_interrupt_that_moves_takes_along_what_is_pending() {
    let machine = Machine::leaked(QEMU);
    let mut its = machine.start().unwrap();
    its.assign(8, ONE, 0).unwrap();
    machine.message(8, 70);
    its.retarget(FIRST_LPI + 6, 2).unwrap();
    assert!(machine.acknowledge(0).is_empty());
    assert_eq!(machine.acknowledge(2), [FIRST_LPI + 6]);
    machine.message(8, 70);
    machine.message(8, 71);
    assert_eq!(machine.acknowledge(2), [FIRST_LPI + 6]);
    assert_eq!(machine.acknowledge(0), [FIRST_LPI + 7]);
    for core in [3, MAX_VCPUS, usize::MAX] {
        assert_eq!(its.retarget(FIRST_LPI, core), Err(AssignError::NoCore));
        assert_eq!(its.assign(9, ONE, core), Err(AssignError::NoCore));
    }
    for lpi in [0, FIRST_LPI - 1, FIRST_LPI + 128, 16384, u32::MAX] {
        assert_eq!(its.retarget(lpi, 0), Err(AssignError::NotAssigned));
        assert_eq!(its.route(lpi), None);
    }
}

#[test]
fn the_queue_goes_round_many_times() {
    for coherent in [true, false] {
        let machine = Machine::leaked(Kind { coherent, ..QEMU });
        let mut its = machine.start().unwrap();
        for round in 0..100 {
            its.assign(round, ONE, 0).unwrap();
            machine.message(round.into(), 100);
            assert_eq!(arrived(&its, machine, 0)[0].unwrap().event, 100);
            its.revoke(round).unwrap();
        }
        assert!(machine.state().commands > 10 * 2048);
    }
}

#[test]
fn devices_are_limited_for_each_guest_and_in_all() {
    let machine = Machine::leaked(QEMU);
    let mut its = machine.start().unwrap();
    for id in 0..DEVICES_PER_GUEST as u32 {
        its.assign(id, ONE, 0).unwrap();
        assert_eq!(its.assign(id, TWO, 0), Err(AssignError::Taken));
    }
    assert_eq!(its.assign(100, ONE, 0), Err(AssignError::TooMany));
    for id in DEVICES_PER_GUEST..DEVICES {
        let guest = GuestId::new(10 + (id / DEVICES_PER_GUEST) as u8).unwrap();
        its.assign(id as u32, guest, 0).unwrap();
    }
    assert_eq!(its.assign(100, TWO, 0), Err(AssignError::TooMany));
    its.revoke_all(ONE).unwrap();
    its.assign(100, TWO, 0).unwrap();
    machine.message(0, 64);
    machine.message(100, 64);
    assert_eq!(arrived(&its, machine, 0).len(), 1);
}

#[test]
fn a_device_past_the_device_table_is_refused() {
    let machine = Machine::leaked(Kind {
        device_bits: 24,
        indirect: false,
        pages: &[0],
        ..QEMU
    });
    let mut its = machine.start().unwrap();
    // 256 pages of 4 KiB, 8 bytes each.
    its.assign((1 << 17) - 1, ONE, 0).unwrap();
    assert_eq!(its.assign(1 << 17, ONE, 0), Err(AssignError::NoRoom));
    let machine = Machine::leaked(QEMU);
    let mut its = machine.start().unwrap();
    its.assign(0xffff, ONE, 0).unwrap();
    assert_eq!(its.assign(0x1_0000, ONE, 0), Err(AssignError::NoRoom));
}

#[test]
fn without_memory_nothing_is_assigned_and_nothing_is_lost() {
    let machine = Machine::leaked(QEMU);
    let mut its = machine.start().unwrap();
    for successes in 0.. {
        machine.arena.fail_after(Some(successes));
        match its.assign(8, ONE, 0) {
            Err(error) => assert_eq!(error, AssignError::OutOfMemory),
            Ok(()) => break,
        }
    }
    machine.arena.fail_after(None);
    machine.message(8, 64);
    assert_eq!(arrived(&its, machine, 0).len(), 1);
    for successes in 0.. {
        let machine = Machine::leaked(QEMU);
        machine.arena.fail_after(Some(successes));
        match Its::start(machine.io()) {
            Err(error) => assert_eq!(error, StartError::OutOfMemory),
            Ok(_) => break,
        }
    }
}

#[test]
fn an_its_that_stops_is_waited_for_once() {
    for freeze in [false, true] {
        for good in [0, 1, 50, 129] {
            let machine = Machine::leaked(QEMU);
            let mut its = machine.start().unwrap();
            its.assign(7, TWO, 0).unwrap();
            machine.state().stall_after = Some(good);
            machine.state().freeze = freeze;
            let before = machine.arena.out();
            assert_eq!(its.assign(8, ONE, 0), Err(AssignError::Hung));
            machine.state().stall_after = None;
            let commands = machine.state().commands;
            assert_eq!(its.assign(9, ONE, 0), Err(AssignError::Hung));
            assert_eq!(its.revoke(8), Err(AssignError::Hung));
            assert_eq!(its.revoke(7), Err(AssignError::Hung));
            assert_eq!(machine.state().commands, commands, "it is left alone");
            // What it may still read or write is not given to anybody else, and what it sends is nobody's.
            assert!(machine.arena.out() > before);
            assert!((FIRST_LPI..1 << LPI_BITS).all(|lpi| its.route(lpi).is_none()));
        }
    }
}

#[test]
fn an_its_that_cannot_be_used_gets_a_sentence() {
    let after = |edit: &dyn Fn(&mut model::State)| {
        let machine = Machine::leaked(QEMU);
        edit(&mut machine.state());
        let error = Its::start(machine.io()).err().unwrap();
        assert!(!machine.state().enabled || machine.arena.out() == 0);
        error.to_string()
    };
    assert!(after(&|state| state.typer &= !1).contains("no physical LPIs"));
    assert!(after(&|state| state.typer &= !(0x1f << 8)).contains("EventID"));
    assert!(after(&|state| state.typer |= 1 << 18).contains("SErrors"));
    assert!(after(&|state| state.never_quiet = true).contains("does not answer"));
    let few = Machine::leaked(Kind {
        collection_table: false,
        ..QEMU
    });
    few.state().typer &= !(0xff << 24);
    let error = Its::start(few.io()).err().unwrap();
    assert_eq!(error, StartError::Tables);
}

#[test]
fn a_core_whose_lpis_a_loader_left_on_is_used_if_they_can_be_turned_off() {
    let machine = Machine::leaked(QEMU);
    let lpis = machine.lpis().unwrap();
    let enable = |core| lpis.enable(&machine.redistributor(core), machine, machine);
    machine.edit(0, |redistributor| redistributor.control = 1);
    assert_eq!(enable(0), Ok(()));
    machine.edit(1, |redistributor| {
        redistributor.control = 1;
        redistributor.sticky = true;
    });
    assert_eq!(enable(1), Err(LpiError::LeftOn));
    assert!(LpiError::LeftOn.to_string().contains("loader"));
    machine.edit(2, |redistributor| redistributor.without_lpis = true);
    assert_eq!(enable(2), Err(LpiError::NotHere));
    machine.edit(2, |redistributor| {
        redistributor.without_lpis = false;
        redistributor.control = 1;
        redistributor.busy = true;
    });
    assert_eq!(enable(2), Err(LpiError::Hung));
}

#[test]
fn a_distributor_with_too_few_lpis_gets_a_sentence() {
    let machine = Machine::leaked(QEMU);
    let with = |typer| Lpis::new(machine, machine, typer).err();
    assert_eq!(with(15 << 19), Some(LpiError::NoLpis));
    assert_eq!(with(1 << 17 | 12 << 19), Some(LpiError::FewLpis));
    assert_eq!(with(1 << 17 | 13 << 19 | 11 << 11), Some(LpiError::FewLpis));
    assert_eq!(with(1 << 17 | 13 << 19 | 12 << 11), None);
    assert_eq!(with(1 << 17 | 13 << 19), None);
    machine.arena.fail_after(Some(0));
    assert_eq!(with(1 << 17 | 13 << 19), Some(LpiError::OutOfMemory));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Assign(u32, u8, usize),
    Revoke(u32),
    Retarget(u32, u32, usize),
    Message(u32, u32),
    Take(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..6_u32;
    prop_oneof![
        (device.clone(), 1..4_u8, 0..3_usize)
            .prop_map(|(device, guest, core)| Step::Assign(device, guest, core)),
        device.clone().prop_map(Step::Revoke),
        (device.clone(), 64..68_u32, 0..3_usize)
            .prop_map(|(device, event, core)| Step::Retarget(device, event, core)),
        (device, 62..68_u32).prop_map(|(device, event)| Step::Message(device, event)),
        (0..3_u64).prop_map(Step::Take),
    ]
}

/// Of each event: the core it goes to, and whether it is pending.
type Events = BTreeMap<u32, (usize, bool)>;

/// What devices would be if there were no LPIs: each with its guest.
#[derive(Default)]
struct Naive(BTreeMap<u32, (u8, Events)>);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_delivers_what_a_table_of_events_would(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let machine = Machine::leaked(QEMU);
        let mut its = machine.start().unwrap();
        let mut naive = Naive::default();
        let mut lpis = BTreeMap::new();
        for step in steps {
            match step {
                Step::Assign(id, guest, core) => {
                    let known = naive.0.contains_key(&id);
                    let assigned = its.assign(id, GuestId::new(guest).unwrap(), core);
                    prop_assert_eq!(assigned.is_ok(), !known);
                    if !known {
                        let events = (64..192).map(|event| (event, (core, false)));
                        naive.0.insert(id, (guest, events.collect()));
                        for lpi in FIRST_LPI..16384 {
                            if let Some(routed) = its.route(lpi).filter(|it| it.device == id) {
                                lpis.insert((id, routed.event), lpi);
                            }
                        }
                    }
                }
                Step::Revoke(id) => {
                    prop_assert_eq!(its.revoke(id).is_ok(), naive.0.remove(&id).is_some());
                    lpis.retain(|(device, _), _| *device != id);
                }
                Step::Retarget(id, event, core) => {
                    let lpi = lpis.get(&(id, event)).copied().unwrap_or(0);
                    let moved = its.retarget(lpi, core);
                    let device = naive.0.get_mut(&id);
                    prop_assert_eq!(moved.is_ok(), device.is_some());
                    if let Some((_, events)) = device {
                        events.get_mut(&event).unwrap().0 = core;
                    }
                }
                Step::Message(id, event) => {
                    machine.message(id.into(), event.into());
                    let device = naive.0.get_mut(&id);
                    if let Some(state) = device.and_then(|(_, events)| events.get_mut(&event)) {
                        state.1 = true;
                    }
                }
                Step::Take(core) => {
                    let mut expected = Vec::new();
                    for (id, (guest, events)) in &mut naive.0 {
                        for (event, state) in events {
                            if *state == (core as usize, true) {
                                state.1 = false;
                                expected.push((*guest, *id, *event));
                            }
                        }
                    }
                    let mut found: Vec<_> = arrived(&its, machine, core)
                        .into_iter()
                        .map(Option::unwrap)
                        .map(|it| (it.guest.number(), it.device, it.event))
                        .collect();
                    found.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
