//! Answers, for people.

use guest_abi::control::{GuestState, State, Status};

use crate::size;

/// One line for each thing.
pub(super) fn status(status: &Status) -> String {
    let rows = [
        ("cores", status.cores.to_string()),
        ("guests", status.guests.to_string()),
        (
            "frames",
            format!("{} of {} free", status.frames_free, status.frames_total),
        ),
        ("interrupts", status.interrupts.to_string()),
        ("log", format!("{} bytes", status.log_end)),
    ];
    let mut text = format!("Oche {}, up {}\n", status.oche, seconds(status.uptime_us));
    for (name, value) in rows {
        text += &format!("{name:<12}{value}\n");
    }
    text
}

/// A table with one line for each guest.
pub(super) fn guests(guests: &[GuestState]) -> String {
    let head = [
        "guest", "state", "vcpus", "memory", "up", "restarts", "exits", "pinned", "faults",
    ];
    let mut rows = vec![head.map(String::from)];
    rows.extend(guests.iter().map(|guest| {
        [
            guest.name.to_string(),
            word(guest.state).to_string(),
            format!("{}/{}", guest.vcpus_on, guest.vcpus),
            size::show(guest.memory),
            seconds(guest.run_us),
            guest.restarts.to_string(),
            guest.exits.total.to_string(),
            guest.pages_pinned.to_string(),
            guest.faults.to_string(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let line: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            format!("{}\n", line.join("  ").trim_end())
        })
        .collect()
}

fn word(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Stopping => "stopping",
        State::Off => "off",
    }
}

fn seconds(microseconds: u64) -> String {
    let milliseconds = microseconds / 1000;
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_heads() {
        let guest = |name: &str, memory| GuestState {
            name: name.try_into().unwrap(),
            memory,
            ..GuestState::default()
        };
        let text = guests(&[guest("a", 512 << 20), guest("a-longer-name", 1 << 30)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let column = lines[0].find("memory").unwrap();
        assert_eq!(&lines[1][column..column + 7], "512 MiB");
        assert_eq!(&lines[2][column..column + 5], "1 GiB");
    }

    #[test]
    fn a_time_is_shown_in_seconds() {
        assert_eq!(seconds(12_345_678), "12.345 s");
    }
}
