//! A static busybox for arm64, from Debian, without changing the machine's architectures: apt
//! with folders of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::run_logged;
use crate::failure::{Failure, OrSay, Outcome};
use crate::packages::{Need, ensure, program};
use crate::progress::Task;
use crate::workspace::Workspace;

/// Counted up when this recipe changes.
const RECIPE: &str = "1";

const NEEDS: [Need; 2] = [program("apt-get", "apt"), program("dpkg-deb", "dpkg")];

/// The busybox program. The lock has to be held.
pub(super) fn busybox(workspace: &Workspace) -> Outcome<PathBuf> {
    let folder = workspace.entry("busybox", RECIPE, |folder| fetch(workspace, folder))?;
    Ok(folder.join("busybox"))
}

fn fetch(workspace: &Workspace, folder: &Path) -> Outcome<()> {
    ensure(workspace, "fetch busybox for the guest", &NEEDS)?;
    let log = workspace.folder("log")?.join("busybox.log");
    let mut task = Task::start("fetching busybox for arm64");
    for name in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(name)).or_say("cannot make a folder for apt")?;
    }
    // What is installed on this machine is of no concern.
    fs::write(folder.join("state/status"), "").or_say("cannot make a folder for apt")?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        for (option, value) in [
            ("Dir::State", folder.join("state").display().to_string()),
            (
                "Dir::State::status",
                folder.join("state/status").display().to_string(),
            ),
            ("Dir::Cache", folder.join("cache").display().to_string()),
            ("APT::Architecture", "arm64".into()),
            // apt would fetch the lists of this machine's architecture too.
            ("APT::Architectures::", "arm64".into()),
            // Apt's own user may not enter this folder.
            ("APT::Sandbox::User", "root".into()),
            ("Acquire::Languages", "none".into()),
        ] {
            command.arg("-o").arg(format!("{option}={value}"));
        }
        command.args(arguments).current_dir(folder);
        command
    };
    // A machine may have sources without this architecture: what matters is the download.
    let updated = run_logged(&mut apt(&["update"]), &log, &mut task);
    if crate::command::interrupted() {
        return updated;
    }
    run_logged(&mut apt(&["download", "busybox-static"]), &log, &mut task).map_err(|failure| {
        Failure::new(format!(
            "cannot fetch Debian's busybox-static for arm64 (offline?): {}",
            failure.sentence
        ))
    })?;
    let package = fs::read_dir(folder)
        .or_say("cannot find the package of busybox")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| Failure::new("apt-get download left no package of busybox"))?;
    let tree = folder.join("tree");
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(&package).arg(&tree);
    run_logged(&mut unpack, &log, &mut task)?;
    fs::rename(tree.join("bin/busybox"), folder.join("busybox"))
        .or_else(|_| fs::rename(tree.join("usr/bin/busybox"), folder.join("busybox")))
        .or_say("the package has no busybox")?;
    for name in ["state", "cache", "tree"] {
        let _ = fs::remove_dir_all(folder.join(name));
    }
    let _ = fs::remove_file(package);
    task.done();
    Ok(())
}
