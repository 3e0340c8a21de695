//! What a run comes to: its exit status, and a sentence.

use guest_abi::summary::{Outcome as End, Summary};

use super::console::GuestWords;
use super::trace::OwnFailure;
use crate::failure::Status;

/// How QEMU ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QemuEnd {
    /// By itself, with success or with these words.
    Exited(Result<(), String>),
    /// The time was up.
    TimedOut(u64),
    /// The user interrupted it.
    Interrupted,
}

/// What the built-in guest has to have said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing: the guest is somebody else's.
    Nothing,
    /// That it passed.
    Pass,
    /// That it passed, and this checksum.
    Checksum(String),
}

/// What a verdict is made of.
pub(crate) struct Evidence<'a> {
    pub(crate) end: &'a QemuEnd,
    pub(crate) summary: Option<&'a Summary>,
    pub(crate) last_words: Option<&'a str>,
    /// What Oche said about its own failure.
    pub(crate) failure: Option<&'a OwnFailure>,
    pub(crate) guest: &'a GuestWords,
    pub(crate) expected: &'a Expected,
    /// Whether what the guest was asked to write is on the disk, if it was asked.
    pub(crate) written: Option<bool>,
}

/// Judges a run. What went wrong first, in the order of causes, gives the status.
pub(crate) fn judge(evidence: &Evidence<'_>) -> (Status, String) {
    match evidence.end {
        QemuEnd::Interrupted => return (Status::Interrupted, "interrupted".into()),
        // Whatever ends QEMU after that: it is what has to be known.
        _ if evidence.summary.is_none() && evidence.failure.is_some() => {}
        QemuEnd::TimedOut(seconds) => {
            return (
                Status::TimedOut,
                format!("the run was not over after {seconds} s and was ended (--timeout)"),
            );
        }
        QemuEnd::Exited(Err(words)) if evidence.summary.is_none() => {
            return (Status::QemuFailed, format!("QEMU failed: {words}"));
        }
        QemuEnd::Exited(_) => {}
    }
    let Some(summary) = evidence.summary else {
        return without_summary(evidence);
    };
    let reason = summary.reason.as_deref().unwrap_or("it gave no reason");
    match summary.outcome {
        End::Panicked => return (Status::OcheFailed, format!("Oche failed: {reason}")),
        End::Stopped => return (Status::OcheStopped, format!("Oche ended the run: {reason}")),
        End::Reset => {
            let sentence = "the guest reset itself instead of powering off (did it panic?)";
            return (Status::GuestReset, sentence.into());
        }
        End::PoweredOff => {}
    }
    if summary.targets_changed != 0 && !summary.guards_out {
        let changed = summary.targets_changed;
        return (
            Status::OcheStopped,
            format!("BREACH: {changed} frames of Oche's own were changed by a device of the guest"),
        );
    }
    let faults = summary
        .faults
        .saturating_add(summary.faults_stray)
        .saturating_add(summary.faults_lost);
    if faults != 0 {
        let why = evidence.guest.result.as_deref().unwrap_or("nothing");
        return (
            Status::Faulted,
            format!("the host IOMMU reported {faults} faults (the guest said: {why})"),
        );
    }
    if let Some(complaint) = complaint(evidence) {
        return (Status::GuestFailed, complaint);
    }
    if summary.pages_pinned != 0 {
        let pinned = summary.pages_pinned;
        return (
            Status::Unbalanced,
            format!("{pinned} pages are pinned, and the guest is gone"),
        );
    }
    if summary.frames_free_at_end != summary.frames_free_at_start {
        let (start, end) = (summary.frames_free_at_start, summary.frames_free_at_end);
        return (
            Status::Unbalanced,
            format!("Oche had {start} free frames before the guest and has {end} after it"),
        );
    }
    (
        Status::Good,
        "the guest powered off by itself, and nothing faulted".into(),
    )
}

/// Oche is gone before the end of a run.
fn without_summary(evidence: &Evidence<'_>) -> (Status, String) {
    if let Some(failure) = evidence.failure {
        let message = &failure.message;
        return (Status::OcheFailed, format!("Oche failed: {message}"));
    }
    match evidence.last_words {
        // Bad input that it found before it knew how to write a summary.
        Some(words) if words.starts_with("error: ") => (
            Status::OcheStopped,
            format!("Oche ended without a summary; its last words: {words}"),
        ),
        words => (
            Status::OcheFailed,
            format!(
                "Oche was gone without a reason; its last words: {}",
                words.unwrap_or("nothing")
            ),
        ),
    }
}

