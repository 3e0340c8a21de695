//! What a guest's own tests of its GIC ask, with one list register, with four, and with trapped `ICC_*`.

use super::machine::{Machine, icc};
use super::virtual_cpu::SPURIOUS;
use crate::trap::Encoding;
use crate::vgic::{IccRegister, Linking, Maintenance};

const SPI: u32 = 36;

/// Runs a check in each mode.
fn everywhere(check: impl Fn(&mut Machine)) {
    for lrs in [0, 1, 4] {
        let mut machine = Machine::new(2, lrs, Linking::Hardware);
        machine.set_up();
        for id in [0, 1, 2, 20, 27, SPI, 37, 38, 39, 40, 41] {
            machine.write_bit(0, 0, 0x100, id);
            machine.write_bit(0, 1, 0x100, id);
        }
        check(&mut machine);
    }
}

fn pulse(machine: &mut Machine, id: u32) {
    machine.pulse(0, id);
}

#[test]
fn an_interrupt_is_acknowledged_once_and_ends() {
    everywhere(|m| {
        assert_eq!(m.acknowledge(0), SPURIOUS);
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPI);
        assert_eq!(m.running(0), 0xa0);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        assert!(m.read_bit(0, 0, 0x300, SPI));
        m.end(0, SPI);
        assert!(!m.read_bit(0, 0, 0x300, SPI));
        assert_eq!(m.running(0), 0xff);
        assert_eq!(m.acknowledge(0), SPURIOUS);
    });
}

#[test]
fn the_priority_mask_holds_back_what_is_not_above_it() {
    everywhere(|m| {
        pulse(m, SPI);
        m.set_mask(0, 0xa0);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        assert_eq!(m.first_pending(0), SPI);
        m.set_mask(0, 0xa8);
        assert_eq!(m.acknowledge(0), SPI);
    });
}

#[test]
fn a_more_urgent_interrupt_preempts_and_an_equal_one_waits() {
    everywhere(|m| {
        m.set_priority(0, 0, 37, 0x20);
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPI);
        pulse(m, 38);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        pulse(m, 37);
        assert_eq!(m.acknowledge(0), 37);
        m.end(0, 37);
        m.end(0, SPI);
        assert_eq!(m.acknowledge(0), 38);
    });
}

#[test]
fn the_binary_point_decides_what_preempts() {
    everywhere(|m| {
        m.set_priority(0, 0, 37, 0x80);
        m.set_binary_point(0, 7);
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPI);
        pulse(m, 37);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.end(0, SPI);
        assert_eq!(m.acknowledge(0), 37);
        assert_eq!(m.running(0), 0x80);
    });
}

#[test]
fn more_pending_interrupts_than_list_registers_come_in_the_order_of_urgency() {
    everywhere(|m| {
        for (id, priority) in (SPI..=41).zip([0x50, 0x10, 0x30, 0x40, 0x20, 0x60]) {
            m.set_priority(0, 0, id, priority);
            pulse(m, id);
        }
        for id in [37, 40, 38, 39, SPI, 41] {
            assert_eq!(m.acknowledge(0), id);
            m.end(0, id);
        }
        assert_eq!(m.acknowledge(0), SPURIOUS);
    });
}

#[test]
fn more_nested_interrupts_than_list_registers_end_in_order() {
    everywhere(|m| {
        for (id, priority) in (SPI..=41).zip([0x60, 0x50, 0x40, 0x30, 0x20, 0x10]) {
            m.set_priority(0, 0, id, priority);
            pulse(m, id);
            assert_eq!(m.acknowledge(0), id);
        }
        for id in (SPI..=41).rev() {
            assert!(m.read_bit(0, 0, 0x300, id));
            m.end(0, id);
            assert!(!m.read_bit(0, 0, 0x300, id));
        }
    });
}

#[test]
fn pending_is_set_and_cleared_by_register() {
    everywhere(|m| {
        m.write_bit(0, 0, 0x200, SPI);
        assert!(m.read_bit(0, 0, 0x200, SPI) && m.read_bit(1, 0, 0x280, SPI));
        assert_eq!(m.first_pending(0), SPI);
        m.write_bit(1, 0, 0x280, SPI);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.write_bit(0, 0, 0x200, SPI);
        assert_eq!(m.acknowledge(0), SPI);
        assert!(!m.read_bit(0, 0, 0x200, SPI));
    });
}

#[test]
fn an_interrupt_disabled_while_pending_waits_until_it_is_enabled() {
    everywhere(|m| {
        pulse(m, SPI);
        m.write_bit(0, 0, 0x180, SPI);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        assert!(m.read_bit(0, 0, 0x200, SPI));
        m.write_bit(1, 0, 0x100, SPI);
        assert_eq!(m.acknowledge(0), SPI);
    });
}

