//! The command line of OpenDAG, built under the names `opendag` and `node`.
//!
//! Arguments are read in two steps: [`args`] takes them apart with clap, [`commands`] gives them
//! their meaning, checked and complete. What remains is an operation of a node, which a running
//! daemon or a node inside this process carries out: see [`backend`]. Only [`output`] prints.

pub mod args;
pub mod backend;
pub mod commands;
mod daemon;
pub mod error;
mod link;
mod memory;
mod mount;
pub mod output;
mod pages;
mod run;
pub mod settings;
mod signals;
mod testnet;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::{args::Cli, output::Output};

/// Runs the command of this process' arguments to its end; returns its exit code: 0 done, 1 failed,
/// 2 bad input, 3 not found in time, 4 refused, 130 and 143 ended by a signal.
#[must_use]
pub fn main() -> ExitCode {
    memory::set_limits();
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return output::usage(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error.format(&mut Cli::command())),
    };
    let output = Output::new(cli.global.json, cli.global.quiet);
    output::start_log(&cli.global);
    match run::run(cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
