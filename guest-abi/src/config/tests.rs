use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;

const RUN: &str = "version = 1\ntoken = c0ffee\nshadow = on\nreveal = off\n";
const GUEST: &str = "# a guest\nversion = 1\nname = linux\nmemory = 0x20000000\n\
    ram-base = 0x800000000\nvcpus = 2\narguments = console=ttyAMA0 quiet\ndart = t8103\n\
    stage2-granule = 16K\n\ndevice = 00:01.0 stream 1\n";

fn run_error(text: &str) -> String {
    RunConfig::parse(text).unwrap_err().to_string()
}

fn guest_error(text: &str) -> String {
    GuestConfig::parse(text).unwrap_err().to_string()
}

#[test]
fn a_run_text_is_read() {
    let run = RunConfig::parse(RUN).unwrap();
    assert_eq!(run.token, "c0ffee");
    assert!(run.shadow && !run.reveal);
    assert_eq!(run.guards().count(), 0);
    assert_eq!(run.to_string(), RUN);
    let text = format!("{RUN}guards-out = ownership,lpi\n");
    let names = RunConfig::parse(&text).unwrap();
    assert!(names.guards().eq(["ownership", "lpi"]));
    assert_eq!(run.console, ConsoleStyle::Tagged);
    let text = format!("{RUN}console = raw\n");
    let raw = RunConfig::parse(&text).unwrap();
    assert_eq!(raw.console, ConsoleStyle::Raw);
    assert_eq!(raw.to_string(), text);
    let tagged = format!("{RUN}console = tagged\n");
    assert_eq!(RunConfig::parse(&tagged), Ok(run));
    assert_eq!(
        run_error(&format!("{RUN}console = loud\n")),
        "line 5: `console` is `tagged` or `raw`, not `loud`"
    );
}

#[test]
fn a_guest_text_is_read() {
    let guest = GuestConfig::parse(GUEST).unwrap();
    assert_eq!(guest.memory, 512 << 20);
    assert_eq!(guest.arguments, "console=ttyAMA0 quiet");
    assert_eq!(guest.stage2_granule, Granule::Size16K);
    assert_eq!(guest.devices[0].function.requester(), 8);
    assert_eq!(guest.devices[0].stream, 1);
}

#[test]
fn errors_name_their_line() {
    assert_eq!(
        run_error(""),
        "line 0: the text ends without the key `version`"
    );
    assert_eq!(
        run_error("token = 1"),
        "line 1: the first key has to be `version`"
    );
    assert_eq!(
        run_error("version = 2\nnovelty = 1"),
        "line 1: `version` is 1 (a later Oche wrote this text?), not `2`"
    );
    assert_eq!(
        run_error(&RUN.replace("shadow = on\n", "")),
        "line 3: the text ends without the key `shadow`"
    );
    assert_eq!(
        run_error(&format!("{RUN}shadow = on")),
        "line 5: `shadow` was given already"
    );
    assert_eq!(
        run_error(&format!("{RUN}version = 1")),
        "line 5: `version` was given already"
    );
    assert_eq!(
        run_error(&format!("{RUN}shdow = on")),
        "line 5: unknown key `shdow`"
    );
    assert_eq!(
        run_error(&format!("{RUN}shadow")),
        "line 5: this is not of the form `key = value`"
    );
    assert_eq!(
        run_error(&RUN.replace("= off", "= yes")),
        "line 4: `reveal` is `on` or `off`, not `yes`"
    );
    assert_eq!(
        guest_error(&GUEST.replace("0x20000000", "1000")),
        "line 4: `memory` is a number of bytes, a multiple of 2 MiB and not 0, not `1000`"
    );
    assert_eq!(
        guest_error(&format!("{GUEST}device = 00:01.0 stream 2")),
        "line 12: `device` is a function that has no entry yet, not `00:01.0 stream 2`"
    );
}

