//! The clone and what is cached in it: everything under `.oche/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::failure::{OrSay, Outcome};

/// Stands in the name of a file that is being written.
const PARTIAL: &str = ".partial-";

/// The clone that this program was built from.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

/// Held while something is built; dropping it lets the next one go on.
pub(crate) struct Lock {
    _file: File,
}

impl Workspace {
    /// The clone that `./oche` named, or the one that this program was compiled in.
    pub(crate) fn find() -> Self {
        let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = std::env::var_os("OCHE_ROOT").map_or_else(
            || compiled.parent().unwrap_or(compiled).to_path_buf(),
            PathBuf::from,
        );
        Workspace { root }
    }

    /// Its top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path under the ignored folder.
    pub(crate) fn cache(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(".oche").join(name)
    }

    /// A folder under the ignored folder, made if need be.
    pub(crate) fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.cache(name);
        fs::create_dir_all(&folder).or_say(format_args!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Waits until no other `oche` builds in this clone, and sweeps up after those that died.
    pub(crate) fn lock(&self) -> Outcome<Lock> {
        let path = self.folder("")?.join("lock");
        let what = format!("cannot lock {}", path.display());
        let file = File::create(&path).or_say(&what)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            eprintln!("oche: waiting for another oche that builds in this clone");
            flock(&file, FlockOperation::LockExclusive).or_say(&what)?;
        }
        self.sweep();
        Ok(Lock { _file: file })
    }

    /// Where [`Self::entry`] puts it.
    pub(crate) fn entry_path(&self, kind: &str, key: &str) -> PathBuf {
        self.cache(format!("{kind}-{key}"))
    }

    /// The folder `kind-key`; `build` fills a temporary one, which takes the name when it is
    /// complete. Nothing half-made is ever seen under that name. The lock has to be held.
    pub(crate) fn entry(
        &self,
        kind: &str,
        key: &str,
        build: impl FnOnce(&Path) -> Outcome<()>,
    ) -> Outcome<PathBuf> {
        let finished = self.entry_path(kind, key);
        if finished.is_dir() {
            return Ok(finished);
        }
        let making = Scratch::make(self.cache(format!("making-{kind}")))?;
        build(making.path())?;
        fs::rename(making.path(), &finished)
            .or_say(format_args!("cannot finish {}", finished.display()))?;
        Ok(finished)
    }

    /// Everything in the cache that is not complete. While nobody builds there is none.
    pub(crate) fn half_made(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in ["", "out", "qemu"] {
            let Ok(entries) = fs::read_dir(self.cache(folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with("making-") || name.contains(PARTIAL) {
                    found.push(entry.path());
                }
            }
        }
        found
    }

    /// Removes what a killed `oche` left half-made, and the folders of runs that are over.
    fn sweep(&self) {
        // What cannot be removed now is tried again by the next one.
        for path in self.half_made() {
            let _ = match path.is_dir() {
                true => fs::remove_dir_all(path),
                false => fs::remove_file(path),
            };
        }
        let Ok(entries) = fs::read_dir(self.cache("")) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let over = name
                .strip_prefix("run-")
                .is_some_and(|pid| !Path::new("/proc").join(pid).exists());
            if over {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A folder that goes when this goes.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder there; what was there before is removed.
    pub(crate) fn make(path: PathBuf) -> Outcome<Self> {
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).or_say(format_args!("cannot make {}", path.display()))?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a file so that it is either there as a whole or as it was before, and is left alone
/// when it has these contents already.
pub(crate) fn write_whole(path: &Path, contents: &[u8]) -> Outcome<()> {
    if fs::read(path).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    let what = format!("cannot write {}", path.display());
    let partial = path.with_extension(format!("{}{}", &PARTIAL[1..], std::process::id()));
    fs::write(&partial, contents).or_say(&what)?;
    fs::rename(&partial, path).or_say(&what)
}

/// A key for a cache entry: a digest of everything that its recipe depends on.
pub(crate) fn key(parts: &[&[u8]]) -> String {
    use md5::{Digest, Md5};
    let mut digest = Md5::new();
    for part in parts {
        // With their lengths, so that two lists of parts never run together to the same bytes.
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    crate::disk::hex(&digest.finalize())[..16].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_key_depends_on_where_its_parts_end() {
        assert_eq!(key(&[b"ab", b"c"]).len(), 16);
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
    }

    #[test]
    fn a_build_that_fails_leaves_nothing_behind() {
        let root = std::env::temp_dir().join(format!("oche-workspace-{}", std::process::id()));
        let root = Scratch::make(root).unwrap();
        let workspace = Workspace {
            root: root.path().to_path_buf(),
        };
        let _lock = workspace.lock().unwrap();
        let failed = workspace.entry("thing", "1", |folder| {
            fs::write(folder.join("half"), "half").unwrap();
            Err(Failure::new("no"))
        });
        assert_eq!(failed, Err(Failure::new("no")));
        assert!(workspace.half_made().is_empty());
        let left: Vec<_> = fs::read_dir(workspace.cache("")).unwrap().collect();
        assert_eq!(left.len(), 1, "the lock alone: {left:?}");
        let made = workspace.entry("thing", "1", |_| Ok(())).unwrap();
        assert!(made.is_dir());
        // It is not built again.
        let again = workspace.entry("thing", "1", |_| Err(Failure::new("again")));
        assert_eq!(again, Ok(made));
    }

    #[test]
    fn what_a_killed_build_left_is_swept_up() {
        let root = std::env::temp_dir().join(format!("oche-sweep-{}", std::process::id()));
        let root = Scratch::make(root).unwrap();
        let workspace = Workspace {
            root: root.path().to_path_buf(),
        };
        let out = workspace.folder("out").unwrap();
        fs::write(out.join("oche.partial-1"), "half").unwrap();
        fs::write(out.join("oche.elf"), "whole").unwrap();
        workspace.folder("making-kernel").unwrap();
        assert_eq!(workspace.half_made().len(), 2);
        let _lock = workspace.lock().unwrap();
        assert!(workspace.half_made().is_empty());
        assert!(out.join("oche.elf").is_file());
    }
}
