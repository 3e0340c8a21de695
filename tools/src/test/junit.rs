//! The results in JUnit's format, for other programs.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::Tried;

/// The report's text.
pub(crate) fn report(tried: &[Tried]) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new("oche");
    for one in tried {
        let mut status = match &one.problem {
            None => TestCaseStatus::success(),
            Some(words) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(words.clone());
                status
            }
        };
        // Of a test that passed these become `flakyFailure`, of another `rerunFailure`.
        for words in &one.earlier {
            let mut rerun = TestRerun::new(NonSuccessKind::Failure);
            rerun.set_message(words.clone());
            status.add_rerun(rerun);
        }
        let mut case = TestCase::new(one.name.clone(), status);
        case.set_time(one.took);
        suite.add_test_case(case);
    }
    let mut report = Report::new("oche");
    report.add_test_suite(suite);
    report.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn failures_are_counted() {
        let one = |name: &str, problem: Option<&str>| Tried {
            name: name.into(),
            took: Duration::from_millis(1500),
            problem: problem.map(str::to_string),
            earlier: Vec::new(),
        };
        let text = report(&[one("good", None), one("bad", Some("a < b"))]).unwrap();
        assert!(
            text.contains("tests=\"2\" skipped=\"0\" failures=\"1\""),
            "{text}"
        );
        assert!(text.contains("a &lt; b"), "{text}");
    }

    #[test]
    fn a_test_that_passed_on_a_later_try_is_flaky() {
        let text = report(&[Tried {
            name: "late".into(),
            took: Duration::ZERO,
            problem: None,
            earlier: vec!["the pin".into()],
        }])
        .unwrap();
        assert!(text.contains("failures=\"0\""), "{text}");
        assert!(text.contains("<flakyFailure message=\"the pin\""), "{text}");
    }
}
