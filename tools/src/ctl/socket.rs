//! The socket of a run, behind which QEMU has the machine's second serial line.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::disk::random_hex;
use crate::failure::{OrSay, Outcome};

/// Its name in the folder of the run.
pub(crate) const NAME: &str = "control";
/// The longest path of a socket, in bytes: `sun_path` holds 108 with the zero at the end (unix(7)).
const LONGEST: usize = 107;

/// A place for the socket; what was made for it goes when this goes.
pub(crate) struct Place {
    path: PathBuf,
    folder: Option<PathBuf>,
}

impl Place {
    /// In the folder of the run. If that is too deep for a socket's path, in a folder of this user alone under the
    /// system's place for such things, with a link to it in the run's.
    pub(crate) fn make(run: &Path) -> Outcome<Self> {
        let path = run.join(NAME);
        let _ = fs::remove_file(&path);
        if fits(&path) {
            return Ok(Place { path, folder: None });
        }
        let base = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|base| base.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        let folder = base.join(format!("oche-{}", random_hex(8)?));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .or_say(format_args!("cannot make {}", folder.display()))?;
        let real = folder.join(NAME);
        let place = Place {
            path: real.clone(),
            folder: Some(folder),
        };
        symlink(&real, &path).or_say(format_args!("cannot make {}", path.display()))?;
        Ok(place)
    }

    /// The socket's path, for QEMU.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves everything where it is.
    pub(crate) fn keep(mut self) {
        self.folder = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn fits(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= LONGEST
}

/// Connects to a socket, through the link that stands for one whose path would be too long.
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    match fs::read_link(path) {
        Ok(real) => UnixStream::connect(real),
        Err(_) => UnixStream::connect(path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::workspace::Scratch;

    #[test]
    fn a_socket_in_a_deep_folder_is_put_elsewhere() {
        let base = std::env::temp_dir().join(format!("oche-socket-{}", std::process::id()));
        let base = Scratch::make(base).unwrap();
        let shallow = Place::make(base.path()).unwrap();
        assert_eq!(shallow.path(), base.path().join(NAME));

        let deep = base.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let place = Place::make(&deep).unwrap();
        let folder = place.path().parent().unwrap().to_path_buf();
        assert!(fits(place.path()));
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let _listener = UnixListener::bind(place.path()).unwrap();
        assert!(connect(&deep.join(NAME)).is_ok());
        drop(place);
        assert!(!folder.exists());
    }
}
