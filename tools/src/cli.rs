//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
}

/// A guest that comes with Oche.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuiltIn {
    /// Linux with a small userspace that checks its disk and powers off
    Linux,
    /// A bare-metal program that attacks
    Payload,
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
    /// The DART that the guest sees
    #[arg(long, value_enum, default_value = "t8103")]
    pub(crate) dart: DartName,
    /// The granule of the guest's stage 2
    #[arg(long, value_enum, default_value = "16K")]
    pub(crate) stage2_granule: GranuleName,
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
    /// Have the built-in guest write to the second half of the disk and read it back
    #[arg(long)]
    pub(crate) write_check: bool,
    /// The CPU that QEMU emulates
    #[arg(long, value_name = "MODEL", default_value = "neoverse-n1")]
    pub(crate) cpu: String,
    /// Seconds until the run is ended
    #[arg(long, value_name = "S", default_value_t = 120)]
    pub(crate) timeout: u64,
    /// Write what happened to a file, for programs
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
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
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
