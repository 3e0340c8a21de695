//! Types into a run, when what was waited for has been shown.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use regex::bytes::Regex;

use super::case::Typed;
use crate::failure::{OrSay, Outcome};

/// How often to look at what was shown.
const TICK: Duration = Duration::from_millis(50);

/// Types all of `input` into the program whose output goes to `log`. What was never waited for
/// successfully before the program ended is a problem.
pub(super) fn run(child: &mut Child, log: &Path, input: &[Typed]) -> Outcome<Option<String>> {
    let Some(mut keyboard) = child.stdin.take() else {
        return Ok(None);
    };
    let mut seen = 0;
    for typed in input {
        let pattern = Regex::new(&typed.after).or_say(&typed.after)?;
        loop {
            // Whether it has ended is asked first: what it has shown by then is all there is.
            let ended = child
                .try_wait()
                .or_say("cannot wait for this program")?
                .is_some();
            let output = fs::read(log).or_say(format_args!("cannot read {}", log.display()))?;
            if let Some(end) = find(&pattern, &output, seen) {
                seen = end;
                // It may have ended since: the next one says so.
                let _ = keyboard.write_all(typed.send.as_bytes());
                let _ = keyboard.flush();
                break;
            }
            if ended {
                return Ok(Some(format!("`{}` was waited for in vain", typed.after)));
            }
            thread::sleep(TICK);
        }
    }
    // The end of the input would be seen by the program: not before it ends by itself.
    child.wait().or_say("cannot wait for this program")?;
    drop(keyboard);
    Ok(None)
}

/// Where the first match at or behind `from` ends.
fn find(pattern: &Regex, output: &[u8], from: usize) -> Option<usize> {
    pattern.find_at(output, from).map(|found| found.end())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn typed(after: &str, send: &str) -> Typed {
        Typed {
            after: after.into(),
            send: send.into(),
        }
    }

    fn echo(name: &str, input: &[Typed]) -> (Option<String>, String) {
        let log = std::env::temp_dir().join(format!("oche-typing-{}-{name}", std::process::id()));
        let script = "echo ready; read a; echo got $a; read b; echo ready $b";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let problem = run(&mut child, &log, input).unwrap();
        let _ = child.wait();
        let text = fs::read_to_string(&log).unwrap();
        let _ = fs::remove_file(&log);
        (problem, text)
    }

    #[test]
    fn each_word_is_typed_behind_what_it_waits_for() {
        let input = [typed("ready", "one\n"), typed("got \\w+", "two\n")];
        let (problem, text) = echo("good", &input);
        assert_eq!(problem, None);
        assert_eq!(text, "ready\ngot one\nready two\n");
    }

    #[test]
    fn what_never_comes_is_told_when_the_program_has_ended() {
        let input = [typed("ready", "one\ntwo\n"), typed("nothing like it", "x")];
        let (problem, _) = echo("bad", &input);
        assert_eq!(problem.unwrap(), "`nothing like it` was waited for in vain");
    }
}
