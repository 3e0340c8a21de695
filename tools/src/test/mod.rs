//! `oche test`: every test there is, or those that were named.

mod case;
mod expect;
mod junit;
mod meanwhile;
mod runner;
mod steps;
mod typing;

use std::time::{Duration, Instant};

use crate::cli::TestOptions;
use crate::command::{interrupted, interruption};
use crate::failure::{Failure, OrSay, Outcome, Status};
use crate::packages::ensure;
use crate::progress::Task;
use crate::workspace::Workspace;
use case::Case;
use steps::Step;

/// A test, with its name and the sentence that it proves.
pub(crate) enum Test {
    /// Something that cargo or this program does on this machine.
    Step(Step),
    /// A run of `oche`, usually with QEMU.
    Case(Box<Case>),
}

impl Test {
    fn name(&self) -> &str {
        match self {
            Test::Step(step) => step.name,
            Test::Case(case) => &case.name,
        }
    }

    fn sentence(&self) -> &str {
        match self {
            Test::Step(step) => step.sentence,
            Test::Case(case) => &case.sentence,
        }
    }

    fn is_long(&self) -> bool {
        matches!(self, Test::Case(case) if case.long)
    }

    fn run(&self, workspace: &Workspace, earlier: &mut Vec<String>) -> Outcome<()> {
        match self {
            Test::Step(step) => (step.act)(workspace),
            Test::Case(case) => runner::run(workspace, case, earlier),
        }
    }
}

/// A test that was run.
pub(crate) struct Tried {
    pub(crate) name: String,
    pub(crate) took: Duration,
    /// Why it failed, if it did.
    pub(crate) problem: Option<String>,
    /// Why earlier tries failed, if it was tried again.
    pub(crate) earlier: Vec<String>,
}

/// `oche test`.
pub(crate) fn test(workspace: &Workspace, options: &TestOptions) -> Outcome<Status> {
    let mut tests: Vec<Test> = steps::all().into_iter().map(Test::Step).collect();
    tests.extend(
        case::load(&workspace.root().join("tests/qemu"))?
            .into_iter()
            .map(|case| Test::Case(Box::new(case))),
    );
    let chosen = choose(tests, options)?;
    if options.list {
        list(&chosen);
        return Ok(Status::Good);
    }
    install(workspace, &chosen)?;
    let mut tried = Vec::new();
    for test in &chosen {
        tried.push(try_one(workspace, test)?);
    }
    if let Some(path) = &options.junit {
        let report = junit::report(&tried).or_say("cannot write the results")?;
        std::fs::write(path, report).or_say(format_args!("cannot write {}", path.display()))?;
    }
    let failed: Vec<_> = tried.iter().filter(|one| one.problem.is_some()).collect();
    println!();
    for one in tried.iter().filter(|one| one.problem.is_none()) {
        if !one.earlier.is_empty() {
            println!(
                "passed on a later try: {} ({})",
                one.name,
                one.earlier.len() + 1
            );
        }
    }
    for one in &failed {
        println!("failed: {}", one.name);
    }
    println!(
        "{} passed, {} failed",
        tried.len() - failed.len(),
        failed.len()
    );
    Ok(match failed.is_empty() {
        true => Status::Good,
        false => Status::Refused,
    })
}

/// Sees to it that everything is there before the first test: who cannot install it is told at
/// once, and in one line.
fn install(workspace: &Workspace, tests: &[Test]) -> Outcome<()> {
    let steps: Vec<_> = tests
        .iter()
        .filter_map(|test| match test {
            Test::Step(step) => Some(step),
            Test::Case(_) => None,
        })
        .collect();
    let runs = steps.len() != tests.len();
    let _lock = workspace.lock()?;
    ensure(
        workspace,
        "run these tests",
        &steps::needs(workspace, &steps, runs)?,
    )
}

fn try_one(workspace: &Workspace, test: &Test) -> Outcome<Tried> {
    let task = Task::start(format!("test {}", test.name()));
    let started = Instant::now();
    let mut earlier = Vec::new();
    let result = test.run(workspace, &mut earlier);
    task.vanish();
    if interrupted() {
        return Err(interruption());
    }
    let took = started.elapsed();
    let problem = result.err().map(|failure| failure.sentence);
    let how = match earlier.len() {
        0 => format!("{:.1} s", took.as_secs_f64()),
        tries => format!("{:.1} s, on try {}", took.as_secs_f64(), tries + 1),
    };
    match &problem {
        None => println!("test {} ... ok ({how})", test.name()),
        Some(words) => {
            println!("test {} ... FAILED ({how})", test.name());
            println!("  {}", test.sentence());
            for line in words.lines() {
                println!("  {line}");
            }
        }
    }
    for words in &earlier {
        println!("  tried again: {words}");
    }
    Ok(Tried {
        name: test.name().to_string(),
        took,
        problem,
        earlier,
    })
}

/// The tests that the options name, in their own order. Long ones only when they are named or
/// asked for.
fn choose(tests: Vec<Test>, options: &TestOptions) -> Outcome<Vec<Test>> {
    for name in &options.names {
        if !tests.iter().any(|test| matches(name, test.name())) {
            return Err(Failure::new(format!(
                "no test is named `{name}`: see oche test --list"
            )));
        }
    }
    let wanted = |test: &Test| {
        if options.names.is_empty() {
            return options.long || options.list || !test.is_long();
        }
        options.names.iter().any(|name| matches(name, test.name()))
    };
    Ok(tests.into_iter().filter(wanted).collect())
}

fn list(tests: &[Test]) {
    let width = tests
        .iter()
        .map(|test| test.name().len())
        .max()
        .unwrap_or(0);
    for test in tests {
        let long = if test.is_long() { " (long)" } else { "" };
        println!("{:width$}  {}{long}", test.name(), test.sentence());
    }
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|skip| rest.get(skip..).is_some_and(|rest| matches(after, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("linux-*", "linux-max"));
        assert!(matches("*-max", "linux-max"));
        assert!(matches("l*x-*x", "linux-max"));
        assert!(matches("linux-max", "linux-max"));
        assert!(!matches("linux", "linux-max"));
        assert!(!matches("*-min", "linux-max"));
    }
}
