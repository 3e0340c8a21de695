//! `oche run` and `oche build`: from options to a machine, and from its end to a verdict.

mod console;
mod guest;
mod machine;
mod table;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::build::{BareMetal, Product};
use crate::cli::{GuestOptions, RunOptions};
use crate::disk;
use crate::failure::{Failure, OrSay, Outcome, Status};
use crate::packages::ensure;
use crate::qemu::{self, Machine, Qemu};
use crate::workspace::{Scratch, Workspace};
use guest::{Guest, Secrets};
use machine::Ended;
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
    guest.write_bundle(&bundle, options, &Secrets::draw()?, false)?;
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
    let bundle_size = guest.write_bundle(&bundle, &options.guest, &secrets, options.write_check)?;
    let disk = choose_disk(options, &folder)?;
    let host_sum = match guest.checks_disk() {
        true => Some(disk::md5(&disk, &secrets.nonce)?),
        false => None,
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
        disk: &disk,
        wait_for_debugger: options.gdb,
        more: &options.qemu_arg,
    };
    let arguments = machine.arguments();
    if options.print_command {
        println!("{}", command_line(&qemu, &arguments));
        return Ok(Status::Good);
    }
    if options.gdb {
        machine::explain_debugging(&oche, machine.memory())?;
    }
    let limit = if options.gdb {
        None
    } else {
        Some(options.timeout)
    };
    let ended = machine::start_and_watch(&qemu, &arguments, &secrets.token, limit)?;
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
    if options.timeout == 0 {
        return Err(Failure::new("--timeout has to be at least 1 second"));
    }
    Ok(())
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
