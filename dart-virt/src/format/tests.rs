use super::*;

const DART1: DartFormat = DartFormat::Dart1;

fn leaf(word: u64) -> Leaf {
    match DART1.leaf(PteWord(word)) {
        Decoded::Good(leaf) => leaf,
        other => panic!("{word:#x} is {other:?}"),
    }
}

#[test]
fn linux_writes_a_whole_page_with_the_window_off() {
    // START 0, END 0xfff, NO_WRITE, bit 1, VALID.
    let read = leaf(0x000f_ff08_0001_4083);
    assert_eq!(read.frame, Ipa::new(0x8_0001_4000));
    assert_eq!(
        read.access,
        Access {
            read: true,
            write: false
        }
    );
    assert_eq!(read.window, SubPage::WHOLE);
    let write = leaf(0x000f_ff08_0001_4103);
    assert_eq!(
        write.access,
        Access {
            read: false,
            write: true
        }
    );
}

#[test]
fn openbsd_limits_a_page_to_a_window() {
    let limited = leaf(0x0100_1f08_0000_0001);
    assert_eq!(
        limited.window,
        SubPage {
            first: 0x010,
            last: 0x01f
        }
    );
    assert!(!limited.window.is_empty());
    assert!(leaf(0x0200_1f08_0000_0001).window.is_empty());
}

#[test]
fn an_address_out_of_range_or_out_of_line_is_rejected_not_truncated() {
    for bit in [12, 13, 36, 37, 38, 39] {
        let word = PteWord(0x8_0000_0003 | 1 << bit);
        assert_eq!(DART1.leaf(word), Decoded::Bad, "leaf, bit {bit}");
        assert_eq!(DART1.table(word), Decoded::Bad, "table, bit {bit}");
    }
    for bit in 40..64 {
        assert_eq!(
            DART1.table(PteWord(0x8_0000_0001 | 1 << bit)),
            Decoded::Bad,
            "bit {bit}"
        );
    }
}

#[test]
fn a_table_entry_may_end_in_01_or_11() {
    let table = Decoded::Good(Ipa::new(0x8_0000_4000));
    assert_eq!(DART1.table(PteWord(0x8_0000_4001)), table);
    assert_eq!(DART1.table(PteWord(0x8_0000_4003)), table);
    assert_eq!(DART1.table(PteWord(0x8_0000_4002)), Decoded::Empty);
}
