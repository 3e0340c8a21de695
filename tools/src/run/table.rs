//! The summary, for people.

use guest_abi::summary::{Exits, Summary};

use super::console::GuestWords;

/// The lines of the summary.
pub(crate) fn table(summary: &Summary, guest: &GuestWords) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let s = summary;
    rows.push(("exits", exits(&s.exits)));
    rows.push(("DART flushes", s.flushes.to_string()));
    rows.push((
        "pages",
        format!(
            "{} mapped, {} unmapped, {} pinned now, {} at most",
            s.pages_mapped, s.pages_unmapped, s.pages_pinned, s.pages_pinned_peak
        ),
    ));
    rows.push((
        "translated",
        format!("{} pages with IOVA other than PA", s.translations_moved),
    ));
    rows.push((
        "refused",
        format!(
            "{} leaves, {} tables; {} leaves widened",
            s.leaves_refused, s.tables_refused, s.leaves_widened
        ),
    ));
    rows.push((
        "tables",
        format!("{} followed now, {} at most", s.tables, s.tables_peak),
    ));
    rows.push((
        "faults",
        format!(
            "{} reported ({} not shown to the guest), {} of devices nobody has, {} times no room for more",
            s.faults, s.faults_unshown, s.faults_stray, s.faults_lost
        ),
    ));
    rows.push((
        "Oche's frames",
        format!(
            "{} free before the guest, {} after it, of {}",
            s.frames_free_at_start, s.frames_free_at_end, s.frames_total
        ),
    ));
    if s.out_of_memory != 0 {
        let times = s.out_of_memory;
        rows.push((
            "out of memory",
            format!("{times} times, for what the guest maps"),
        ));
    }
    if s.targets_changed != 0 {
        let changed = s.targets_changed;
        rows.push(("BREACH", format!("{changed} of Oche's frames were changed")));
    }
    for (number, kind) in &guest.groups {
        rows.push(("IOMMU group", format!("{number}, type {kind}")));
    }
    if let Some(sum) = &guest.md5 {
        rows.push(("checksum", sum.clone()));
    }
    rows.push((
        "start",
        format!(
            "{} from EL2 entry to the guest's first instruction",
            seconds(s.boot_us)
        ),
    ));
    rows.push((
        "time",
        match s.userspace_us {
            Some(time) => format!(
                "{} in all, {} to userspace",
                seconds(s.run_us),
                seconds(time)
            ),
            None => format!("{} in all, userspace not reached", seconds(s.run_us)),
        },
    ));
    rows.push(("virtual CPUs", s.vcpus.to_string()));
    if s.guards_out {
        rows.push(("GUARDS OUT", "this was a test image".into()));
    }
    rows.iter()
        .map(|(name, value)| format!("  {name:<14}{value}\n"))
        .collect()
}

/// Causes that occurred, the most frequent first.
fn exits(exits: &Exits) -> String {
    let mut causes = [
        (exits.irq, "interrupts"),
        (exits.fiq, "calls between cores"),
        (exits.hvc, "HVC"),
        (exits.smc, "SMC"),
        (exits.sysreg, "system registers"),
        (exits.dart, "DART"),
        (exits.gic, "interrupt controller"),
        (exits.uart, "serial line"),
        (exits.pci, "PCI"),
        (exits.wfx, "WFx"),
        (exits.stage2_other, "other stage 2"),
        (exits.other, "other"),
    ];
    causes.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let causes: Vec<_> = causes
        .iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, name)| format!("{name} {count}"))
        .collect();
    match causes.is_empty() {
        true => exits.total.to_string(),
        false => format!("{} ({})", exits.total, causes.join(", ")),
    }
}

fn seconds(microseconds: u64) -> String {
    format!(
        "{}.{:02} s",
        microseconds / 1_000_000,
        microseconds % 1_000_000 / 10_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_happened() {
        let summary = Summary {
            exits: Exits {
                total: 12,
                hvc: 2,
                dart: 10,
                ..Exits::default()
            },
            userspace_us: Some(1_234_567),
            run_us: 12_034_567,
            ..Summary::default()
        };
        let text = table(&summary, &GuestWords::default());
        assert!(text.contains("12 (DART 10, HVC 2)"), "{text}");
        assert!(
            text.contains("12.03 s in all, 1.23 s to userspace"),
            "{text}"
        );
        assert!(!text.contains("GUARDS"));
    }
}
