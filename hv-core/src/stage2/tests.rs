use super::*;

#[test]
fn a_table_starts_as_low_as_sixteen_root_tables_allow() {
    let shape = |bits, granule| {
        let geometry = geometry_for(bits, granule).unwrap();
        assert_eq!(geometry.input_bits(), bits);
        (geometry.depth(), 1_u64 << geometry.root_order())
    };
    // (levels, frames of the root)
    assert_eq!(shape(32, Granule::K16), (2, 1));
    assert_eq!(shape(36, Granule::K16), (2, 1));
    assert_eq!(shape(40, Granule::K16), (2, 16));
    assert_eq!(shape(41, Granule::K16), (3, 1));
    assert_eq!(shape(48, Granule::K16), (3, 2));
    assert_eq!(shape(32, Granule::K4), (2, 1));
    assert_eq!(shape(34, Granule::K4), (2, 4));
    assert_eq!(shape(40, Granule::K4), (3, 1));
    assert_eq!(shape(43, Granule::K4), (3, 4));
    assert_eq!(shape(44, Granule::K4), (4, 1));
    assert_eq!(shape(48, Granule::K4), (4, 1));
    assert_eq!(geometry_for(31, Granule::K16), None);
    assert_eq!(geometry_for(49, Granule::K4), None);
}

#[test]
fn vtcr_names_width_start_level_granule_and_physical_range() {
    let value = |bits, granule, pa| vtcr(&geometry_for(bits, granule).unwrap(), pa);
    // 16 KiB, 40 bits, PARange 40 bits: the start is level 2 (SL0 = 1), T0SZ = 24.
    assert_eq!(value(40, Granule::K16, 0b010), 0x8002_b558);
    // 16 KiB, 44 bits: level 1 (SL0 = 2), T0SZ = 20, PS = 44 bits.
    assert_eq!(value(44, Granule::K16, 0b100), 0x8004_b594);
    // 4 KiB, 40 bits: level 1 (SL0 = 1); 34 bits: level 2 (SL0 = 0); 48 bits: level 0 (SL0 = 2).
    assert_eq!(value(40, Granule::K4, 0b010), 0x8002_3558);
    assert_eq!(value(34, Granule::K4, 0b010), 0x8002_351e);
    assert_eq!(value(48, Granule::K4, 0b101), 0x8005_3590);
    // More than 48 bits of physical address are not asked for.
    assert_eq!(
        value(40, Granule::K16, 0b110),
        value(40, Granule::K16, 0b101)
    );
}

#[test]
fn leaf_words_are_those_of_the_architecture() {
    let at = Pa::new(0x8_0000_4000);
    assert_eq!(
        Stage2.leaf(at, Stage2Attributes::RAM, true),
        0x8_0000_4000 | 0x7ff
    );
    let block = Stage2.leaf(Pa::new(0x8_0200_0000), Stage2Attributes::RAM, false);
    assert_eq!(block, 0x8_0200_0000 | 0x7fd);
    // XN = 0b10, MemAttr = 0b0001.
    let device = Stage2.leaf(at, Stage2Attributes::DEVICE, true);
    assert_eq!(device, (1 << 54) | 0x8_0000_4000 | 0x7c7);
    // XN = 0b11: EL1 only.
    let watched = Stage2.leaf(at, Stage2Attributes::RAM_EL1_EXECUTES, true);
    assert_eq!(watched >> 53, 0b11);
    assert_eq!(Stage2.table(at), 0x8_0000_4003);
}

#[test]
fn every_attribute_survives_the_way_through_a_word() {
    let at = Pa::new(0xffff_ffff_c000);
    for memory in [Memory::WriteBack, Memory::Device] {
        for execute in [
            Execute::Everywhere,
            Execute::El0Only,
            Execute::Nowhere,
            Execute::El1Only,
        ] {
            for rights in 0..4 {
                let (read, write) = (rights & 1 != 0, rights & 2 != 0);
                let attributes = Stage2Attributes {
                    memory,
                    read,
                    write,
                    execute,
                };
                let word = Stage2.leaf(at, attributes, true);
                assert_eq!(
                    Stage2.decode(word, true),
                    Entry::Leaf {
                        output: at,
                        attributes
                    }
                );
            }
        }
    }
}

#[test]
fn reserved_encodings_decode_as_invalid() {
    assert_eq!(Stage2.decode(0x4001, true), Entry::Invalid);
    assert_eq!(Stage2.decode(0x4002, false), Entry::Invalid);
    assert_eq!(Stage2.decode(0, false), Entry::Invalid);
}
