//! `manifest`: the signed records of a version, or its description, as a file.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use opendag_node::ops::{DescribeRequest, Operation};

use super::{Task, fetch::SourceArgs, versions::about};
use crate::error::CliError;

/// The commands below `manifest`.
#[derive(Clone, Debug, Subcommand)]
pub enum ManifestCommand {
    /// Write the signed records of a version to a file that `fetch` takes as a link, or describe it in Croissant
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
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Records)]
    pub format: Format,
    /// Gateway where a Croissant description says that the files are [default: beside the description]
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

/// What `manifest export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The signed records
    Records,
    /// A description in Croissant 1.1 (JSON-LD) by which programs load the data
    Croissant,
}

impl ManifestCommand {
    pub(super) fn task(self) -> Result<Task, CliError> {
        let Self::Export(args) = self;
        let about = about(args.link, args.source)?;
        let operation = match args.format {
            Format::Records if args.gateway.is_some() => {
                let message = "--gateway is for --format croissant.";
                return Err(CliError::Input(message.to_owned()));
            }
            Format::Records => Operation::Export(about),
            Format::Croissant => Operation::Describe(DescribeRequest {
                link: about.link.unwrap_or_default(),
                peers: about.peers,
                timeout_ms: about.timeout_ms,
                gateway: args.gateway,
            }),
        };
        Ok(Task::Export(operation, args.output))
    }
}