#[test]
fn a_level_that_stays_high_is_delivered_again_after_its_end() {
    everywhere(|m| {
        m.aside(|vgic| vgic.raise(0, SPI, true));
        for _ in 0..3 {
            assert_eq!(m.acknowledge(0), SPI);
            assert!(m.read_bit(0, 0, 0x200, SPI));
            m.end(0, SPI);
        }
        m.write_bit(0, 0, 0x280, SPI);
        assert_eq!(m.first_pending(0), SPI);
        m.aside(|vgic| vgic.raise(0, SPI, false));
        assert_eq!(m.acknowledge(0), SPURIOUS);
    });
}

#[test]
fn a_level_that_falls_before_the_end_is_not_delivered_again() {
    everywhere(|m| {
        m.aside(|vgic| vgic.raise(0, 20, true));
        assert_eq!(m.acknowledge(0), 20);
        m.exit(0, |vgic| vgic.raise(0, 20, false));
        m.end(0, 20);
        assert_eq!(m.acknowledge(0), SPURIOUS);
    });
}

#[test]
fn an_edge_during_service_is_delivered_after_it() {
    everywhere(|m| {
        m.write(0, 0xc08, 4, 0b10 << 8);
        m.aside(|vgic| vgic.raise(0, SPI, true));
        assert_eq!(m.acknowledge(0), SPI);
        m.aside(|vgic| vgic.raise(0, SPI, true));
        m.end(0, SPI);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.aside(|vgic| vgic.raise(0, SPI, false));
        m.aside(|vgic| vgic.raise(0, SPI, true));
        assert_eq!(m.acknowledge(0), SPI);
        pulse(m, SPI);
        m.end(0, SPI);
        assert_eq!(m.acknowledge(0), SPI);
    });
}

#[test]
fn an_active_interrupt_whose_priority_is_changed_still_ends() {
    everywhere(|m| {
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPI);
        m.set_priority(0, 0, SPI, 0x10);
        pulse(m, SPI);
        m.end(0, SPI);
        assert_eq!(m.acknowledge(0), SPI);
        assert_eq!(m.running(0), 0x10);
    });
}

#[test]
fn with_eoimode_1_an_end_drops_the_priority_and_dir_deactivates() {
    everywhere(|m| {
        m.set_split(0, true);
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPI);
        m.end(0, SPI);
        assert_eq!(m.running(0), 0xff);
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.deactivate(0, SPI);
        assert_eq!(m.acknowledge(0), SPI);
    });
}

#[test]
fn dropped_but_active_interrupts_do_not_shut_out_pending_ones() {
    everywhere(|m| {
        m.set_split(0, true);
        for id in SPI..41 {
            m.set_priority(0, 0, id, 0x10);
            pulse(m, id);
            assert_eq!(m.acknowledge(0), id);
            m.end(0, id);
        }
        pulse(m, 41);
        assert_eq!(m.acknowledge(0), 41);
        for id in (SPI..41).rev() {
            m.deactivate(0, id);
            assert!(!m.read_bit(0, 0, 0x300, id));
        }
    });
}

#[test]
fn a_shared_interrupt_may_be_deactivated_by_another_cpu() {
    everywhere(|m| {
        m.set_split(0, true);
        m.set_split(1, true);
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPI);
        m.end(0, SPI);
        m.deactivate(1, SPI);
        assert!(!m.read_bit(0, 0, 0x300, SPI));
    });
}

#[test]
fn sgis_go_to_the_list_to_everybody_else_or_to_nobody() {
    everywhere(|m| {
        m.exit(0, |vgic| vgic.send_sgi(0, 0b11 | 1 << 24));
        assert_eq!((m.acknowledge(0), m.acknowledge(1)), (1, 1));
        m.end(0, 1);
        m.end(1, 1);
        m.exit(0, |vgic| vgic.send_sgi(0, 1 << 40 | 2 << 24));
        assert_eq!((m.acknowledge(0), m.acknowledge(1)), (SPURIOUS, 2));
        m.end(1, 2);
        // Another cluster, another range, an SGI in Group 0.
        for value in [
            0b11 | 1 << 16,
            0b11 | 1 << 32,
            0b11 | 1 << 48,
            0b11 | 1 << 44,
        ] {
            m.exit(0, |vgic| vgic.send_sgi(0, value));
        }
        m.write_private(0, 1, 0x1_0080, 4, !1);
        m.exit(0, |vgic| vgic.send_sgi(0, 0b10));
        assert_eq!((m.acknowledge(0), m.acknowledge(1)), (SPURIOUS, SPURIOUS));
        assert!(!m.read_bit(0, 1, 0x200, 0));
    });
}

