//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use guest_abi::config::DeviceRoute;

use crate::bench::Bench;
use crate::size;

/// Builds Oche and guests, runs them under QEMU, and tests them.
#[derive(Debug, Parser)]
#[command(name = "oche", version, disable_help_subcommand = true)]
#[command(after_help = "docs/running.md explains the options and has a table of exit statuses.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot Oche and a guest under QEMU and show what happened
    Run(RunOptions),
    /// Build without running, and print the paths of image, ELF with symbols, and bundle
    Build(GuestOptions),
    /// Run the tests: all, or those named
    Test(TestOptions),
    /// Measure
    #[command(subcommand)]
    Bench(Bench),
    /// Ask a running Oche, or tell it what to do
    Ctl(CtlOptions),
    /// Show a log with the names of the functions in Oche's report of its own failure
    Symbols(SymbolsOptions),
}

/// A guest that comes with Oche.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuiltIn {
    /// Linux with a small userspace that checks its disk and powers off
    Linux,
    /// A bare-metal program that attacks
    Payload,
}

/// A configuration of the built-in guest's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KernelVariant {
    /// 16K pages, atomic instructions where the CPU has them
    #[value(name = "16k")]
    Pages16K,
    /// 16K pages, atomics made of exclusive loads and stores
    #[value(name = "16k-no-lse")]
    Pages16KNoLse,
    /// 4K pages, and neither DART nor disk: only for `--check machine`
    #[value(name = "4k")]
    Pages4K,
}

/// What the built-in guest's userspace does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GuestCheck {
    /// Reads the whole disk for a checksum
    Disk,
    /// Takes each CPU out and back, with work on it, then checks the disk
    Hotplug,
    /// Reboots once, then checks the disk
    Reboot,
    /// Looks at the machine, not at the disk
    Machine,
    /// Reads `oche.mib` MiB from the disk, 16 KiB at a time
    Load,
}

impl GuestCheck {
    /// The word for the guest's command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Hotplug => "hotplug",
            Self::Reboot => "reboot",
            Self::Machine => "machine",
            Self::Load => "load",
        }
    }

    /// Whether it tells the checksum of the whole disk.
    pub(crate) fn reads_whole_disk(self) -> bool {
        matches!(self, Self::Disk | Self::Hotplug | Self::Reboot)
    }
}

/// The granules that stage 2 can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GranuleName {
    /// 16 KiB
    #[value(name = "16K")]
    Size16K,
    /// 4 KiB
    #[value(name = "4K")]
    Size4K,
}

/// The DARTs that a guest can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DartName {
    /// That of the M1
    T8103,
}

/// What is between the root bus and the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiskBehind {
    /// Nothing: the disk is on the root bus
    None,
    /// A PCI Express port
    RootPort,
    /// A PCI Express port and a switch
    Switch,
    /// A bridge to conventional PCI, which the IOMMU cannot look behind
    Bridge,
}

fn device(word: &str) -> Result<DeviceRoute, String> {
    let route = word
        .split_once('=')
        .and_then(|(function, stream)| DeviceRoute::parse(&format!("{function} stream {stream}")));
    route.ok_or_else(|| "write it as 00:02.0=2, with a stream from 0 to 15".into())
}

/// How interrupts reach a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeliveryName {
    /// List registers, linked to the machine's interrupts
    Hardware,
    /// List registers without a link, as an M1 needs it
    Software,
    /// No list registers: every access to the CPU interface traps
    Trapped,
}

impl From<DeliveryName> for guest_abi::config::Delivery {
    fn from(name: DeliveryName) -> Self {
        match name {
            DeliveryName::Hardware => Self::Hardware,
            DeliveryName::Software => Self::Software,
            DeliveryName::Trapped => Self::Trapped,
        }
    }
}

/// What is in the bundle.
#[derive(Clone, Debug, Args)]
pub(crate) struct GuestOptions {
    /// The built-in guest to run
    #[arg(long, value_enum, default_value = "linux")]
    pub(crate) guest: BuiltIn,
    /// A kernel of your own (arm64 Image) instead of the built-in guest's
    #[arg(long, value_name = "IMAGE")]
    pub(crate) kernel: Option<PathBuf>,
    /// The configuration of the built-in guest's kernel
    #[arg(long, value_enum, default_value = "16k", conflicts_with = "kernel")]
    pub(crate) kernel_variant: KernelVariant,
    /// An initial ramdisk of your own, or `none`
    #[arg(long, value_name = "FILE")]
    pub(crate) initrd: Option<PathBuf>,
    /// Words to add to the guest's kernel command line
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) append: Vec<String>,
    /// The guest's memory; Oche's own comes on top
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = size::parse)]
    pub(crate) mem: u64,
    /// The guest's virtual CPUs, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) smp: u8,
    /// Give the guest one more PCI function, on that stream of its DART (repeatable)
    #[arg(long, value_name = "BB:DD.F=STREAM", value_parser = device)]
    pub(crate) device: Vec<DeviceRoute>,
    /// What is between the machine's root bus and the disk (for tests)
    #[arg(long, value_enum, default_value = "none", value_name = "WHAT")]
    pub(crate) disk_behind: DiskBehind,
    /// The DART that the guest sees
    #[arg(long, value_enum, default_value = "t8103")]
    pub(crate) dart: DartName,
    /// The granule of the guest's stage 2
    #[arg(long, value_enum, default_value = "16K")]
    pub(crate) stage2_granule: GranuleName,
    /// Attach the terminal to the guest's console: its bytes are shown as they are, every key but Ctrl-] is
    /// the guest's, and there is no time limit
    #[arg(long)]
    pub(crate) console: bool,
    /// How interrupts reach the guest; otherwise as suits the machine best
    #[arg(long, value_enum)]
    pub(crate) interrupts: Option<DeliveryName>,
    /// End the run when the guest resets itself, instead of starting it anew
    #[arg(long)]
    pub(crate) no_reboot: bool,
    /// Never install the shadow: the negative control, in which no DMA can work
    #[arg(long)]
    pub(crate) no_shadow: bool,
    /// Tell the guest addresses to attack (an aid for tests)
    #[arg(long)]
    pub(crate) reveal: bool,
    /// Take guards out, with commas between their names: needs the test image
    #[arg(long, value_name = "NAMES", hide = true)]
    pub(crate) guards_out: Option<String>,
}

