//! The driver against a made-up SMMU.

extern crate std;

use std::vec::Vec;

use hv_core::table::{Run, Table};
use hv_core::{Iova, Pa};

use super::*;
use crate::format::{Access, SubPage};
use crate::iommu::{Expressed, HostFaultKind, Memory};
use crate::variant::T8103;

mod model;

use model::{IDR0_QEMU, IDR1_QEMU, IDR5_QEMU, Seen, Smmu};

fn access(write: bool) -> crate::iommu::HostAttributes {
    match HostFormat::VmsaStage1.express(Access { read: true, write }, SubPage::WHOLE) {
        Expressed::Exactly(attributes) => attributes,
        other => panic!("{other:?}"),
    }
}

/// A table that leads `iova` to `output`.
fn table(smmu: &Smmu, iova: u64, output: u64, write: bool) -> Table<HostFormat> {
    let table = Table::new(&smmu.arena, T8103.geometry, HostFormat::VmsaStage1).unwrap();
    let run = Run {
        input: iova,
        output: Pa::new(output),
        bytes: 0x4000,
    };
    table.map(&smmu.arena, run, access(write)).unwrap();
    table
}

#[test]
fn a_doorbell_is_reached_as_device_memory() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let table = table(smmu, 0xffff_c000, 0x8000_4000, true);
    let run = Run {
        input: 0xffff_8000,
        output: Pa::new(0x809_0000),
        bytes: 0x4000,
    };
    let attributes = access(true).of(Memory::Device);
    table.map(&smmu.arena, run, attributes).unwrap();
    let context = driver.open(table.root(), &T8103.geometry).unwrap();
    driver.attach(HostStream(8), context).unwrap();
    // The model looks at the attribute of each.
    assert_eq!(smmu.translate(8, 0xffff_8040, true), Ok(0x809_0040));
    assert_eq!(smmu.translate(8, 0xffff_c040, true), Ok(0x8000_4040));
}

#[test]
fn it_denies_first_then_takes_commands_then_forgets_then_turns_on() {
    let smmu = Smmu::leaked();
    smmu.start().unwrap();
    let seen: Vec<_> = smmu
        .take()
        .into_iter()
        .filter(|seen| *seen != Seen::Fence)
        .collect();
    assert_eq!(
        seen,
        [
            Seen::Gbpa,
            Seen::Cr0(0),
            Seen::Cr0(0b1000),
            Seen::Command(0x04, 0, 31),
            Seen::Command(0x30, 0, 0),
            Seen::Command(0x46, 0, 0),
            Seen::Cr0(0b1100),
            Seen::Cr0(0b1101),
        ]
    );
    assert_eq!(smmu.get(0x44), 1 << 20, "everything aborts while it is off");
    assert_eq!(smmu.get(0x50), 0b100, "the event interrupt");
    assert_eq!(smmu.get(0xb0), 0, "as a wire");
    assert_eq!(
        smmu.translate(8, 0, false),
        Err(0x02),
        "no stream was given"
    );
    assert_eq!(smmu.arena.out(), 4);
}

#[test]
fn an_smmu_that_is_not_good_enough_is_refused_with_a_sentence() {
    let refusal = |idr0, idr1, idr5| {
        let smmu = Smmu::with(idr0, idr1, idr5);
        let error = smmu.start().err();
        assert_eq!(smmu.arena.out(), 0);
        assert!(!std::format!("{}", error.unwrap()).is_empty());
        error
    };
    let (idr0, idr1, idr5) = (IDR0_QEMU, IDR1_QEMU, IDR5_QEMU);
    assert_eq!(refusal(idr0 & !2, idr1, idr5), Some(StartError::NoStage1));
    assert_eq!(refusal(idr0 & !8, idr1, idr5), Some(StartError::NoStage1));
    assert_eq!(
        refusal(idr0, idr1, idr5 & !(1 << 5)),
        Some(StartError::NoGranule)
    );
    assert_eq!(
        refusal(idr0 & !(1 << 4), idr1, idr5),
        Some(StartError::NotCoherent)
    );
    assert_eq!(
        refusal(idr0 ^ 0b11 << 24, idr1, idr5),
        Some(StartError::Stalls)
    );
    assert_eq!(
        refusal(idr0, idr1 | 1 << 30, idr5),
        Some(StartError::Preset)
    );
    let too_small = StartError::OutputTooSmall { has: 32, needs: 33 };
    assert_eq!(refusal(idr0, idr1, idr5 & !0b111), Some(too_small));
}

#[test]
fn an_smmu_that_never_acknowledges_is_given_up() {
    let smmu = Smmu::leaked();
    smmu.state.lock().unwrap().stuck = true;
    assert!(matches!(smmu.start().err(), Some(StartError::Hung { .. })));
    assert_eq!(smmu.get(0x20), 0, "off again");
}

