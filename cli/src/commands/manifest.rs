//! `manifest`: the signed records of a version as a file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use opendag_node::ops::Operation;

use super::{Task, fetch::SourceArgs, versions::about};
use crate::error::CliError;

/// The commands below `manifest`.
#[derive(Clone, Debug, Subcommand)]
pub enum ManifestCommand {
    /// Write the signed records of a version to a file that `fetch` takes as a link
    Export(ExportArgs),
}

/// Arguments of `manifest export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Link, id or name of a dataset known here
    pub link: String,
    /// New file to write to [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

impl ManifestCommand {
    pub(super) fn task(self) -> Result<Task, CliError> {
        let Self::Export(args) = self;
        Ok(Task::Export(
            Operation::Export(about(args.link, args.source)?),
            args.output,
        ))
    }
}
