//! What a person sees while something takes long: a moving line on a terminal, two plain lines
//! elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Whether a task has the terminal's last line: a task within a task moves nothing.
static SHOWING: AtomicBool = AtomicBool::new(false);

/// Something that may take longer than two seconds.
pub(crate) struct Task {
    what: String,
    started: Instant,
    bar: Option<ProgressBar>,
    said: bool,
}

impl Task {
    /// Begins a task whose length is not known.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        Self::begin(what.into(), None)
    }

    /// Begins a task of about so many steps.
    pub(crate) fn of_steps(what: impl Into<String>, steps: u64) -> Self {
        Self::begin(what.into(), Some(steps))
    }

    fn begin(what: String, steps: Option<u64>) -> Self {
        let free = std::io::stderr().is_terminal() && !SHOWING.swap(true, Ordering::Relaxed);
        let bar = free.then(|| {
            let (bar, style) = match steps {
                Some(steps) => (
                    ProgressBar::new(steps),
                    "oche: {msg} {wide_bar} {percent}% {elapsed}",
                ),
                None => (
                    ProgressBar::new_spinner(),
                    "oche: {msg} {spinner} {elapsed}",
                ),
            };
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.set_message(what.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Task {
            what,
            started: Instant::now(),
            bar,
            said: false,
        }
    }

    /// One step is done.
    pub(crate) fn step(&mut self) {
        if let Some(bar) = &self.bar {
            // A guess of the number of steps that was too low does not run past its end.
            let next = bar.position().saturating_add(1);
            bar.set_position(next.min(bar.length().unwrap_or(u64::MAX)));
        } else if !self.said
            && !std::io::stderr().is_terminal()
            && self.started.elapsed() > Duration::from_secs(2)
        {
            self.said = true;
            eprintln!("oche: {} ...", self.what);
        }
    }

    /// It is done; says so if it took long enough for anyone to wonder.
    pub(crate) fn done(mut self) {
        self.clear();
        let seconds = self.started.elapsed().as_secs();
        if seconds >= 2 {
            // Another task may have the terminal's last line: over it, not behind it.
            let over = if std::io::stderr().is_terminal() {
                "\r\x1b[K"
            } else {
                ""
            };
            eprintln!("{over}oche: {}: {seconds} s", self.what);
        }
    }

    /// It is over, and somebody else says how.
    pub(crate) fn vanish(self) {}

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            SHOWING.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.clear();
    }
}