#[test]
fn a_shared_interrupt_goes_where_it_is_routed() {
    everywhere(|m| {
        pulse(m, SPI);
        m.write(0, 0x6000 + u64::from(SPI) * 8, 8, 1);
        assert_eq!((m.acknowledge(0), m.acknowledge(1)), (SPURIOUS, SPI));
        // Rerouted while active: its next occurrence goes to the new vCPU once the old one is done.
        m.write(0, 0x6000 + u64::from(SPI) * 8, 4, 0);
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.end(1, SPI);
        assert_eq!((m.acknowledge(1), m.acknowledge(0)), (SPURIOUS, SPI));
        // Nobody there.
        m.write(0, 0x6004 + u64::from(SPI) * 8, 4, 7);
        assert_eq!(
            m.vgic.distributor_read(0x6000 + u64::from(SPI) * 8, 8),
            7 << 32
        );
        pulse(m, SPI);
        m.end(0, SPI);
        assert_eq!((m.acknowledge(0), m.acknowledge(1)), (SPURIOUS, SPURIOUS));
    });
}

#[test]
fn nothing_is_delivered_while_the_distributor_is_off_the_group_is_0_or_the_cpu_sleeps() {
    everywhere(|m| {
        pulse(m, SPI);
        m.write(0, 0, 4, 1);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.write(0, 0, 4, 2);
        m.write(0, 0x84, 4, 0);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.write(0, 0x84, 4, 1 << (SPI - 32));
        m.write_private(1, 0, 0x14, 4, 2);
        assert_eq!(m.vgic.redistributor_read(0, 0x14, 4), 6);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.write_private(1, 0, 0x14, 4, 0);
        assert_eq!(m.acknowledge(0), SPI);
    });
}

#[test]
fn an_active_state_that_was_written_holds_the_interrupt_back() {
    everywhere(|m| {
        m.write_bit(0, 0, 0x300, SPI);
        pulse(m, SPI);
        assert_eq!(m.acknowledge(0), SPURIOUS);
        m.write_bit(0, 0, 0x380, SPI);
        assert_eq!(m.acknowledge(0), SPI);
    });
}

#[test]
fn linux_gic_v3_probe_sequence() {
    let mut m = Machine::new(2, 4, Linking::Hardware);
    let gic = &mut m.vgic;
    // gic_validate_dist_version, gic_init_bases: architecture 3, 288 interrupts, no LPIs, no message-based SPIs.
    assert_eq!(gic.distributor_read(0xffe8, 4) & 0xf0, 0x30);
    let typer = gic.distributor_read(4, 4);
    assert_eq!((typer & 0x1f) * 32 + 32, 288);
    assert_eq!(typer & (1 << 16 | 1 << 17), 0);
    assert_eq!(gic.distributor_read(0xc, 4), 0);
    // gic_dist_init: off, Group 1, priorities, on with affinity routing.
    for offset in (4..0x24).step_by(4) {
        gic.distributor_write(0x80 + offset, 4, 0xffff_ffff);
        assert_eq!(gic.distributor_read(0x80 + offset, 4), 0xffff_ffff);
    }
    assert_eq!(gic.distributor_read(0x80, 4), 0);
    assert_eq!(gic.distributor_read(0x84 + 0x20, 4), 0);
    gic.distributor_write(0x420, 4, 0xa0a1_a7c8);
    assert_eq!(gic.distributor_read(0x420, 4), 0xa0a0_a0c8);
    assert_eq!(gic.distributor_read(0x423, 1), 0xa0);
    gic.distributor_write(0, 4, 0x13);
    assert_eq!(gic.distributor_read(0, 4), 1 << 6 | 1 << 4 | 1 << 1);
    // gic_iterate_rdists: by affinity, until Last.
    assert_eq!(gic.redistributor_read(0, 0xffe8, 4) & 0xf0, 0x30);
    assert_eq!(gic.redistributor_read(0, 8, 8), 0);
    assert_eq!(gic.redistributor_read(1, 8, 8), 1 << 32 | 1 << 8 | 1 << 4);
    assert_eq!(gic.redistributor_read(1, 0xc, 4), 1);
    // gic_enable_redist: ChildrenAsleep follows.
    assert_eq!(gic.redistributor_read(1, 0x14, 4), 6);
    gic.redistributor_write(1, 0x14, 4, 4);
    assert_eq!(gic.redistributor_read(1, 0x14, 4), 0);
    // SGIs are edges for good, PPIs are what the driver says.
    gic.redistributor_write(1, 0x1_0c00, 4, 0);
    assert_eq!(gic.redistributor_read(1, 0x1_0c00, 4), 0xaaaa_aaaa);
    gic.redistributor_write(1, 0x1_0c04, 4, 0b11 << 8);
    assert_eq!(gic.redistributor_read(1, 0x1_0c04, 4), 0b10 << 8);
    // The LPI registers do not exist.
    gic.redistributor_write(1, 0x70, 8, u64::MAX);
    assert_eq!(gic.redistributor_read(1, 0x70, 8), 0);
    gic.redistributor_write(1, 0, 4, 1);
    assert_eq!(gic.redistributor_read(1, 0, 4), 0);
}

