use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn member(out: &mut Vec<u8>, name: &str, mode: u32, data: &[u8]) {
    let mut header = String::from("070701");
    let fields = [
        1,
        mode,
        0,
        0,
        1,
        0,
        u32::try_from(data.len()).unwrap(),
        0,
        0,
        0,
        0,
        u32::try_from(name.len() + 1).unwrap(),
        0,
    ];
    for field in fields {
        header += &format!("{field:08x}");
    }
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(4), 0);
}

const FILE: u32 = 0o100_644;

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in members {
        member(&mut out, name, FILE, data);
    }
    member(&mut out, "TRAILER!!!", 0, &[]);
    out
}

const GOOD: &[(&str, &[u8])] = &[
    ("oche/config", b"run"),
    ("guests/one/config", b"first"),
    ("guests/one/kernel", b"kernel one"),
    ("guests/one/ramdisk", b"disk"),
    ("guests/two/kernel", b"kernel two"),
    ("guests/two/config", b"second"),
];

#[test]
fn a_bundle_gives_back_its_guests() {
    let bytes = archive(GOOD);
    let bundle = Bundle::open(&bytes).unwrap();
    assert_eq!(bundle.run_config(), Ok("run"));
    let guests: Vec<_> = bundle.guests().collect();
    assert_eq!(
        guests,
        [
            Guest {
                name: "one",
                config: "first",
                kernel: b"kernel one",
                ramdisk: Some(b"disk"),
            },
            Guest {
                name: "two",
                config: "second",
                kernel: b"kernel two",
                ramdisk: None,
            },
        ]
    );
}

#[test]
fn directories_and_padding_are_passed_over() {
    let mut bytes = Vec::new();
    member(&mut bytes, "oche", 0o040_755, &[]);
    bytes.extend(archive(GOOD));
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    assert_eq!(Bundle::open(&bytes).unwrap().guests().count(), 2);
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    let bytes = archive(GOOD);
    for length in 0..bytes.len() {
        let error = Bundle::open(&bytes[..length]).err();
        let cut = matches!(error, Some(BundleError::Truncated(_)));
        // The padding after the end marker's name is all that may be missing.
        assert!(cut || bytes.len() - length <= 3, "{length}: {error:?}");
    }
}

#[test]
fn what_is_not_a_cpio_archive_is_refused() {
    assert_eq!(
        Bundle::open(b"\x1f\x8b\x08 gzip").err(),
        Some(BundleError::NotNewc(0))
    );
    assert_eq!(Bundle::open(b"").err(), Some(BundleError::Truncated(0)));
}

#[test]
fn members_out_of_place_are_refused() {
    let with = |name, data| {
        let mut members = GOOD.to_vec();
        members.push((name, data));
        archive(&members)
    };
    let open = |bytes: &[u8]| Bundle::open(bytes).map(|_| ()).map_err(|e| format!("{e}"));
    assert_eq!(
        open(&with("guests/one/shell", b"")),
        Err("unknown member `guests/one/shell` in the bundle".into())
    );
    assert_eq!(
        open(&with("oche/config", b"")),
        Err("`oche/config` is in the bundle twice".into())
    );
    assert_eq!(
        open(&with("guests/three/ramdisk", b"")),
        Err("guest `three` has no member `config` in the bundle".into())
    );
    assert_eq!(
        open(&with("guests/three/config", b"\xff")),
        Err("guest `three` has no member `kernel` in the bundle".into())
    );
    assert_eq!(
        open(&archive(&GOOD[1..])),
        Err("the bundle has no member `oche/config`".into())
    );
    let mut link = Vec::new();
    member(&mut link, "guests/one/kernel", 0o120_777, b"/etc/passwd");
    assert_eq!(
        open(&link),
        Err("`guests/one/kernel` in the bundle is not a file".into())
    );
}

#[test]
fn more_members_than_the_limit_are_refused() {
    let mut bytes = Vec::new();
    for _ in 0..=MAX_MEMBERS {
        member(&mut bytes, "d", 0o040_755, &[]);
    }
    member(&mut bytes, "TRAILER!!!", 0, &[]);
    assert_eq!(
        Bundle::open(&bytes).err(),
        Some(BundleError::TooManyMembers)
    );
}

proptest! {
    #[test]
    fn no_damage_to_an_archive_panics(at in 0_usize..1000, byte: u8) {
        let mut bytes = archive(GOOD);
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(bundle) = Bundle::open(&bytes) {
            prop_assert!(bundle.guests().count() <= 2);
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Bundle::open(&bytes);
    }
}
