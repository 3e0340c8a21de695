//! Which Oche is meant.

use std::path::{Path, PathBuf};

use super::socket::NAME;
use crate::cli::CtlOptions;
use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;

/// Where a control line can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A Unix socket, behind which QEMU has a serial device.
    Socket(PathBuf),
    /// A serial device of this machine.
    Serial { path: PathBuf, baud: u32 },
}

impl Place {
    /// Whether there still is something.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Place::Socket(path) => path.exists() && super::socket::connect(path).is_ok(),
            Place::Serial { path, .. } => path.exists(),
        }
    }
}

/// What the options name, or the one run that goes on in this clone.
pub(super) fn place(workspace: &Workspace, options: &CtlOptions) -> Outcome<Place> {
    if let Some(path) = &options.serial {
        return Ok(Place::Serial {
            path: path.clone(),
            baud: options.baud,
        });
    }
    if let Some(path) = &options.socket {
        return Ok(Place::Socket(path.clone()));
    }
    if let Some(folder) = &options.run {
        return Ok(Place::Socket(folder.join(NAME)));
    }
    let runs = runs(&workspace.cache(""));
    match &runs[..] {
        [] => Err(Failure::new(
            "no run of Oche is going on here: start one with ./oche run",
        )),
        [folder] => Ok(Place::Socket(folder.join(NAME))),
        several => {
            let folders: Vec<_> = several
                .iter()
                .map(|folder| folder.display().to_string())
                .collect();
            Err(Failure::new(format!(
                "several runs of Oche are going on: name one with --run: {}",
                folders.join(", ")
            )))
        }
    }
}

/// The folders of runs that go on: their process lives, and they have a socket.
fn runs(cache: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(cache) else {
        return Vec::new();
    };
    let mut runs: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let lives = name
                .strip_prefix("run-")
                .is_some_and(|pid| Path::new("/proc").join(pid).exists());
            // Through a link: one that leads nowhere is not there.
            lives && entry.path().join(NAME).exists()
        })
        .map(|entry| entry.path())
        .collect();
    runs.sort();
    runs
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace::Scratch;

    #[test]
    fn runs_that_are_over_are_not_found() {
        let cache = std::env::temp_dir().join(format!("oche-find-{}", std::process::id()));
        let cache = Scratch::make(cache).unwrap();
        let own = format!("run-{}", std::process::id());
        for name in [own.as_str(), "run-999999999", "run-1", "out"] {
            fs::create_dir(cache.path().join(name)).unwrap();
        }
        assert_eq!(runs(cache.path()), [""; 0].map(PathBuf::from));
        fs::write(cache.path().join("run-999999999").join(NAME), "").unwrap();
        fs::write(cache.path().join(&own).join(NAME), "").unwrap();
        assert_eq!(runs(cache.path()), [cache.path().join(&own)]);
        fs::write(cache.path().join("run-1").join(NAME), "").unwrap();
        assert_eq!(runs(cache.path()).len(), 2);
    }
}