#[test]
fn a_stream_goes_where_its_context_leads() {
    for idr0 in [IDR0_QEMU, IDR0_QEMU & !(0b11 << 27)] {
        // Two levels; or one, of 10 bits.
        let idr1 = if idr0 == IDR0_QEMU {
            IDR1_QEMU
        } else {
            (IDR1_QEMU & !0x3f) | 10
        };
        let smmu = Smmu::with(idr0, idr1, IDR5_QEMU);
        let mut driver = smmu.start().unwrap();
        let (one, two) = (
            table(smmu, 0xffff_c000, 0x8000_4000, true),
            table(smmu, 0x20_0000_0000, 0x9000_0000, false),
        );
        let first = driver.open(one.root(), &T8103.geometry).unwrap();
        let second = driver.open(two.root(), &T8103.geometry).unwrap();
        driver.attach(HostStream(8), first).unwrap();
        driver.attach(HostStream(0x300), second).unwrap();
        assert_eq!(smmu.translate(8, 0xffff_c123, true), Ok(0x8000_4123));
        assert_eq!(smmu.translate(8, 0x20_0000_0000, false), Err(0x10));
        assert_eq!(
            smmu.translate(8, 0x40_0000_0000, false),
            Err(0x10),
            "past 38 bits"
        );
        assert_eq!(
            smmu.translate(0x300, 0x20_0000_0008, false),
            Ok(0x9000_0008)
        );
        assert_eq!(smmu.translate(0x300, 0x20_0000_0008, true), Err(0x13));
        driver.attach(HostStream(8), second).unwrap();
        assert_eq!(smmu.translate(8, 0x20_0000_0000, false), Ok(0x9000_0000));
        driver.deny(HostStream(8)).unwrap();
        assert_eq!(smmu.translate(8, 0x20_0000_0000, false), Err(0x04));
        assert_eq!(
            driver.attach(HostStream(1 << 16), first),
            Err(AttachError::NoSuchStream)
        );
    }
}

#[test]
fn a_live_stream_is_taken_down_before_it_is_rewritten() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let context = driver.open(root.root(), &T8103.geometry).unwrap();
    driver.attach(HostStream(8), context).unwrap();
    smmu.take();
    smmu.state.lock().unwrap().entries.clear();
    driver.attach(HostStream(8), context).unwrap();
    assert_eq!(
        smmu.commands(),
        [(3, 8, 0), (0x46, 0, 0), (3, 8, 0), (0x46, 0, 0)]
    );
    let entries = smmu.state.lock().unwrap().entries.clone();
    assert_eq!(entries[0], 0, "invalid when it is forgotten the first time");
    assert_eq!(entries[1] & 1, 1);
}

#[test]
fn few_pages_are_forgotten_by_name_and_many_by_tag() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let context = driver.open(root.root(), &T8103.geometry).unwrap();
    let asid = u64::from(context.0);
    smmu.take();
    let _ = driver
        .invalidate(context, Stale::new(Iova::new(0x8000), 0x8000, false))
        .unwrap();
    assert_eq!(
        smmu.commands(),
        [(0x12, asid, 0x8001), (0x12, asid, 0xc001), (0x46, 0, 0)],
        "last level only"
    );
    let _ = driver
        .invalidate(context, Stale::new(Iova::new(0), 0x4000, true))
        .unwrap();
    assert_eq!(
        smmu.commands(),
        [(0x11, asid, 0), (0x46, 0, 0)],
        "table pointers too"
    );
    let _ = driver
        .invalidate(context, Stale::new(Iova::new(0), 1 << 20, false))
        .unwrap();
    assert_eq!(smmu.commands(), [(0x11, asid, 0), (0x46, 0, 0)]);
    let _ = driver.close(context).unwrap();
    assert_eq!(
        smmu.commands(),
        [(0x04, 0, 31), (0x11, asid, 0), (0x46, 0, 0)]
    );
}

#[test]
fn contexts_run_out_and_come_back() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let all: Vec<_> = (0..255)
        .map(|_| driver.open(root.root(), &T8103.geometry).unwrap())
        .collect();
    assert_eq!(
        driver.open(root.root(), &T8103.geometry),
        Err(AttachError::NoContext)
    );
    let _ = driver.close(all[7]).unwrap();
    assert_eq!(driver.open(root.root(), &T8103.geometry), Ok(all[7]));
}

#[test]
fn the_queue_wraps_round_many_times() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let context = driver.open(root.root(), &T8103.geometry).unwrap();
    for _ in 0..5000 {
        let stale = Stale::new(Iova::new(0), 0x4000, false);
        assert!(driver.invalidate(context, stale).is_ok());
    }
    assert_eq!(
        smmu.commands()
            .iter()
            .filter(|command| command.0 == 0x12)
            .count(),
        5000
    );
}

