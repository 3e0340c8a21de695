//! Random sequences, against [`Naive`].

use proptest::prelude::*;

use super::naive::Naive;
extern crate std;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Load(u64, u8),
    Store(u64, u8, u64),
    Receive(u8),
    Transmit,
    Silence,
}

fn step() -> impl Strategy<Value = Step> {
    let offset = prop_oneof![
        8 => (0_u64..0x13).prop_map(|register| register * 4),
        2 => Just(DR),
        1 => 0xfd0_u64..0x1010,
        1 => any::<u64>(),
    ];
    let bytes = prop_oneof![8 => Just(4_u8), 1 => Just(1), 1 => Just(2), 1 => any::<u8>()];
    // Mostly on, because nothing happens while it is off.
    let control = prop_oneof![Just(0x301_u64), Just(0x381), Just(0x8381), any::<u64>()];
    let control = control.prop_map(|value| Step::Store(CR, 4, value));
    let line = prop_oneof![Just(0x70_u64), Just(0x60), any::<u64>()];
    let line = line.prop_map(|value| Step::Store(LCR_H, 4, value));
    prop_oneof![
        4 => (offset.clone(), bytes.clone()).prop_map(|(offset, bytes)| Step::Load(offset, bytes)),
        2 => (offset, bytes, any::<u64>()).prop_map(|(o, b, value)| Step::Store(o, b, value)),
        8 => any::<u8>().prop_map(Step::Receive),
        8 => any::<u8>().prop_map(|byte| Step::Store(DR, 4, byte.into())),
        5 => Just(Step::Load(DR, 4)),
        5 => Just(Step::Transmit),
        1 => Just(Step::Silence),
        1 => control,
        1 => line,
    ]
}

proptest! {
    #[test]
    fn it_is_what_the_sentences_say(started: bool, steps in prop::collection::vec(step(), 0..400)) {
        let mut uart = Pl011::new();
        let mut naive = Naive::new();
        if started {
            uart = Pl011::started();
            naive.store(LCR_H, 0x70);
            naive.store(CR, 0x301);
        }
        for step in steps {
            match step {
                Step::Load(offset, bytes) => {
                    let kept = match bytes { 1 => 0xff, 2 => 0xffff, 4 => 0xffff_ffff, _ => 0 };
                    let expected = if kept == 0 { 0 } else { naive.load(offset) & kept };
                    prop_assert_eq!(uart.read(offset, bytes).0, expected, "{:?}", step);
                }
                Step::Store(offset, bytes, value) => {
                    let outcome = uart.write(offset, bytes, value);
                    match bytes {
                        1 | 2 | 4 => naive.store(offset, value & ((1 << (8 * bytes)) - 1)),
                        _ => {}
                    }
                    prop_assert_eq!(outcome.line, naive.line());
                    prop_assert_eq!(outcome.output, naive.clone().transmit().is_some());
                }
                Step::Receive(byte) => {
                    prop_assert_eq!(uart.can_receive(), naive.clone().receive(byte));
                    prop_assert_eq!(uart.receive(byte), naive.receive(byte));
                }
                Step::Transmit => prop_assert_eq!(uart.transmit(), naive.transmit()),
                Step::Silence => {
                    naive.silence();
                    prop_assert_eq!(uart.fall_silent().line, naive.line());
                }
            }
            prop_assert_eq!(uart.line(), naive.line());
        }
    }
}