/// What `run` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) guest: GuestOptions,
    /// The guest's disk, a raw image, instead of 64 MiB of random contents. The guest writes to
    /// it if it wants to; the built-in guest does not unless asked
    #[arg(long, value_name = "FILE")]
    pub(crate) disk: Option<PathBuf>,
    /// What the built-in guest checks
    #[arg(long, value_enum, default_value = "disk", value_name = "WHAT")]
    pub(crate) check: GuestCheck,
    /// Have the built-in guest write to the second half of the disk and read it back
    #[arg(long)]
    pub(crate) write_check: bool,
    /// The CPU that QEMU emulates
    #[arg(long, value_name = "MODEL", default_value = "neoverse-n1")]
    pub(crate) cpu: String,
    /// A machine without an ITS: devices interrupt by their pins
    #[arg(long)]
    pub(crate) no_its: bool,
    /// Seconds until the run is ended
    #[arg(long, value_name = "S", default_value_t = 120)]
    pub(crate) timeout: u64,
    /// Write what happened to a file, for programs
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Count Oche's instructions with a plugin for QEMU: see `oche bench`
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) count: Option<PathBuf>,
    /// A word to add to QEMU's command line (repeatable)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) qemu_arg: Vec<String>,
    /// Print QEMU's command line instead of running it
    #[arg(long)]
    pub(crate) print_command: bool,
    /// Wait for a debugger before the first instruction
    #[arg(long)]
    pub(crate) gdb: bool,
}

/// What `ctl` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct CtlOptions {
    /// The folder of the run (.oche/run-NUMBER), when several go on
    #[arg(long, value_name = "DIR", conflicts_with_all = ["socket", "serial"])]
    pub(crate) run: Option<PathBuf>,
    /// The socket of the control line, as `oche run` prints it
    #[arg(long, value_name = "PATH", conflicts_with = "serial")]
    pub(crate) socket: Option<PathBuf>,
    /// The serial device that the control line is on
    #[arg(long, value_name = "DEVICE")]
    pub(crate) serial: Option<PathBuf>,
    /// The speed of the serial device
    #[arg(long, value_name = "N", default_value_t = 115_200)]
    pub(crate) baud: u32,
    /// Print the answer as JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// The version of the protocol to speak: for tests
    #[arg(long, value_name = "N", hide = true, default_value_t = guest_abi::control::VERSION)]
    pub(crate) protocol: u32,
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

/// What Oche is asked or told.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// Show how Oche and its machine are
    Status,
    /// Show how each guest is
    Guests,
    /// Stop a guest and take everything back
    Kill {
        /// The guest
        name: String,
    },
    /// Stop a guest, and start it again as it was given to Oche
    Restart {
        /// The guest
        name: String,
    },
    /// Reset the machine: Oche begins anew
    Reset,
    /// Show Oche's own log
    Log {
        /// Go on until interrupted, or until the machine is gone
        #[arg(long)]
        follow: bool,
        /// From this position on, as `--json` tells them
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        from: u64,
    },
}

/// What `symbols` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct SymbolsOptions {
    /// The log, or `-` for the standard input
    #[arg(value_name = "FILE")]
    pub(crate) log: PathBuf,
    /// The ELF of the image that ran, instead of the one that was built last
    #[arg(long, value_name = "ELF")]
    pub(crate) elf: Option<PathBuf>,
}

/// What `test` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct TestOptions {
    /// The tests to run, by name; `*` stands for anything
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// List the tests instead of running them
    #[arg(long)]
    pub(crate) list: bool,
    /// Write the results to a file in JUnit's format
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Run the tests that take long too
    #[arg(long)]
    pub(crate) long: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn a_device_is_a_function_and_a_stream() {
        let route = device("00:02.0=2").unwrap();
        assert_eq!(route.to_string(), "00:02.0 stream 2");
        for wrong in ["", "00:02.0", "00:02.0=16", "2=2", "00:02.0= "] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
