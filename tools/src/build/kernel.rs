//! The built-in guest's kernels: Linux as Debian has its source, in a few small configurations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::KernelVariant;
use crate::command::{output_of, run_logged};
use crate::failure::{Failure, OrSay, Outcome};
use crate::packages::{Need, ensure, file, is_known, program};
use crate::progress::Task;
use crate::workspace::{Scratch, Workspace, key};

/// Counted up when this recipe changes.
const RECIPE: &[u8] = b"2";
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

impl KernelVariant {
    /// Every one.
    pub(crate) const ALL: [Self; 3] = [Self::Pages16K, Self::Pages16KNoLse, Self::Pages4K];

    fn name(self) -> &'static str {
        match self {
            Self::Pages16K => "16k",
            Self::Pages16KNoLse => "16k-no-lse",
            Self::Pages4K => "4k",
        }
    }

    /// The parts of its configuration, in `tests/guest/kernel`.
    fn fragments(self) -> &'static [&'static str] {
        match self {
            Self::Pages16K => &["common", "16k", "lse"],
            Self::Pages16KNoLse => &["common", "16k"],
            Self::Pages4K => &["common", "4k"],
        }
    }
}

/// What has to be installed to build these kernels, or to find those that were built.
pub(crate) fn kernel_needs(
    workspace: &Workspace,
    variants: &[KernelVariant],
) -> Outcome<Vec<Need>> {
    let source = choose_source(workspace);
    let mut needs = vec![file(source.tarball, source.package)];
    for variant in variants {
        let key = Recipe::read(workspace, source, *variant)?.key;
        if !workspace.entry_path("kernel", &key).is_dir() {
            needs.extend(TOOLS);
            break;
        }
    }
    Ok(needs)
}

/// One kernel, an arm64 `Image`. The lock has to be held.
pub(crate) fn kernel(workspace: &Workspace, variant: KernelVariant) -> Outcome<PathBuf> {
    let mut kernels = kernels(workspace, &[variant])?;
    kernels
        .pop()
        .ok_or_else(|| Failure::new("no kernel was built"))
}

/// Several kernels, with their source unpacked once. The lock has to be held.
pub(crate) fn kernels(workspace: &Workspace, variants: &[KernelVariant]) -> Outcome<Vec<PathBuf>> {
    let source = choose_source(workspace);
    ensure(
        workspace,
        "build the guest's kernel",
        &[file(source.tarball, source.package)],
    )?;
    // 1.7 GB, only there while something is built from it.
    let mut tree: Option<Scratch> = None;
    let mut images = Vec::new();
    for variant in variants {
        let recipe = Recipe::read(workspace, source, *variant)?;
        let folder = workspace.entry("kernel", &recipe.key, |folder| {
            let tree = match &tree {
                Some(tree) => tree,
                None => tree.insert(unpack(workspace, source)?),
            };
            make(workspace, tree.path(), &recipe, folder)
        })?;
        images.push(folder.join("Image"));
    }
    Ok(images)
}

/// What a kernel is made by.
struct Recipe {
    name: &'static str,
    fragments: Vec<PathBuf>,
    /// Its options: the lines of all fragments.
    options: String,
    /// The key of the kernel that this makes.
    key: String,
}

impl Recipe {
    fn read(workspace: &Workspace, source: &Source, variant: KernelVariant) -> Outcome<Self> {
        let folder = workspace.root().join("tests/guest/kernel");
        let fragments: Vec<_> = variant
            .fragments()
            .iter()
            .map(|name| folder.join(format!("{name}.fragment")))
            .collect();
        let mut options = String::new();
        for path in &fragments {
            let what = format!("cannot read {}", path.display());
            options.push_str(&fs::read_to_string(path).or_say(what)?);
        }
        // The version decides, not the date of the file; without dpkg its size has to do.
        let version = output_of("dpkg-query", &["-W", "-f=${Version}", source.package])
            .or_else(|| {
                fs::metadata(source.tarball)
                    .ok()
                    .map(|file| file.len().to_string())
            })
            .unwrap_or_default();
        let key = key(&[
            RECIPE,
            options.as_bytes(),
            source.package.as_bytes(),
            version.as_bytes(),
        ]);
        Ok(Recipe {
            name: variant.name(),
            fragments,
            options,
            key,
        })
    }
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

fn unpack(workspace: &Workspace, source: &Source) -> Outcome<Scratch> {
    ensure(workspace, "build the guest's kernel", &TOOLS)?;
    let log = workspace.folder("log")?.join("kernel-source.log");
    let _ = fs::remove_file(&log);
    let tree = Scratch::make(workspace.cache("making-kernel-source"))?;
    let mut task = Task::start(format!("unpacking {}", source.package));
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--strip-components=1", "--file"])
        .arg(source.tarball)
        .arg("--directory")
        .arg(tree.path());
    run_logged(&mut tar, &log, &mut task)?;
    task.done();
    Ok(tree)
}

fn make(workspace: &Workspace, tree: &Path, recipe: &Recipe, folder: &Path) -> Outcome<()> {
    let log = workspace
        .folder("log")?
        .join(format!("kernel-{}.log", recipe.name));
    let _ = fs::remove_file(&log);
    let what = format!("building the guest's kernel ({})", recipe.name);
    let mut task = Task::of_steps(what, BUILD_LINES);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    // Not in the source's own folder: the next kernel finds that as it was.
    let out = folder.join("out");
    fs::create_dir(&out).or_say("cannot make a folder for the kernel's build")?;
    let mut in_tree = |command: &mut Command| {
        command
            .current_dir(tree)
            .env("ARCH", "arm64")
            .env("CROSS_COMPILE", CROSS_COMPILE)
            // The same source gives the same kernel.
            .env("KBUILD_BUILD_TIMESTAMP", "@0")
            .env("KBUILD_BUILD_USER", "oche")
            .env("KBUILD_BUILD_HOST", "oche")
            .env("LC_ALL", "C");
        run_logged(command, &log, &mut task)
    };
    let make = |goal: &str| {
        let mut command = Command::new("make");
        command
            .arg(format!("O={}", out.display()))
            .args([&format!("-j{jobs}"), goal]);
        command
    };
    in_tree(&mut make("allnoconfig"))?;
    in_tree(
        Command::new("scripts/kconfig/merge_config.sh")
            .args(["-m", "-O"])
            .args([&out, &out.join(".config")])
            .args(&recipe.fragments),
    )?;
    in_tree(&mut make("olddefconfig"))?;
    has_options(&out, &recipe.options)?;
    in_tree(&mut make("Image"))?;
    fs::rename(out.join("arch/arm64/boot/Image"), folder.join("Image"))
        .or_say("the kernel's build left no Image")?;
    fs::remove_dir_all(&out).or_say("cannot remove the kernel's build")?;
    task.done();
    Ok(())
}

/// Whether every option is in the final configuration: one with an unmet dependency is dropped
/// silently.
fn has_options(out: &Path, wanted: &str) -> Outcome<()> {
    let config = fs::read_to_string(out.join(".config")).or_say("the kernel has no .config")?;
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
