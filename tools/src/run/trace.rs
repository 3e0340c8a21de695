//! Names for the addresses in Oche's report of its own failure: `oche: trace 3 image+0x1234` is
//! shown with the function and the line that is there.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use addr2line::Loader;
use serde::Serialize;

use crate::cli::SymbolsOptions;
use crate::failure::{Failure, OrSay, Outcome, Status};
use crate::workspace::Workspace;

/// What Oche's lines start with.
const PREFIX: &str = "oche: ";
/// What follows it when Oche says that it has failed itself.
const FAILED: &str = "error: Oche failed";
/// What follows it in a line of the trace.
const TRACE: &str = "trace ";

/// An ELF with symbols, opened when the first name is asked for.
pub(crate) struct Names {
    elf: PathBuf,
    /// The top of the clone, left out of what is shown.
    root: PathBuf,
    loader: Option<Result<Loader, String>>,
}

impl Names {
    /// The names of `elf`, whose image is linked at 0.
    pub(crate) fn of(elf: PathBuf, root: &Path) -> Self {
        Names {
            elf,
            root: root.to_path_buf(),
            loader: None,
        }
    }

    /// What a line names, if it is one of a trace: `function (file:line)`, the innermost of
    /// inlined functions first.
    pub(crate) fn of_line(&mut self, line: &str) -> Option<String> {
        let (_, address) = trace_line(after_prefix(line)?)?;
        self.name(address)
    }

    fn name(&mut self, address: u64) -> Option<String> {
        let (elf, root) = (&self.elf, &self.root);
        let loader = self
            .loader
            .get_or_insert_with(|| Loader::new(elf).map_err(|error| error.to_string()))
            .as_ref()
            .ok()?;
        let mut names = Vec::new();
        if let Ok(mut frames) = loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let Some(function) = frame.function else {
                    continue;
                };
                let mut name = function.demangle().ok()?.into_owned();
                if let Some(place) = frame.location
                    && let (Some(file), Some(line)) = (place.file, place.line)
                {
                    let _ = write!(name, " ({}:{line})", short(root, file));
                }
                names.push(name);
            }
        }
        if names.is_empty() {
            // Assembly has no more than its labels.
            let symbol = loader.find_symbol_info(address)?;
            let name = addr2line::demangle_auto(symbol.name().into(), None);
            let offset = address.saturating_sub(symbol.address());
            return Some(format!("{name}+{offset:#x}"));
        }
        Some(names.join(", inlined in "))
    }

    /// Why there are no names, if that was tried.
    fn problem(&self) -> Option<&str> {
        match &self.loader {
            Some(Err(problem)) => Some(problem),
            _ => None,
        }
    }
}

/// A source file, from the top of the clone or of Rust's own source.
fn short<'f>(root: &Path, file: &'f str) -> &'f str {
    let from_root = Path::new(file).strip_prefix(root).ok();
    from_root.and_then(Path::to_str).unwrap_or_else(|| {
        file.strip_prefix("/rustc/")
            .and_then(|rest| rest.split_once('/'))
            .map_or(file, |(_, rest)| rest)
    })
}

/// What Oche says in a line.
fn after_prefix(line: &str) -> Option<&str> {
    line.trim_start_matches('\r').strip_prefix(PREFIX)
}

/// Number and address in the image of a line of a trace.
fn trace_line(words: &str) -> Option<(u32, u64)> {
    let (number, place) = words.trim_end().strip_prefix(TRACE)?.split_once(' ')?;
    let address = place.strip_prefix("image+0x")?;
    // One that was given its name before has more words.
    Some((number.parse().ok()?, u64::from_str_radix(address, 16).ok()?))
}

/// Whether a line that begins like this may become one of a trace: it is shown when it is whole.
pub(crate) fn may_be_trace(line: &[u8]) -> bool {
    let whole = PREFIX.bytes().chain(TRACE.bytes());
    line.iter().zip(whole).all(|(byte, wanted)| *byte == wanted)
}

/// What Oche said about its own failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct OwnFailure {
    /// What happened.
    pub(crate) message: String,
    /// Where, the innermost call first: the lines of the trace, with names.
    pub(crate) trace: Vec<String>,
}

/// Lines of a trace that are kept: Oche prints fewer.
const MOST_LINES: usize = 64;