#[test]
fn an_affinity_of_four_levels_is_compared_as_a_whole() {
    let platform = crate::vgic::Platform {
        linking: Linking::Hardware,
        dir_trap: crate::vgic::DirTrap::Common,
    };
    let mut gic = crate::vgic::Vgic::new([0x8000_0000, 0x12_8003_0405], platform);
    assert_eq!(gic.redistributor_read(1, 8, 8) >> 32, 0x1203_0405);
    gic.redistributor_write(1, 0x14, 4, 0);
    gic.redistributor_write(1, 0x1_0080, 4, 1);
    gic.distributor_write(0, 4, 2);
    gic.redistributor_write(1, 0x1_0100, 4, 1);
    let sgi = 0x12 << 48 | 3 << 32 | 4 << 16 | 1 << 5;
    gic.carried_out();
    gic.send_sgi(0, sgi);
    let changes = gic.changes();
    assert!(changes.kick.contains(1) && !changes.kick.contains(0));
    assert!(gic.is_pending(1));
}

#[test]
fn the_trapped_interface_has_the_registers_that_five_bits_of_priority_need() {
    let mut m = Machine::new(1, 0, Linking::Hardware);
    m.set_up();
    let gic = &mut m.vgic;
    assert_eq!(gic.icc_read(0, icc(12, 12, 5)), Some(7));
    assert_eq!(gic.icc_read(0, icc(12, 12, 3)), Some(3));
    let _ = gic.icc_write(0, icc(4, 6, 0), 0xff);
    assert_eq!(gic.icc_read(0, icc(4, 6, 0)), Some(0xf8));
    assert_eq!(gic.icc_read(0, icc(12, 8, 0)), Some(1023));
    let _ = gic.icc_write(0, icc(12, 9, 0), 1 << 4);
    assert_eq!(gic.icc_read(0, icc(12, 11, 3)), Some(0x20));
    // Read-only and write-only ones are undefined the other way; AP1R1 and Group 0's higher ones do not exist.
    assert_eq!(gic.icc_write(0, icc(12, 12, 0), 0), None);
    assert_eq!(gic.icc_read(0, icc(12, 12, 1)), None);
    assert_eq!(gic.icc_read(0, icc(12, 11, 5)), None);
    assert_eq!(IccRegister::decode(Encoding(3, 0, 12, 9, 1)), None);
    assert_eq!(IccRegister::decode(Encoding(3, 0, 12, 8, 5)), None);
    gic.reset_interface(0);
    assert_eq!(gic.icc_read(0, icc(12, 11, 3)), Some(0xff));
}

#[test]
fn the_trapped_interface_signals_only_what_may_be_taken() {
    let mut m = Machine::new(1, 0, Linking::Hardware);
    m.set_up();
    m.write_bit(0, 0, 0x100, SPI);
    assert!(!m.vgic.signals(0));
    pulse(&mut m, SPI);
    assert!(m.vgic.signals(0));
    m.set_mask(0, 0x20);
    assert!(!m.vgic.signals(0) && m.vgic.is_pending(0));
    m.set_mask(0, 0xf8);
    assert_eq!(m.acknowledge(0), SPI);
    assert!(!m.vgic.signals(0));
}

#[test]
fn a_maintenance_interrupt_says_why() {
    let why = Maintenance::of(0b1101);
    assert!(why.eoi && why.missed && why.drained && !why.other);
    assert!(Maintenance::of(0b10).other);
    assert_eq!(Maintenance::of(0), Maintenance::default());
}

#[test]
fn an_interrupt_that_comes_again_goes_the_short_way() {
    let mut m = Machine::new(1, 4, Linking::Hardware);
    m.set_up();
    m.set_mask(0, 0xf8);
    for id in [40, 41] {
        m.write_bit(0, 0, 0x100, id);
        m.write(0, 0xc00 + u64::from(id / 16) * 4, 4, 0xaaaa_aaaa);
    }
    for id in [40, 40, 41, 40, 41] {
        m.pulse(0, id);
        assert_eq!(m.acknowledge(0), id);
        m.end(0, id);
    }
    assert_eq!(m.quick, 5);
    // Once more while the first one is active: that has to be remembered.
    m.pulse(0, 40);
    assert_eq!(m.acknowledge(0), 40);
    m.pulse(0, 40);
    assert_eq!(m.quick, 6);
    assert_eq!(m.acknowledge(0), SPURIOUS);
    m.end(0, 40);
    assert_eq!(m.acknowledge(0), 40);
}
