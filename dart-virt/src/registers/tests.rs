extern crate std;

use std::vec::Vec;

use super::*;
use crate::fault::FaultCode;
use crate::variant::T8103;

const ONE: StreamId = StreamId(1);

fn dart() -> VirtualDart {
    VirtualDart::new(&T8103)
}

fn numbers(set: StreamSet) -> Vec<u8> {
    set.iter().map(StreamId::number).collect()
}

fn remoded(effect: Effect) -> Vec<u8> {
    match effect {
        Effect::Remode(set) => numbers(set),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_stream_is_blocked_after_reset() {
    let dart = dart();
    assert!((0..16).all(|number| dart.mode(StreamId(number)) == Mode::Blocked));
    assert!(!dart.interrupt());
    assert_eq!(dart.read(0x80), 0x0302_0100, "the remap is the identity");
    assert_eq!(dart.read(0xfc), 0xffff_ffff);
}

#[test]
fn an_invalidation_concerns_the_selected_streams() {
    let mut dart = dart();
    assert_eq!(dart.write(0x34, 0xffff_0005), Effect::None);
    let Effect::Invalidate(set) = dart.write(0x20, 0x10_0000) else {
        panic!("no effect")
    };
    assert_eq!(
        numbers(set),
        [0, 2],
        "what is past the last stream is tolerated"
    );
    assert_eq!(dart.write(0x20, 0x4), Effect::None, "no set was named");
    assert_eq!(dart.read(0x20), 0, "never busy");
    assert_eq!((dart.read(0x34), dart.read(0x38)), (0xffff_0005, 0));
}

#[test]
fn a_mode_is_what_tcr_says_and_in_doubt_nothing() {
    let mut dart = dart();
    for (value, mode) in [
        (0x80, Mode::Translate(Roots::new([0; 4]))),
        (0x1100, Mode::Bypass),
        (0x180, Mode::Blocked),
        (0x2_0000, Mode::Blocked),
        (0, Mode::Blocked),
    ] {
        assert_eq!(remoded(dart.write(0x104, value)), [1], "{value:#x}");
        assert_eq!(dart.mode(ONE), mode, "{value:#x}");
        assert_eq!(dart.read(0x104), value);
    }
}

#[test]
fn roots_are_read_back_and_wait_for_an_invalidation() {
    let mut dart = dart();
    let _ = dart.write(0x104, 0x80);
    assert_eq!(dart.write(0x218, 0x8080_0004), Effect::None);
    assert_eq!(dart.read(0x218), 0x8080_0004);
    assert_eq!(
        dart.mode(ONE),
        Mode::Translate(Roots::new([0, 0, 0x8080_0004, 0]))
    );
}

#[test]
fn what_an_invalid_root_holds_makes_no_difference() {
    let one = Roots::new([0x8080_0004, 0x1234, 0, 0]);
    assert_eq!(one, Roots::new([0x8080_0004, 0, 0x77, 0]));
    use crate::format::Decoded;
    assert_eq!(
        one.table(0),
        Decoded::Good(hv_core::Ipa::new(0x8_0000_4000))
    );
    assert_eq!(one.table(1), Decoded::Empty);
    // Past 36 bits, or not on a 16 KiB page: rejected, not truncated.
    for bad in [0x8100_0000, 0xc000_0000, 0x8080_0001, 0x8080_0002] {
        assert_eq!(
            Roots::new([bad, 0, 0, 0]).table(0),
            Decoded::Bad,
            "{bad:#x}"
        );
    }
}

#[test]
fn a_remapped_stream_follows_the_other_ones_registers() {
    let mut dart = dart();
    assert_eq!(remoded(dart.write(0x80, 0x0302_0500)), [1]);
    assert_eq!(remoded(dart.write(0x114, 0x80)), [1, 5]);
    assert_ne!(dart.mode(ONE), Mode::Blocked);
    assert_eq!(remoded(dart.write(0x80, 0x0302_1000)), [1]);
    assert_eq!(dart.mode(ONE), Mode::Blocked, "there is no stream 16");
}

#[test]
fn a_stream_that_is_not_enabled_is_blocked() {
    let mut dart = dart();
    let _ = dart.write(0x104, 0x80);
    assert_eq!(remoded(dart.write(0xfc, 0xffff_fffd)), [1]);
    assert_eq!(dart.mode(ONE), Mode::Blocked);
}

#[test]
fn a_locked_dart_keeps_its_mode() {
    let mut dart = dart();
    let _ = dart.write(0x104, 0x80);
    let _ = dart.write(0x210, 0x8080_0004);
    let mode = dart.mode(ONE);
    assert_eq!(dart.write(0x60, 0x8000), Effect::None);
    for offset in [0x104, 0x210, 0x80, 0xfc] {
        assert_eq!(dart.write(offset, 0), Effect::None);
    }
    assert_eq!(dart.write(0x60, 0), Effect::None);
    assert_eq!(dart.read(0x60), 0x8000, "until reset");
    assert_eq!(dart.mode(ONE), mode);
    let _ = dart.write(0x34, 2);
    assert!(matches!(dart.write(0x20, 0x10_0000), Effect::Invalidate(_)));
}

#[test]
fn the_first_fault_stays_until_every_bit_is_cleared() {
    let mut dart = dart();
    let fault = |code, iova| GuestFault {
        code,
        iova: Iova::new(iova),
    };
    assert!(dart.latch(ONE, fault(FaultCode::Write, 0x12_3456_8008)));
    assert!(!dart.latch(StreamId(2), fault(FaultCode::NoPte, 0)));
    assert_eq!(dart.read(0x40), 0x8100_0008);
    assert_eq!((dart.read(0x50), dart.read(0x54)), (0x3456_8008, 0x12));
    let _ = dart.write(0x40, 0x8000_0000);
    assert!(dart.interrupt());
    let _ = dart.write(0x40, 0xffff_ffff);
    assert!(!dart.interrupt());
    assert!(dart.latch(StreamId(2), fault(FaultCode::NoPte, 0)));
}

#[test]
fn what_is_read_only_or_unknown_takes_no_write() {
    let mut dart = dart();
    for offset in [0x00, 0x04, 0x50, 0x54, 0x68, 0x1000, 0x300, 0x3ffc] {
        let before = dart.read(offset);
        assert_eq!(dart.write(offset, 0xffff_ffff), Effect::None);
        assert_eq!(dart.read(offset), before, "{offset:#x}");
    }
}