impl OwnFailure {
    /// Takes note of what Oche said in a line (without its `oche: `), and of the name that the line
    /// got.
    pub(crate) fn note(kept: &mut Option<Self>, words: &str, name: Option<&str>) {
        if let Some(message) = words.strip_prefix(FAILED) {
            // A second one is a failure in the report of the first.
            let failure = kept.get_or_insert_default();
            if failure.message.is_empty() {
                failure.message = message.trim_start_matches([':', ' ']).to_string();
            }
        } else if let Some(failure) = kept
            && let Some(place) = words.strip_prefix(TRACE)
            && failure.trace.len() < MOST_LINES
        {
            let (_, place) = place.split_once(' ').unwrap_or_default();
            failure.trace.push(match name {
                Some(name) => format!("{place} in {name}"),
                None => place.to_string(),
            });
        }
    }
}

/// `oche symbols`: a log, with names.
pub(crate) fn symbols(workspace: &Workspace, options: &SymbolsOptions) -> Outcome<Status> {
    let elf = match &options.elf {
        Some(elf) => elf.clone(),
        None => workspace.cache("out").join("oche.elf"),
    };
    let mut log = Vec::new();
    if options.log.as_os_str() == "-" {
        std::io::stdin()
            .read_to_end(&mut log)
            .or_say("cannot read the standard input")?;
    } else {
        let what = format_args!("cannot read {}", options.log.display()).to_string();
        log = fs::read(&options.log).or_say(what)?;
    }
    let mut names = Names::of(elf, workspace.root());
    let shown = annotate(&String::from_utf8_lossy(&log), &mut names);
    if let Some(problem) = names.problem() {
        let elf = names.elf.display();
        return Err(Failure::new(format!(
            "cannot read symbols from {elf} (run `oche build`, or give --elf): {problem}"
        )));
    }
    print!("{shown}");
    Ok(Status::Good)
}

/// A log, with names behind its lines of traces. What records a serial line may put words of its
/// own before each line.
fn annotate(log: &str, names: &mut Names) -> String {
    let mut shown = String::new();
    for line in log.lines() {
        let line = line.trim_end_matches('\r');
        shown.push_str(line);
        let name = line
            .find(PREFIX)
            .and_then(|start| names.of_line(&line[start..]));
        if let Some(name) = name {
            let _ = write!(shown, " in {name}");
        }
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This very program stands in for an image.
    fn own() -> Names {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        Names::of(std::env::current_exe().unwrap(), root)
    }

    #[test]
    fn only_a_line_of_a_trace_is_one() {
        let at = |line| after_prefix(line).and_then(trace_line);
        assert_eq!(at("oche: trace 0 image+0x1234"), Some((0, 0x1234)));
        assert_eq!(at("\roche: trace 12 image+0xabc\r\n"), Some((12, 0xabc)));
        assert_eq!(at("oche: trace 0 image+0x1234 in main (a.rs:1)"), None);
        assert_eq!(at("oche: trace 0 0x1234"), None);
        assert_eq!(at("guest| oche: trace 0 image+0x1234"), None);
        assert_eq!(at("oche: trace x image+0x1234"), None);
        assert_eq!(at("oche: trace 0 image+0xfffffffffffffffff"), None);
    }

    #[test]
    fn an_address_gets_the_name_of_its_function() {
        let mut names = own();
        let bytes = fs::read(&names.elf).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        use object::{Object as _, ObjectSymbol as _};
        let symbol = file
            .symbols()
            .find(|symbol| symbol.name().is_ok_and(|name| name.contains("annotate")))
            .unwrap();
        let log = format!(
            "12:00 oche: trace 0 image+{:#x}\r\nelse\n",
            symbol.address()
        );
        let shown = annotate(&log, &mut names);
        assert!(shown.contains("annotate"), "{shown}");
        assert!(shown.contains("(tools/src/run/trace.rs:"), "{shown}");
        assert!(shown.ends_with("\nelse\n"), "{shown}");
    }

    #[test]
    fn without_symbols_a_log_stays_as_it_is() {
        let mut names = Names::of("/nonexistent".into(), Path::new("/"));
        let log = "oche: trace 0 image+0x10\n";
        assert_eq!(annotate(log, &mut names), log);
        assert!(names.problem().is_some());
    }

    #[test]
    fn a_failure_is_noted_with_its_trace() {
        let mut kept = None;
        OwnFailure::note(&mut kept, "trace 0 image+0x1", None);
        assert_eq!(kept, None);
        OwnFailure::note(
            &mut kept,
            "error: Oche failed: panicked at x.rs:1:2: no",
            None,
        );
        OwnFailure::note(&mut kept, "trace 0 image+0x1", Some("f (x.rs:1)"));
        OwnFailure::note(&mut kept, "trace 1 0x2", None);
        OwnFailure::note(&mut kept, "error: Oche failed again", None);
        let failure = kept.unwrap();
        assert_eq!(failure.message, "panicked at x.rs:1:2: no");
        assert_eq!(failure.trace, ["image+0x1 in f (x.rs:1)", "0x2"]);
    }
}
