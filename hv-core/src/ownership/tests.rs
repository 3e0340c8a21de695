use super::*;

const FIRST: Frame = Frame::from_number(0x100);
const GUEST: GuestId = GuestId(1);

fn with(test: impl FnOnce(&Ownership<'_>)) {
    let states = [const { AtomicU32::new(0) }; 8];
    let ranges = [
        RamRange {
            first: FIRST,
            frames: 4,
        },
        RamRange {
            first: Frame::from_number(0x200),
            frames: 4,
        },
    ];
    test(&Ownership::new(&ranges, &states).unwrap());
}

#[test]
fn the_self_test_passes() {
    assert_eq!(self_test(), Ok(()));
}

#[test]
fn a_pinned_frame_stays_with_its_guest_until_the_last_pin_is_gone() {
    with(|ownership| {
        ownership
            .transfer(FIRST, Owner::Nobody, Owner::Guest(GUEST))
            .unwrap();
        ownership.pin(FIRST, GUEST).unwrap();
        ownership.pin(FIRST, GUEST).unwrap();
        let back = || ownership.transfer(FIRST, Owner::Guest(GUEST), Owner::Hypervisor);
        assert_eq!(back(), Err(TransferError::Pinned(2)));
        ownership.unpin(FIRST, GUEST);
        assert_eq!(back(), Err(TransferError::Pinned(1)));
        ownership.unpin(FIRST, GUEST);
        assert_eq!(back(), Ok(()));
    });
}

#[test]
fn a_run_goes_as_a_whole_or_not_at_all() {
    with(|ownership| {
        let third = Frame::from_number(0x102);
        ownership
            .transfer(third, Owner::Nobody, Owner::Firmware)
            .unwrap();
        assert_eq!(
            ownership.transfer_run(FIRST, 4, Owner::Nobody, Owner::Guest(GUEST)),
            Err((third, TransferError::NotOwned(Owner::Firmware)))
        );
        assert_eq!(ownership.state(FIRST).unwrap().owner, Owner::Nobody);
        ownership
            .transfer_run(FIRST, 2, Owner::Nobody, Owner::Guest(GUEST))
            .unwrap();
        assert!(ownership.is_guests(Frame::from_number(0x101), GUEST));
        let past_the_end = ownership.transfer_run(
            Frame::from_number(0x203),
            2,
            Owner::Nobody,
            Owner::Hypervisor,
        );
        assert_eq!(
            past_the_end,
            Err((Frame::from_number(0x204), TransferError::NotRam))
        );
    });
}

#[test]
fn ranges_out_of_order_or_without_room_are_refused() {
    let states = [const { AtomicU32::new(0) }; 4];
    let range = |first, frames| RamRange {
        first: Frame::from_number(first),
        frames,
    };
    assert!(Ownership::new(&[range(4, 2), range(5, 2)], &states).is_err());
    assert!(Ownership::new(&[range(4, 0)], &states).is_err());
    assert!(Ownership::new(&[range(u64::MAX, 2)], &states).is_err());
    let too_long = Ownership::new(&[range(4, 5)], &states).err();
    assert_eq!(too_long, Some(LayoutError::TooFewStates(5)));
    assert!(Ownership::new(&[range(4, 2), range(6, 2)], &states).is_ok());
}

#[test]
#[should_panic(expected = "without a pin")]
fn an_unpin_without_a_pin_is_a_broken_invariant() {
    with(|ownership| {
        ownership
            .transfer(FIRST, Owner::Nobody, Owner::Guest(GUEST))
            .unwrap();
        ownership.unpin(FIRST, GUEST);
    });
}
