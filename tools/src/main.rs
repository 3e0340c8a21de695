//! `oche`, the host program: builds Oche and its guests, runs them under QEMU, tests them.
//!
//! `./oche` at the top of the clone builds and starts it.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod cli;
mod command;
mod ctl;
mod disk;
mod failure;
mod packages;
mod progress;
mod qemu;
mod run;
mod size;
mod symbols;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::{Outcome, Status};
use workspace::Workspace;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match command::catch_interrupts().and_then(|()| act(&cli)) {
        Ok(status) => ExitCode::from(status as u8),
        Err(failure) => {
            eprintln!("oche: {}", failure.sentence);
            ExitCode::from(failure.status as u8)
        }
    }
}

fn act(cli: &Cli) -> Outcome<Status> {
    let workspace = Workspace::find();
    match &cli.command {
        Command::Run(options) => run::run(&workspace, options),
        Command::Build(options) => run::build(&workspace, options),
        Command::Test(options) => test::test(&workspace, options),
        Command::Bench(what) => bench::bench(&workspace, what),
        Command::Ctl(options) => ctl::ctl(&workspace, options),
        Command::Symbols(options) => run::symbols(&workspace, options),
    }
}
