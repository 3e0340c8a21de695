//! `oche run` and `oche build`: from options to a machine, and from its end to a verdict.

mod console;
mod guest;
mod machine;
mod table;
mod terminal;
mod trace;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::bench;
use crate::build::{BareMetal, Product};
use crate::cli::{GuestCheck, GuestOptions, KernelVariant, RunOptions};
use crate::ctl::socket::Place as ControlSocket;
use crate::disk;
use crate::failure::{Failure, OrSay, Outcome, Status};
use crate::packages::ensure;
use crate::qemu::{self, Machine, Qemu};
use crate::workspace::{Scratch, Workspace};
use guest::{Guest, Secrets};
use machine::Ended;
pub(crate) use machine::{image_size, moved_base};
use terminal::Attach;
use trace::Names;
pub(crate) use trace::symbols;
use verdict::{Evidence, Expected};

/// `oche build`.
pub(crate) fn build(workspace: &Workspace, options: &GuestOptions) -> Outcome<Status> {
    guest::check(options)?;
    let _lock = workspace.lock()?;
    // All at once: who cannot install them here is told everything in one line.
    let mut needs = BareMetal::needs(workspace)?;
    needs.extend(guest::needs(workspace, options)?);
    ensure(workspace, "build Oche and its guest", &needs)?;
    let bare_metal = BareMetal::choose(workspace)?;
    let oche = crate::build::build(workspace, &bare_metal, product(options))?;
    let guest = Guest::build(workspace, &bare_metal, options)?;
    let bundle = workspace.folder("out")?.join("bundle.cpio");
    guest.write_bundle(&bundle, options, &Secrets::draw()?, &[])?;
    println!("image   {}", oche.image.display());
    println!("elf     {}", oche.elf.display());
    println!("bundle  {}", bundle.display());
    Ok(Status::Good)
}

/// `oche run`.
pub(crate) fn run(workspace: &Workspace, options: &RunOptions) -> Outcome<Status> {
    check(options)?;
    let lock = workspace.lock()?;
    let mut needs = qemu::needs();
    needs.extend(BareMetal::needs(workspace)?);
    needs.extend(guest::needs(workspace, &options.guest)?);
    ensure(workspace, "run Oche and its guest", &needs)?;
    let qemu = qemu::find(workspace)?;
    qemu::check_cpu(&qemu, &options.cpu)?;
    let bare_metal = BareMetal::choose(workspace)?;
    let oche = crate::build::build(workspace, &bare_metal, product(&options.guest))?;
    let guest = Guest::build(workspace, &bare_metal, &options.guest)?;

    // Files of this run alone; those of a command that is only printed have to outlive it.
    let scratch = if options.print_command {
        None
    } else {
        let name = format!("run-{}", std::process::id());
        Some(Scratch::make(workspace.cache(name))?)
    };
    let folder = match &scratch {
        Some(scratch) => scratch.path().to_path_buf(),
        None => workspace.folder("out")?,
    };
    let secrets = Secrets::draw()?;
    let bundle = folder.join("bundle.cpio");
    let bundle_size = guest.write_bundle(&bundle, &options.guest, &secrets, &work(options))?;
    let disk = choose_disk(options, &folder)?;
    let host_sum = match guest.checks_disk() && options.check.reads_whole_disk() {
        true => Some(disk::md5(&disk, &secrets.nonce)?),
        false => None,
    };
    let control = ControlSocket::make(&folder)?;
    let counter = match &options.count {
        Some(_) => Some(bench::plugin(workspace)?),
        None => None,
    };
    // Nothing under a name that others use is written from here on.
    drop(lock);

    let machine = Machine {
        cpu: &options.cpu,
        cpus: options.guest.smp,
        guest_memory: options.guest.mem,
        image: &oche.image,
        bundle: &bundle,
        bundle_size,
        its: !options.no_its,
        disk: &disk,
        disk_behind: options.guest.disk_behind,
        control: control.path(),
        wait_for_debugger: options.gdb,
        more: &options.qemu_arg,
    };
    let mut arguments = machine.arguments();
    if let (Some(plugin), Some(out)) = (&counter, &options.count) {
        arguments.extend(bench::words(plugin, &oche, machine.memory(), out)?);
    }
    if options.print_command {
        println!("{}", command_line(&qemu, &arguments));
        control.keep();
        return Ok(Status::Good);
    }
    if options.gdb {
        machine::explain_debugging(&oche, machine.memory())?;
    }
    println!(
        "oche: control: ./oche ctl --socket {} status",
        qemu::quote(&control.path().display().to_string())
    );
    let limit = if options.gdb || options.guest.console {
        None
    } else {
        Some(options.timeout)
    };
    let attach = match options.guest.console {
        true => Attach::Raw,
        false => Attach::Keys,
    };
    // The next build of Oche replaces the original.
    let elf = folder.join("oche.elf");
    fs::copy(&oche.elf, &elf).or_say(format_args!("cannot copy {}", oche.elf.display()))?;
    let names = Names::of(elf, workspace.root());
    let ended = machine::start_and_watch(&qemu, &arguments, &secrets.token, names, limit, attach)?;
    let report = Report {
        ended: &ended,
        expected: match (&host_sum, guest.says_result()) {
            (Some(sum), _) => Expected::Checksum(sum.clone()),
            (None, true) => Expected::Pass,
            (None, false) => Expected::Nothing,
        },
        written: match options.write_check {
            true => Some(disk::has_pattern(&disk, &secrets.nonce)?),
            false => None,
        },
        host_sum,
        command: command_line(&qemu, &arguments),
    };
    report.show(options.json.as_deref())
}

