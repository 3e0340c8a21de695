//! The built-in guest's kernel: Linux as Debian has its source, with a small configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{output_of, run_logged};
use crate::failure::{Failure, OrSay, Outcome};
use crate::packages::{Need, ensure, file, is_known, program};
use crate::progress::Task;
use crate::workspace::{Workspace, key};

/// Counted up when this recipe changes.
const RECIPE: &[u8] = b"1";
/// About how many lines such a build prints, for the progress bar.
const BUILD_LINES: u64 = 1310;

/// A source package, the best one first: bookworm's own is 6.1, its updates have 6.12.
struct Source {
    package: &'static str,
    tarball: &'static str,
}

const SOURCES: [Source; 2] = [
    Source {
        package: "linux-source-6.12",
        tarball: "/usr/src/linux-source-6.12.tar.xz",
    },
    Source {
        package: "linux-source-6.1",
        tarball: "/usr/src/linux-source-6.1.tar.xz",
    },
];

#[cfg(target_arch = "aarch64")]
const COMPILER: Need = program("gcc", "gcc");
#[cfg(not(target_arch = "aarch64"))]
const COMPILER: Need = program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu");
#[cfg(target_arch = "aarch64")]
const CROSS_COMPILE: &str = "";
#[cfg(not(target_arch = "aarch64"))]
const CROSS_COMPILE: &str = "aarch64-linux-gnu-";

/// What the build needs besides the source.
const TOOLS: [Need; 7] = [
    COMPILER,
    program("bc", "bc"),
    program("bison", "bison"),
    program("flex", "flex"),
    program("make", "make"),
    program("perl", "perl"),
    program("xz", "xz-utils"),
];

/// What has to be installed to build the kernel, or to find the one that was built.
pub(crate) fn kernel_needs(workspace: &Workspace) -> Outcome<Vec<Need>> {
    let source = choose_source(workspace);
    let mut needs = vec![file(source.tarball, source.package)];
    if !workspace
        .entry_path("kernel", &recipe(workspace, source)?)
        .is_dir()
    {
        needs.extend(TOOLS);
    }
    Ok(needs)
}

/// The kernel, an arm64 `Image`. The lock has to be held.
pub(crate) fn kernel(workspace: &Workspace) -> Outcome<PathBuf> {
    let source = choose_source(workspace);
    ensure(
        workspace,
        "build the guest's kernel",
        &[file(source.tarball, source.package)],
    )?;
    let key = recipe(workspace, source)?;
    let folder = workspace.entry("kernel", &key, |folder| make(workspace, source, folder))?;
    Ok(folder.join("Image"))
}

fn fragment(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests/guest/kernel.fragment")
}

/// The key of the kernel that this source and the fragment make.
fn recipe(workspace: &Workspace, source: &Source) -> Outcome<String> {
    let fragment = fragment(workspace);
    let text = fs::read(&fragment).or_say(format_args!("cannot read {}", fragment.display()))?;
    // The version decides, not the date of the file; without dpkg its size has to do.
    let version = output_of("dpkg-query", &["-W", "-f=${Version}", source.package])
        .or_else(|| {
            fs::metadata(source.tarball)
                .ok()
                .map(|file| file.len().to_string())
        })
        .unwrap_or_default();
    Ok(key(&[
        RECIPE,
        &text,
        source.package.as_bytes(),
        version.as_bytes(),
    ]))
}

/// The source that is installed, or the first that can be.
fn choose_source(workspace: &Workspace) -> &'static Source {
    let [first, second] = &SOURCES;
    SOURCES
        .iter()
        .find(|source| Path::new(source.tarball).exists())
        .unwrap_or_else(|| {
            if is_known(workspace, first.package) {
                first
            } else {
                second
            }
        })
}

fn make(workspace: &Workspace, source: &Source, folder: &Path) -> Outcome<()> {
    ensure(workspace, "build the guest's kernel", &TOOLS)?;
    let log = workspace.folder("log")?.join("kernel.log");
    let _ = fs::remove_file(&log);

    let mut task = Task::start(format!("unpacking {}", source.package));
    let tree = folder.join("tree");
    fs::create_dir(&tree).or_say("cannot make a folder for the kernel's source")?;
    let mut tar = Command::new("tar");
    tar.args([
        "--extract",
        "--strip-components=1",
        "--file",
        source.tarball,
    ])
    .arg("--directory")
    .arg(&tree);
    run_logged(&mut tar, &log, &mut task)?;
    task.done();

    let mut task = Task::of_steps("building the guest's kernel", BUILD_LINES);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut in_tree = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&tree)
            .env("ARCH", "arm64")
            .env("CROSS_COMPILE", CROSS_COMPILE)
            // The same source gives the same kernel.
            .env("KBUILD_BUILD_TIMESTAMP", "@0")
            .env("KBUILD_BUILD_USER", "oche")
            .env("KBUILD_BUILD_HOST", "oche")
            .env("LC_ALL", "C");
        run_logged(&mut command, &log, &mut task)
    };
    let fragment = fragment(workspace);
    let fragment = fragment.to_string_lossy();
    in_tree("make", &["allnoconfig"])?;
    in_tree(
        "scripts/kconfig/merge_config.sh",
        &["-m", ".config", &fragment],
    )?;
    in_tree("make", &["olddefconfig"])?;
    has_options(&tree, &fragment)?;
    in_tree("make", &[&format!("-j{jobs}"), "Image"])?;
    fs::rename(tree.join("arch/arm64/boot/Image"), folder.join("Image"))
        .or_say("the kernel's build left no Image")?;
    // 2 GB that nobody needs any more.
    fs::remove_dir_all(&tree).or_say("cannot remove the kernel's source")?;
    task.done();
    Ok(())
}

/// Whether every option of the fragment is in the final configuration: one with an unmet
/// dependency is dropped silently.
fn has_options(tree: &Path, fragment: &str) -> Outcome<()> {
    let config = fs::read_to_string(tree.join(".config")).or_say("the kernel has no .config")?;
    let wanted = fs::read_to_string(fragment).or_say(format_args!("cannot read {fragment}"))?;
    let dropped: Vec<_> = wanted
        .lines()
        .filter(|line| line.starts_with("CONFIG_"))
        .filter(|line| !config.lines().any(|other| other == *line))
        .collect();
    if dropped.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the kernel's configuration did not take: {}",
        dropped.join(", ")
    )))
}