#[test]
fn values_out_of_range_are_refused() {
    for (good, bad) in [
        ("vcpus = 2", "vcpus = 0"),
        ("vcpus = 2", "vcpus = 9"),
        ("vcpus = 2", "vcpus = +2"),
        ("vcpus = 2", "vcpus = 258"),
        ("name = linux", "name = ../linux"),
        ("name = linux", "name ="),
        ("0x800000000", "0x800000001"),
        ("0x800000000", "0xffffffffe0000000"),
        ("0x800000000", "0xfffff0000000"),
        ("16K", "64K"),
        ("t8103", "t8110"),
        ("00:01.0", "0x:01.0"),
        ("00:01.0", "00:20.0"),
        ("00:01.0", "00:+1.0"),
        ("00:01.0", "00:01.8"),
        ("stream 1", "stream 16"),
        ("stream 1", "stream"),
        ("stream 1", "stream 1 2"),
        ("quiet", "qu\u{e9}"),
    ] {
        let text = GUEST.replace(good, bad);
        assert_ne!(text, GUEST);
        assert!(GuestConfig::parse(&text).is_err(), "{bad}");
    }
}

#[test]
fn a_guest_has_a_limited_number_of_devices() {
    let mut text = String::from(GUEST);
    for device in 2..=16 {
        text += &format!("device = 00:{device:02x}.0 stream 0\n");
    }
    assert_eq!(
        GuestConfig::parse(&text).unwrap().devices.len(),
        MAX_DEVICES
    );
    text += "device = 00:1f.0 stream 0\n";
    assert_eq!(
        guest_error(&text),
        "line 27: more than 16 entries of `device`"
    );
}

#[test]
fn what_could_not_be_read_back_does_not_pass_the_check() {
    let mut guest = GuestConfig::parse(GUEST).unwrap();
    guest.arguments = "quiet\nvcpus = 8";
    assert!(guest.check().is_err());
    guest.arguments = " quiet";
    assert!(guest.check().is_err());
    guest.arguments = "";
    assert_eq!(guest.check(), Ok(()));
    guest.devices[0].stream = 16;
    assert!(guest.check().is_err());
    let run = RunConfig {
        token: "",
        ..RunConfig::parse(RUN).unwrap()
    };
    assert!(run.check().is_err());
}

fn routes() -> impl Strategy<Value = arrayvec::ArrayVec<DeviceRoute, MAX_DEVICES>> {
    let functions =
        proptest::sample::subsequence((0_u8..=255).collect::<std::vec::Vec<_>>(), 0..=16);
    (functions, any::<u8>(), 0_u8..16).prop_map(|(functions, bus, stream)| {
        functions
            .into_iter()
            .map(|rid| DeviceRoute {
                function: PciFunction {
                    bus,
                    device: rid >> 3,
                    function: rid & 7,
                },
                stream,
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn what_a_run_writes_it_reads(
        token in "[0-9a-fA-F]{1,64}", shadow: bool, reveal: bool,
        guards_out in "([a-z0-9-]{1,32}(,[a-z0-9-]{1,32}){0,3})?", raw: bool,
        interrupts in proptest::option::of(proptest::sample::select(
            std::vec![Delivery::Hardware, Delivery::Software, Delivery::Trapped]
        )),
    ) {
        let console = if raw { ConsoleStyle::Raw } else { ConsoleStyle::Tagged };
        let run = RunConfig { token: &token, shadow, reveal, interrupts, console, reboot: reveal, guards_out: &guards_out };
        prop_assert_eq!(run.check(), Ok(()));
        let text = run.to_string();
        prop_assert_eq!(RunConfig::parse(&text), Ok(run));
    }

    #[test]
    fn what_a_guest_writes_it_reads(
        name in "[a-z0-9-]{1,32}", units in 1_u64..0x1000, base in 0_u64..0x7fff_f000,
        vcpus in 1_u8..=8, arguments in "([!-~]([ -~]{0,200}[!-~])?)?", small: bool, devices in routes(),
    ) {
        let guest = GuestConfig {
            name: &name,
            memory: units * MEMORY_UNIT,
            ram_base: (base & 0x3ff_ffff) * MEMORY_UNIT,
            vcpus,
            arguments: &arguments,
            dart: DartModel::T8103,
            stage2_granule: if small { Granule::Size4K } else { Granule::Size16K },
            devices,
        };
        prop_assert_eq!(guest.check(), Ok(()));
        let text = guest.to_string();
        prop_assert_eq!(GuestConfig::parse(&text), Ok(guest));
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = RunConfig::parse(&text);
        let _ = GuestConfig::parse(&text);
        let _ = GuestConfig::parse(&format!("version = 1\n{text}"));
    }
}