/// What is wrong with what the guest said.
fn complaint(evidence: &Evidence<'_>) -> Option<String> {
    let guest = evidence.guest;
    if *evidence.expected == Expected::Nothing {
        return None;
    }
    match guest.result.as_deref() {
        Some("pass") => {}
        Some(words) => return Some(format!("the guest said: {words}")),
        None => return Some("the guest powered off without a word about its result".into()),
    }
    if let Expected::Checksum(host) = evidence.expected {
        let sum = guest.md5.as_deref().unwrap_or("none");
        if sum != host {
            return Some(format!(
                "the guest's checksum of the disk is {sum}, the host's {host}"
            ));
        }
    }
    if evidence.written == Some(false) {
        return Some("what the guest wrote and read back is not on the disk".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use guest_abi::summary::reason;

    use super::*;

    fn good_summary() -> Summary {
        Summary {
            outcome: End::PoweredOff,
            ..Summary::default()
        }
    }

    fn good_guest() -> GuestWords {
        GuestWords {
            userspace: true,
            md5: Some("abc".into()),
            result: Some("pass".into()),
            ..GuestWords::default()
        }
    }

    fn status(summary: Option<&Summary>, guest: &GuestWords, end: QemuEnd) -> Status {
        judge(&Evidence {
            end: &end,
            summary,
            last_words: None,
            failure: None,
            guest,
            expected: &Expected::Checksum("abc".into()),
            written: Some(true),
        })
        .0
    }

    const OVER: QemuEnd = QemuEnd::Exited(Ok(()));

    #[test]
    fn all_good_is_status_0() {
        assert_eq!(
            status(Some(&good_summary()), &good_guest(), OVER),
            Status::Good
        );
    }

    #[test]
    fn each_cause_has_its_status() {
        let guest = good_guest();
        let with = |change: fn(&mut Summary)| {
            let mut summary = good_summary();
            change(&mut summary);
            status(Some(&summary), &good_guest(), OVER)
        };
        assert_eq!(with(|s| s.outcome = End::Reset), Status::GuestReset);
        assert_eq!(with(|s| s.outcome = End::Panicked), Status::OcheFailed);
        assert_eq!(with(|s| s.outcome = End::Stopped), Status::OcheStopped);
        assert_eq!(with(|s| s.faults = 1), Status::Faulted);
        assert_eq!(with(|s| s.faults_lost = 1), Status::Faulted);
        assert_eq!(with(|s| s.targets_changed = 1), Status::OcheStopped);
        assert_eq!(with(|s| s.pages_pinned = 1), Status::Unbalanced);
        assert_eq!(with(|s| s.frames_free_at_end = 1), Status::Unbalanced);
        assert_eq!(status(None, &guest, OVER), Status::OcheFailed);
        let failed = QemuEnd::Exited(Err("no".into()));
        assert_eq!(status(None, &guest, failed), Status::QemuFailed);
        assert_eq!(status(None, &guest, QemuEnd::TimedOut(1)), Status::TimedOut);
        assert_eq!(
            status(None, &guest, QemuEnd::Interrupted),
            Status::Interrupted
        );
    }

    #[test]
    fn oche_without_a_summary_is_judged_by_its_last_words() {
        let failure = OwnFailure {
            message: "panicked".into(),
            trace: Vec::new(),
        };
        let judge = |last_words, failure, end| {
            judge(&Evidence {
                end: &end,
                summary: None,
                last_words,
                failure,
                guest: &good_guest(),
                expected: &Expected::Nothing,
                written: None,
            })
        };
        let refused = judge(Some("error: no smmu"), None, OVER);
        assert_eq!(refused.0, Status::OcheStopped);
        assert!(refused.1.contains("no smmu"));
        assert_eq!(judge(Some("ready"), None, OVER).0, Status::OcheFailed);
        for end in [OVER, QemuEnd::TimedOut(1), QemuEnd::Exited(Err("".into()))] {
            let failed = judge(Some("error: x"), Some(&failure), end);
            assert_eq!(failed, (Status::OcheFailed, "Oche failed: panicked".into()));
        }
    }

    #[test]
    fn a_guest_that_does_not_convince_fails() {
        let summary = good_summary();
        for change in [
            (|g: &mut GuestWords| g.md5 = Some("other".into())) as fn(&mut GuestWords),
            |g| g.md5 = None,
            |g| g.result = None,
            |g| g.result = Some("fail no disk".into()),
        ] {
            let mut guest = good_guest();
            change(&mut guest);
            assert_eq!(status(Some(&summary), &guest, OVER), Status::GuestFailed);
        }
    }

    #[test]
    fn a_write_that_did_not_arrive_fails() {
        let (status, words) = judge(&Evidence {
            end: &OVER,
            summary: Some(&good_summary()),
            last_words: None,
            failure: None,
            guest: &good_guest(),
            expected: &Expected::Pass,
            written: Some(false),
        });
        assert_eq!(status, Status::GuestFailed);
        assert!(words.contains("not on the disk"));
    }

    #[test]
    fn somebody_elses_guest_need_not_say_anything() {
        let mut summary = good_summary();
        let silent = GuestWords::default();
        let mut judged = |change: fn(&mut Summary)| {
            change(&mut summary);
            judge(&Evidence {
                end: &OVER,
                summary: Some(&summary),
                last_words: None,
                failure: None,
                guest: &silent,
                expected: &Expected::Nothing,
                written: None,
            })
        };
        assert_eq!(judged(|_| {}).0, Status::Good);
        let stopped = judged(|summary| {
            summary.outcome = End::Stopped;
            summary.reason = Some(reason(format_args!("no room")));
        });
        assert!(stopped.1.contains("no room"));
    }
}
