//! Which functions the instructions are in.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::counts::{Counts, Kind};
use crate::failure::Outcome;
use crate::symbols::Symbols;
use crate::workspace::write_whole;

/// How many functions are printed.
const TOP: usize = 20;

/// By how much two runs differ, by address in the ELF.
pub(super) struct Profile {
    executed: BTreeMap<u64, u64>,
    /// Stays that this is about.
    stays: u64,
}

impl Profile {
    /// Of stays of these kinds. `base` is where the image was.
    pub(super) fn between(less: &Counts, more: &Counts, kinds: &[Kind], base: u64) -> Self {
        let before = less.by_address(kinds);
        let executed = more
            .by_address(kinds)
            .into_iter()
            .map(|(address, count)| {
                let before = before.get(&address).copied().unwrap_or(0);
                (address.saturating_sub(base), count.saturating_sub(before))
            })
            .filter(|(_, count)| *count != 0)
            .collect();
        let (less, more) = (less.stays(kinds).count, more.stays(kinds).count);
        Profile {
            executed,
            stays: more.saturating_sub(less),
        }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.executed.is_empty() || self.stays == 0
    }

    /// The functions with the most instructions, with instructions per stay and how often the
    /// function was come to per stay.
    pub(super) fn table(&self, symbols: &Symbols) -> String {
        let mut functions: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (address, count) in &self.executed {
            let (name, distance) = symbols.name_of(*address).unwrap_or(("?", 0));
            let function = functions.entry(name).or_default();
            function.0 += count;
            if distance == 0 {
                function.1 += count;
            }
        }
        let all: u64 = self.executed.values().sum();
        let mut rows: Vec<_> = functions.into_iter().collect();
        rows.sort_by_key(|(name, (count, _))| (std::cmp::Reverse(*count), *name));
        let mut text = String::from("   per stay   share   calls  function\n");
        let mut line = |count: u64, calls: Option<u64>, name: &str| {
            let calls = calls.map_or(String::new(), |calls| {
                format!("{:.2}", ratio(calls, self.stays))
            });
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:>11.1} {:>6.1}% {calls:>7}  {name}",
                ratio(count, self.stays),
                100.0 * ratio(count, all)
            );
        };
        for (name, (count, calls)) in rows.iter().take(TOP) {
            line(*count, Some(*calls), name);
        }
        let rest: u64 = rows.iter().skip(TOP).map(|(_, (count, _))| count).sum();
        if rest != 0 {
            line(rest, None, "all others");
        }
        line(all, None, "together");
        text
    }

    /// Writes how often each instruction was executed: address in the ELF, count, function.
    pub(super) fn write(&self, symbols: &Symbols, path: &Path) -> Outcome<PathBuf> {
        let mut text = String::new();
        for (address, count) in &self.executed {
            let (name, distance) = symbols.name_of(*address).unwrap_or(("?", 0));
            let _ = writeln!(text, "{address:x} {count} {name}+{distance:#x}");
        }
        write_whole(path, text.as_bytes())?;
        Ok(path.to_path_buf())
    }
}

/// A quotient for people; 0 where there is none.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts are far below the 53 bits that stay exact"
)]
pub(super) fn ratio(count: u64, of: u64) -> f64 {
    if of == 0 {
        return 0.0;
    }
    count as f64 / of as f64
}