#[test]
fn a_queue_that_stops_leaves_stale_what_was_stale_and_is_not_waited_for_again() {
    for error in [false, true] {
        let smmu = Smmu::leaked();
        let mut driver = smmu.start().unwrap();
        let root = table(smmu, 0, 0x4000, true);
        let context = driver.open(root.root(), &T8103.geometry).unwrap();
        driver.attach(HostStream(8), context).unwrap();
        {
            let mut state = smmu.state.lock().unwrap();
            (state.stuck, state.error) = (!error, error);
        }
        let stale = || Stale::new(Iova::new(0), 0x4000, false);
        assert_eq!(driver.invalidate(context, stale()).err(), Some(stale()));
        let producer = smmu.get(0x98);
        assert_eq!(driver.close(context).err(), Some(Hung));
        assert_eq!(driver.deny(HostStream(8)), Err(Hung));
        assert_eq!(smmu.get(0x98), producer, "the queue is left alone");
        assert_eq!(
            smmu.translate(8, 0, false),
            Err(0x04),
            "denied as far as memory goes"
        );
    }
}

#[test]
fn a_stream_that_could_not_be_attached_is_denied_as_far_as_memory_goes() {
    for (live, error) in [(false, false), (false, true), (true, false), (true, true)] {
        let smmu = Smmu::leaked();
        let mut driver = smmu.start().unwrap();
        let root = table(smmu, 0, 0x4000, true);
        let context = driver.open(root.root(), &T8103.geometry).unwrap();
        if live {
            driver.attach(HostStream(8), context).unwrap();
        }
        {
            let mut state = smmu.state.lock().unwrap();
            (state.stuck, state.error) = (!error, error);
        }
        smmu.take();
        assert_eq!(
            driver.attach(HostStream(8), context),
            Err(AttachError::Hung)
        );
        assert_eq!(smmu.translate(8, 0, false), Err(0x04));
        assert_eq!(smmu.take().last(), Some(&Seen::Fence), "and it is told so");
    }
}

#[test]
fn events_are_reported_in_order_with_stream_address_and_direction() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    assert_eq!(driver.next_fault(), None);
    smmu.record(0x10, 8, 0xffff_c010, false);
    smmu.record(0x13, 9, 0x4000, true);
    smmu.record(0x02, 10, 0, true);
    smmu.record(0x0a, 11, 0, true);
    let kinds = [
        (8, 0xffff_c010, true, HostFaultKind::Translation),
        (9, 0x4000, false, HostFaultKind::Permission),
        (10, 0, false, HostFaultKind::NoStream),
        (11, 0, false, HostFaultKind::Other(0x0a)),
    ];
    for (stream, iova, write, kind) in kinds {
        let fault = HostFault {
            stream: HostStream(stream),
            iova: Iova::new(iova),
            write,
            kind,
        };
        assert_eq!(driver.next_fault(), Some(fault));
    }
    assert_eq!(driver.next_fault(), None);
    assert_eq!(
        smmu.get(0x1_00a8),
        smmu.get(0x1_00ac),
        "all are acknowledged"
    );
}

#[test]
fn an_overflow_of_the_event_queue_is_acknowledged_and_counted() {
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    assert_eq!((driver.next_fault(), driver.lost()), (None, 0));
    smmu.record(0x10, 8, 0, false);
    smmu.set(0x1_00a8, smmu.get(0x1_00a8) | 1 << 31);
    assert!(driver.next_fault().is_some());
    assert_eq!(smmu.get(0x1_00ac) >> 31, 1);
    assert_eq!((driver.next_fault(), driver.lost()), (None, 1));
    // The flag turns over at each overflow; once more, and it is clear again.
    smmu.set(0x1_00a8, smmu.get(0x1_00a8) & !(1 << 31));
    assert_eq!((driver.next_fault(), driver.lost()), (None, 2));
    assert_eq!(smmu.get(0x1_00ac) >> 31, 0);
    assert_eq!((driver.next_fault(), driver.lost()), (None, 2));
}

#[test]
fn memory_that_runs_dry_denies() {
    for successes in 0..4 {
        let smmu = Smmu::leaked();
        smmu.arena.fail_after(Some(successes));
        assert_eq!(smmu.start().err(), Some(StartError::OutOfMemory));
        assert_eq!(smmu.arena.out(), 0);
    }
    let smmu = Smmu::leaked();
    let mut driver = smmu.start().unwrap();
    let root = table(smmu, 0, 0x4000, true);
    let context = driver.open(root.root(), &T8103.geometry).unwrap();
    smmu.arena.fail_after(Some(0));
    assert_eq!(
        driver.attach(HostStream(8), context),
        Err(AttachError::OutOfMemory)
    );
    assert_eq!(smmu.translate(8, 0, false), Err(0x02));
}
