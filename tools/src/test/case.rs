//! The cases in `tests/qemu/*.toml`: what to run, and what has to come of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::expect::Comparison;
use crate::failure::{Failure, OrSay, Outcome};

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Its name. With `each`, a hyphen and the word follow it.
    pub(crate) name: String,
    /// What it proves.
    pub(crate) sentence: String,
    /// The words after `oche`. `{each}`, `{folder}`, `{kernel}` and `{ramdisk}` are replaced: the
    /// word of this variant, a folder with `files` in it, the built-in guest's kernel and ramdisk.
    pub(crate) args: Vec<String>,
    /// Makes one case of each word.
    #[serde(default)]
    each: Vec<String>,
    /// The exit statuses that are right.
    pub(crate) status: Vec<u8>,
    /// Regular expressions that the output has to match, line by line.
    #[serde(default)]
    pub(crate) output: Vec<String>,
    /// Regular expressions that no line of the output may match.
    #[serde(default)]
    pub(crate) never: Vec<String>,
    /// Words that lines of the output start with, each followed by the path of a file that is
    /// there.
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    /// Comparisons of fields of Oche's summary, as `pages_pinned = 0`.
    #[serde(default)]
    pub(crate) summary: Vec<Comparison>,
    /// Files to make.
    #[serde(default)]
    pub(crate) files: Vec<TestFile>,
    /// What is typed while it runs, in this order.
    #[serde(default)]
    pub(crate) input: Vec<Typed>,
    /// What is called while it runs, in this order.
    #[serde(default)]
    pub(crate) meanwhile: Vec<Meanwhile>,
    /// Environment variables; `{folder}` is replaced.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// How often it is tried when QEMU's drive leaves its interrupt pin up; 0 is 1.
    #[serde(default)]
    pub(crate) tries: u8,
    /// Left out unless asked for.
    #[serde(default)]
    pub(crate) long: bool,
}

/// Something to type.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Typed {
    /// A regular expression: typed when the output matches it, behind what the one before has matched.
    pub(crate) after: String,
    /// The bytes.
    pub(crate) send: String,
}

/// A call of `oche` beside the run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meanwhile {
    /// A regular expression: called when the output matches it, behind what the one before has matched.
    pub(crate) after: String,
    /// The words after `oche`; `{run}` is the folder of the run.
    pub(crate) args: Vec<String>,
    /// The exit status that is right.
    #[serde(default)]
    pub(crate) status: u8,
    /// Regular expressions that its output has to match, line by line.
    #[serde(default)]
    pub(crate) output: Vec<String>,
}

/// A file that a case needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestFile {
    /// Its name in the case's folder.
    pub(crate) name: String,
    /// What is in it.
    #[serde(flatten)]
    pub(crate) contents: Contents,
}

/// What is in a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contents {
    /// So many zero bytes.
    Zeroes(u64),
    /// So many bytes from the start of the built-in guest's kernel.
    StartOfKernel(u64),
    /// A shell script, which can be run.
    Script(String),
    /// A text.
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// The cases of a folder, file by file in the order of their names.
pub(crate) fn load(folder: &Path) -> Outcome<Vec<Case>> {
    let entries = fs::read_dir(folder).or_say(format_args!("cannot read {}", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    let mut cases: Vec<Case> = Vec::new();
    for path in paths {
        let text =
            fs::read_to_string(&path).or_say(format_args!("cannot read {}", path.display()))?;
        let read = read(&text).or_say(path.display())?;
        for case in read {
            if cases.iter().any(|other| other.name == case.name) {
                return Err(Failure::new(format!("two cases are named `{}`", case.name)));
            }
            cases.push(case);
        }
    }
    Ok(cases)
}

fn read(text: &str) -> Result<Vec<Case>, toml::de::Error> {
    let cases: Cases = toml::from_str(text)?;
    Ok(cases.case.into_iter().flat_map(Case::variants).collect())
}

impl Case {
    fn variants(self) -> Vec<Case> {
        if self.each.is_empty() {
            return vec![self];
        }
        let variant = |word: &String| {
            let fill = |text: &String| text.replace("{each}", word);
            Case {
                name: format!("{}-{word}", self.name),
                sentence: fill(&self.sentence),
                args: self.args.iter().map(fill).collect(),
                output: self.output.iter().map(fill).collect(),
                ..self.clone()
            }
        };
        self.each.iter().map(variant).collect()
    }

    /// Whether the case looks into the report of a run.
    pub(crate) fn wants_report(&self) -> bool {
        !self.summary.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_with_variants_becomes_several() {
        let cases = read(
            r#"
            [[case]]
            name = "linux"
            sentence = "Linux runs on {each}"
            each = ["max", "cortex-a76"]
            args = ["run", "--cpu", "{each}"]
            status = [0]
            summary = ["faults = 0"]

            [[case]]
            name = "short-kernel"
            sentence = "a short kernel is refused"
            args = ["run", "--kernel", "{folder}/short"]
            files = [{ name = "short", zeroes = 10 }]
            status = [1]
            "#,
        )
        .unwrap();
        let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["linux-max", "linux-cortex-a76", "short-kernel"]);
        assert_eq!(cases[1].sentence, "Linux runs on cortex-a76");
        assert_eq!(cases[1].args, ["run", "--cpu", "cortex-a76"]);
        assert!(matches!(cases[2].files[0].contents, Contents::Zeroes(10)));
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let text = "[[case]]\nname = 'a'\nsentence = 's'\nargs = []\nstatus = [0]\nouput = []";
        assert!(read(text).unwrap_err().to_string().contains("ouput"));
    }

    #[test]
    fn the_cases_of_this_clone_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/qemu");
        for case in load(&folder).unwrap() {
            let kebab =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(case.name.bytes().all(kebab), "{}", case.name);
            let typed = case.input.iter().map(|typed| &typed.after);
            let calls = case.meanwhile.iter();
            let calls = calls.flat_map(|call| call.output.iter().chain([&call.after]));
            let patterns = case.output.iter().chain(&case.never);
            for pattern in patterns.chain(typed).chain(calls) {
                assert!(
                    regex::Regex::new(pattern).is_ok(),
                    "{}: {pattern}",
                    case.name
                );
            }
        }
    }
}
