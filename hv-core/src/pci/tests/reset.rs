use std::string::ToString;

use super::*;

/// Counts the time instead of spending it.
#[derive(Default)]
struct Clock(u32);

impl Delay for Clock {
    fn milliseconds(&mut self, count: u32) {
        self.0 += count;
    }
}

/// What is there, and the reset of the drive; how long it took.
fn run(mock: &Mock, drive: Function) -> (Result<ResetMethod, ResetError>, u32) {
    let bus = enumerate(mock, BUSES, &WINDOWS);
    let found = bus.find(drive).unwrap();
    set_command(mock, drive, 6);
    let mut clock = Clock::default();
    let result = reset(mock, &bus, found, &mut clock);
    (result, clock.0)
}

/// A drive on the root bus whose device capabilities are these.
fn express(device: u32) -> (Mock, usize) {
    let mut mock = Mock::default();
    let drive = mock.drive(None, 1, 0, 0);
    mock.capabilities(
        drive,
        &[(0x40, &[(0x0092_0010, 0), (device, 0), (0x2810, 0x20_7fff)])],
    );
    mock.reset_by(drive, 0x48, 1 << 15, drive);
    (mock, drive)
}

#[test]
fn a_function_level_reset_leaves_a_function_silent_with_its_bars_in_place() {
    let (mock, drive) = express(1 << 28);
    mock.absent_after_reset.set(7);
    let (result, took) = run(&mock, at(1, 0));
    assert_eq!(result, Ok(ResetMethod::FunctionLevel(0x40)));
    assert_eq!(mock.resets(drive), 1);
    assert_eq!(took, 100 + 7);
    assert_eq!(mock.get(drive, offset::COMMAND) & 0xffff, 0x400);
    assert_eq!(mock.get(drive, 0x14), 0x80);
}

#[test]
fn bus_mastership_ends_and_transactions_with_it_before_a_reset() {
    let (mock, drive) = express(1 << 28);
    mock.set(drive, 0x48, 0x20_0000);
    let (result, took) = run(&mock, at(1, 0));
    // They never end: the reset is what is left.
    assert!(result.is_ok());
    assert_eq!(took, 1000 + 100);
    let log = mock.log.borrow();
    let last = |wanted| log.iter().rposition(wanted).unwrap();
    let reset = last(&|it: &(Function, u16, u32)| it.1 == 0x48 && it.2 & 1 << 15 != 0);
    assert_eq!(log[reset - 1], (at(1, 0), offset::COMMAND, 0x400));
    // Status is not written back.
    assert_eq!(log[reset].2, 0x8000);
}

#[test]
fn the_ladder_goes_down_step_by_step() {
    let step = |list: &[(u16, &[(u32, u32)])]| {
        let mut mock = Mock::default();
        let drive = mock.drive(None, 1, 0, 0);
        mock.capabilities(drive, list);
        mock.reset_by(drive, 0x64, 1, drive);
        mock.reset_by(drive, 0x84, 3, drive);
        let (result, took) = run(&mock, at(1, 0));
        (result, took, mock.resets(drive))
    };
    let express: (u16, &[_]) = (0x40, &[(0x0092_0010, 0), (0, 0), (0, 0xffff)]);
    let advanced: (u16, &[_]) = (0x60, &[(0x0306_0013, 0), (0, 1)]);
    let power: (u16, &[_]) = (0x80, &[(0x0003_0001, 0), (0, 3)]);
    assert_eq!(
        step(&[express, advanced, power]),
        (Ok(ResetMethod::AdvancedFeatures(0x60)), 100, 1)
    );
    assert_eq!(
        step(&[express, power]),
        (Ok(ResetMethod::PowerState(0x80)), 20, 1)
    );
    // A function that keeps its state on the way, and has nothing else.
    let keeps: (u16, &[_]) = (0x80, &[(0x0003_0001, 0), (8, 3)]);
    assert_eq!(
        step(&[express, keeps]),
        (Err(ResetError::NoMethod(at(1, 0))), 0, 0)
    );
}

#[test]
fn a_function_that_is_alone_behind_its_port_is_reset_with_the_bus() {
    let behind = |neighbour: bool| {
        let mut mock = Mock::default();
        let port = mock.port(None, 1, 4, true);
        let drive = mock.drive(Some(port), 0, 0, if neighbour { 0x80 } else { 0 });
        if neighbour {
            mock.drive(Some(port), 0, 1, 0);
        }
        mock.reset_by(port, offset::BRIDGE_CONTROL, 1 << 22, drive);
        let (result, took) = run(&mock, on(1, 0, 0));
        let control = mock.get(port, offset::BRIDGE_CONTROL) >> 16;
        let bar = mock.get(drive, 0x10);
        (result, took, mock.resets(drive), control, bar)
    };
    assert_eq!(
        behind(false),
        (
            Ok(ResetMethod::SecondaryBus(at(1, 0))),
            102,
            1,
            0,
            0x1000_0004
        )
    );
    let (result, _, resets, ..) = behind(true);
    assert_eq!(
        (result, resets),
        (Err(ResetError::NoMethod(on(1, 0, 0))), 0)
    );
}

#[test]
fn a_function_without_a_reset_is_silenced_all_the_same_and_a_sentence_says_so() {
    let mut mock = Mock::default();
    let drive = mock.drive(None, 1, 0, 0);
    let (result, _) = run(&mock, at(1, 0));
    let why = result.unwrap_err().to_string();
    assert!(why.contains("00:01.0") && why.contains("cannot be given to a guest again"));
    assert_eq!(mock.get(drive, offset::COMMAND) & 0xffff, 0x400);
}

#[test]
fn a_function_that_does_not_come_back_is_waited_for_so_long_and_no_longer() {
    let (mock, _) = express(1 << 28);
    mock.absent_after_reset.set(u32::MAX);
    let (result, took) = run(&mock, at(1, 0));
    assert_eq!(result, Err(ResetError::Gone(at(1, 0))));
    assert_eq!(took, 100 + 5000);
}

#[test]
fn another_device_in_its_place_is_not_taken_for_it() {
    let (mock, drive) = express(1 << 28);
    mock.nodes.borrow_mut()[drive]
        .words
        .get_mut(&0)
        .unwrap()
        .reset = 0x1234_5678;
    let (result, _) = run(&mock, at(1, 0));
    assert_eq!(result, Err(ResetError::Changed(at(1, 0))));
    assert_eq!(mock.get(drive, offset::COMMAND) & 0xffff, 0x400);
}