/// Refuses what can be refused before anything is built.
fn check(options: &RunOptions) -> Outcome<()> {
    guest::check(&options.guest)?;
    if let Some(disk) = &options.disk {
        let size = disk::check(disk, true)?;
        if options.write_check && size < disk::MINIMUM_FOR_PATTERN {
            let least = crate::size::show(disk::MINIMUM_FOR_PATTERN);
            return Err(Failure::new(format!(
                "--write-check needs a disk of at least {least}"
            )));
        }
    }
    if options.write_check && !guest::has_built_in_userspace(&options.guest) {
        return Err(Failure::new(
            "--write-check is for the built-in guest: leave out --initrd and --guest payload",
        ));
    }
    if options.check != GuestCheck::Disk {
        if !guest::has_built_in_userspace(&options.guest) {
            return Err(Failure::new(
                "--check is for the built-in guest: leave out --initrd and --guest payload",
            ));
        }
        if options.write_check {
            return Err(Failure::new(
                "--write-check goes with the check of the disk: leave out --check",
            ));
        }
    }
    if options.guest.kernel_variant == KernelVariant::Pages4K
        && guest::has_built_in_userspace(&options.guest)
        && options.check != GuestCheck::Machine
    {
        return Err(Failure::new(
            "the 4k kernel has neither DART nor disk: add --check machine",
        ));
    }
    if options.timeout == 0 {
        return Err(Failure::new("--timeout has to be at least 1 second"));
    }
    Ok(())
}

/// What the built-in userspace is told to do.
fn work(options: &RunOptions) -> Vec<String> {
    let mut words = Vec::new();
    if options.check != GuestCheck::Disk {
        words.push(format!("oche.check={}", options.check.word()));
    }
    if options.write_check {
        words.push("oche.write=1".to_string());
    }
    words
}

fn product(options: &GuestOptions) -> Product {
    match options.guards_out {
        Some(_) => Product::OcheGuardsOut,
        None => Product::Oche,
    }
}

/// The user's disk, as it is, or a new one of random contents.
fn choose_disk(options: &RunOptions, folder: &Path) -> Outcome<PathBuf> {
    match &options.disk {
        Some(disk) => Ok(disk.clone()),
        None => {
            let disk = folder.join("disk.img");
            // Left by an earlier command that was only printed.
            let _ = fs::remove_file(&disk);
            disk::make_random(&disk)?;
            Ok(disk)
        }
    }
}

fn command_line(qemu: &Qemu, arguments: &[String]) -> String {
    let mut words = vec![qemu::quote(&qemu.program.display().to_string())];
    words.extend(arguments.iter().map(|word| qemu::quote(word)));
    words.join(" ")
}

/// What is said when a run is over.
struct Report<'a> {
    ended: &'a Ended,
    expected: Expected,
    host_sum: Option<String>,
    written: Option<bool>,
    command: String,
}

impl Report<'_> {
    fn show(&self, json: Option<&Path>) -> Outcome<Status> {
        let console = &self.ended.console;
        let (status, sentence) = verdict::judge(&Evidence {
            end: &self.ended.end,
            summary: console.summary.as_ref(),
            last_words: console.last_words.as_deref(),
            failure: console.failure.as_ref(),
            guest: &console.guest,
            expected: &self.expected,
            written: self.written,
        });
        if let Some(summary) = &console.summary {
            println!("\noche: summary\n{}", table::table(summary, &console.guest));
        }
        if let Some(path) = json {
            let report = json!({
                "status": status as u8,
                "sentence": sentence,
                "summary": console.summary,
                "guest": console.guest,
                "failure": console.failure,
                "host_md5": self.host_sum,
                "written": self.written,
                "command": self.command,
            });
            let what = format!("cannot write {}", path.display());
            let text = serde_json::to_string_pretty(&report).or_say(&what)?;
            fs::write(path, text + "\n").or_say(&what)?;
        }
        match status {
            Status::Good => {
                println!("oche: {sentence}");
                Ok(status)
            }
            _ => Err(Failure { status, sentence }),
        }
    }
}
