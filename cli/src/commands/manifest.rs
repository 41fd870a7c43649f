//! `manifest`: the signed records of a version, or its description, as a file, and back.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use opendag_node::ops::{DescribeRequest, ExportRequest, ImportRequest, Operation};
use opendag_protocol::exchange::Encoding;

use super::{Task, Written, fetch::SourceArgs, versions::about};
use crate::{error::CliError, link::absolute_path};

/// The commands below `manifest`.
#[derive(Clone, Debug, Subcommand)]
pub enum ManifestCommand {
    /// Write the signed records of a version to a file that `fetch` takes as a link, or describe it in Croissant
    Export(ExportArgs),
    /// Take in an exported manifest, after all of its signatures were checked; or make a draft of a dataset
    /// that others describe in Croissant
    Import(ImportArgs),
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
    /// With the file table and the card, for JSON, XML and Protobuf
    #[arg(long)]
    pub files: bool,
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
    /// The signed records field by field, as JSON
    Json,
    /// The same as XML
    Xml,
    /// The same as Protocol Buffers
    Protobuf,
    /// A description in Croissant 1.1 (JSON-LD) by which programs load the data
    Croissant,
}

/// Arguments of `manifest import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// File that `manifest export` wrote (records, JSON, XML or Protobuf), or a description in Croissant 1.0
    /// or 1.1: without more, the files that it needs are listed for `aria2c -i`
    pub file: PathBuf,
    /// Folder with the files that Croissant describes: each is checked, and a draft is written of them
    #[arg(long, value_name = "DIR", requires = "output")]
    pub files: Option<PathBuf>,
    /// New file for the draft, which `sign` and `publish --finish` take
    #[arg(short, long, value_name = "FILE", requires = "files")]
    pub output: Option<PathBuf>,
    /// Name of the dataset [default: what Croissant says]
    #[arg(long)]
    pub name: Option<String>,
    /// Label of the version [default: what Croissant says]
    #[arg(long)]
    pub label: Option<String>,
    /// Licence as an SPDX expression, or LicenseRef-NAME [default: what Croissant says]
    #[arg(long, value_name = "SPDX")]
    pub license: Option<String>,
    /// Publisher key of the dataset [default: "default", made at the first use]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

impl ManifestCommand {
    pub(super) fn task(self) -> Result<Task, CliError> {
        match self {
            Self::Export(args) => args.task(),
            Self::Import(args) => Ok(Task::Operation(Operation::Import(ImportRequest {
                file: absolute_path(&args.file)?,
                files: args.files.as_deref().map(absolute_path).transpose()?,
                draft: args.output.as_deref().map(absolute_path).transpose()?,
                name: args.name,
                label: args.label,
                license: args.license,
                key: args.key,
            }))),
        }
    }
}

impl ExportArgs {
    fn task(self) -> Result<Task, CliError> {
        let encoding = match self.format {
            Format::Records | Format::Croissant => None,
            Format::Json => Some(Encoding::Json),
            Format::Xml => Some(Encoding::Xml),
            Format::Protobuf => Some(Encoding::Protobuf),
        };
        let refused = |message: &str| Err(CliError::Input(message.to_owned()));
        if self.gateway.is_some() && self.format != Format::Croissant {
            return refused("--gateway is for --format croissant.");
        }
        if self.files && encoding.is_none() {
            return refused("--files is for --format json, xml or protobuf.");
        }
        let about = about(self.link, self.source)?;
        let link = about.link.unwrap_or_default();
        let operation = match self.format {
            Format::Croissant => Operation::Describe(DescribeRequest {
                link,
                peers: about.peers,
                timeout_ms: about.timeout_ms,
                gateway: self.gateway,
            }),
            Format::Records | Format::Json | Format::Xml | Format::Protobuf => {
                Operation::Export(ExportRequest {
                    link,
                    peers: about.peers,
                    timeout_ms: about.timeout_ms,
                    newest: about.newest,
                    files: self.files,
                })
            }
        };
        let written = encoding.map_or(Written::AsItIs, Written::In);
        Ok(Task::Export(operation, written, self.output))
    }
}
