//! The command line of `oche bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Bench {
    /// Instructions that an interrupt costs at EL2, by two runs of Linux that read a disk
    Irq(IrqOptions),
}

/// What `bench irq` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct IrqOptions {
    /// Fail if an interrupt costs more instructions
    #[arg(long, value_name = "N")]
    pub(crate) at_most: Option<u64>,
    /// Print which functions the instructions are in, and write down how often each one was executed
    #[arg(long)]
    pub(crate) profile: bool,
    /// Write the figures to a file, for programs
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// MiB to read in the shorter run; the longer one reads three times as much
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) mib: u64,
    /// The guest's virtual CPUs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) smp: u8,
    /// The CPU that QEMU emulates
    #[arg(long, value_name = "MODEL", default_value = "neoverse-n1")]
    pub(crate) cpu: String,
    /// More words for `oche run`
    #[arg(last = true, value_name = "OPTION")]
    pub(crate) more: Vec<String>,
}
