//! What Oche reports when a run is over: one line of JSON behind a secret token.

use core::fmt;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

/// The word that the line starts with, before the run's token.
pub const LINE_PREFIX: &str = "oche-summary ";

/// The longest line's JSON, in bytes: all numbers at their widest leave room to spare.
const MAX_JSON: usize = 2048;

/// Why a run ended, in words. Longer reasons are cut by [`reason`].
pub type Reason = ArrayString<160>;

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The guest powered itself off.
    PoweredOff,
    /// The guest asked for a reset.
    Reset,
    /// Oche found itself broken; `reason` says where.
    Panicked,
    /// Oche ended the run, or never began it; `reason` says why.
    #[default]
    Stopped,
}

/// How often guests came out to Oche, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exits {
    /// All of them.
    pub total: u64,
    /// An interrupt of the machine, by the signal that most of them come as.
    pub irq: u64,
    /// An interrupt by the other signal: one core has called another.
    pub fiq: u64,
    /// `HVC`.
    pub hvc: u64,
    /// `SMC`.
    pub smc: u64,
    /// A trapped system register.
    pub sysreg: u64,
    /// An access to the virtual DART.
    pub dart: u64,
    /// An access to the interrupt controller's distributor or a redistributor.
    pub gic: u64,
    /// An access to the serial line.
    pub uart: u64,
    /// An access to PCI configuration space.
    pub pci: u64,
    /// `WFI` and `WFE`.
    pub wfx: u64,
    /// Any other stage-2 abort.
    pub stage2_other: u64,
    /// Anything else.
    pub other: u64,
}

/// What Oche counted in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How the run ended.
    pub outcome: Outcome,
    /// Why, unless the guest powered off or reset by itself.
    pub reason: Option<Reason>,
    /// How often the guest was started anew.
    pub restarts: u64,
    /// Exits by cause, all virtual CPUs together.
    pub exits: Exits,
    /// Invalidations that guests asked their DARTs for.
    pub flushes: u64,
    /// Pages installed in host IOMMU tables.
    pub pages_mapped: u64,
    /// Pages taken out of them again.
    pub pages_unmapped: u64,
    /// Pages that are installed now.
    pub pages_pinned: u64,
    /// The most that were installed at once.
    pub pages_pinned_peak: u64,
    /// Of the pages installed, those whose IOVA differs from their physical address: a device
    /// that reached one of these was translated.
    pub translations_moved: u64,
    /// Leaves that were not installed because the guest does not own what they name.
    pub leaves_refused: u64,
    /// Leaves that allow more in the host's table than the guest asked for, because its format cannot
    /// say it: write-only pages and sub-page windows, on an SMMU. Still only the guest's own pages.
    pub leaves_widened: u64,
    /// Guest tables that are followed now, each by a host table.
    pub tables: u64,
    /// The most that were followed at once.
    pub tables_peak: u64,
    /// Guest tables that were not followed: outside memory, or past the limit.
    pub tables_refused: u64,
    /// How often a guest's table or page was left out for want of a frame of Oche's; the next flush tries again.
    pub out_of_memory: u64,
    /// Faults of the guest's devices that the host IOMMU reported.
    pub faults: u64,
    /// Of these, those that the guest was not shown, because its DART held an earlier one.
    pub faults_unshown: u64,
    /// Faults of devices that nobody was given.
    pub faults_stray: u64,
    /// How often the host IOMMU had no room to report a fault.
    pub faults_lost: u64,
    /// Revealed frames of Oche's own that were changed by the end of the run: any is a breach.
    pub targets_changed: u64,
    /// Page frames that Oche has for itself.
    pub frames_total: u64,
    /// Of these, free before the guest was built.
    pub frames_free_at_start: u64,
    /// Of these, free after the guest was taken down.
    pub frames_free_at_end: u64,
    /// Microseconds from entering the guest to its first instruction at EL0, if it got there.
    pub userspace_us: Option<u64>,
    /// Microseconds from Oche's first instruction to the guest's first.
    pub boot_us: u64,
    /// Microseconds from entering the guest to its end.
    pub run_us: u64,
    /// The guest's virtual CPUs.
    pub vcpus: u64,
    /// Whether a guard was taken out: never in the shipped image.
    pub guards_out: bool,
}

/// `words` as a reason: control characters turned to spaces, cut to what fits.
#[must_use]
pub fn reason(words: fmt::Arguments<'_>) -> Reason {
    struct Cut(Reason);
    impl fmt::Write for Cut {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for letter in text.chars() {
                let plain = if letter.is_control() { ' ' } else { letter };
                if self.0.try_push(plain).is_err() {
                    break;
                }
            }
            Ok(())
        }
    }
    let mut cut = Cut(Reason::new());
    // Cutting cannot fail; a `Display` that fails by itself leaves what it said before.
    let _ = fmt::Write::write_fmt(&mut cut, words);
    cut.0
}

/// Writes the line, without a line break: [`LINE_PREFIX`], the token, a space, the JSON.
///
/// # Errors
/// When `out` fails, or the JSON is longer than its buffer.
pub fn write_line(out: &mut impl fmt::Write, token: &str, summary: &Summary) -> fmt::Result {
    let mut buffer = [0; MAX_JSON];
    let length = serde_json_core::to_slice(summary, &mut buffer).map_err(|_| fmt::Error)?;
    let json = buffer
        .get(..length)
        .and_then(|bytes| core::str::from_utf8(bytes).ok())
        .ok_or(fmt::Error)?;
    write!(out, "{LINE_PREFIX}{token} {json}")
}

/// The JSON in a line of console output, if it is the summary of the run with that token.
/// A guest may have left something on the line before it.
#[must_use]
pub fn find_json<'a>(line: &'a str, token: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(LINE_PREFIX)?;
    rest.strip_prefix(token)?.strip_prefix(' ')
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    #[test]
    fn a_summary_survives_the_line() {
        let summary = Summary {
            reason: Some(reason(format_args!("a \"quoted\" \\ reason"))),
            userspace_us: Some(5),
            ..Summary::default()
        };
        let mut line = String::from("left over by the guest");
        write_line(&mut line, "c0ffee", &summary).unwrap();
        let json = find_json(&line, "c0ffee").unwrap();
        assert_eq!(serde_json::from_str::<Summary>(json).unwrap(), summary);
    }

    #[test]
    fn a_line_without_the_token_is_not_ours() {
        let mut line = String::new();
        write_line(&mut line, "c0ffe", &Summary::default()).unwrap();
        assert_eq!(find_json(&line, "c0ffee"), None);
        assert_eq!(find_json(&line, "c0ff"), None);
    }

    #[test]
    fn the_widest_summary_fits() {
        let json = serde_json::to_string(&Summary::default()).unwrap();
        let widest = json.replace(":0", ":18446744073709551615").replace(
            "\"userspace_us\":null",
            "\"userspace_us\":18446744073709551615",
        );
        let mut summary: Summary = serde_json::from_str(&widest).unwrap();
        // Every character of the reason takes the longest escape that is left.
        summary.reason = Some(reason(format_args!("{}", "\"".repeat(500))));
        let mut line = String::new();
        write_line(&mut line, &"f".repeat(64), &summary).unwrap();
        assert!(line.len() > 1000);
    }

    #[test]
    fn a_long_reason_is_cut() {
        assert_eq!(reason(format_args!("{}", "x".repeat(500))).len(), 160);
    }
}
