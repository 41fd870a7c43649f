//! `ls`, `show`, `log`, `diff`: what versions there are.

use clap::Args;
use opendag_node::ops::{DiffRequest, LinkRequest, Operation};

use super::fetch::SourceArgs;
use crate::{error::CliError, link::resolve};

/// Arguments of `ls`.
#[derive(Clone, Debug, Args)]
pub struct LsArgs {
    /// Version whose files are listed [default: list the versions that are here]
    pub link: Option<String>,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

impl LsArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        Ok(match self.link {
            Some(link) => Operation::Files(about(link, self.source)?),
            None => Operation::Ls(LinkRequest::default()),
        })
    }
}

/// Arguments of `show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Link, id, path of an exported manifest, or name of a dataset known here
    pub link: String,
    /// List its files
    #[arg(long)]
    pub files: bool,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

impl ShowArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        let request = about(self.link, self.source)?;
        Ok(if self.files {
            Operation::Files(request)
        } else {
            Operation::Show(request)
        })
    }
}

/// Arguments of `log`.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Link, id or name of the dataset
    pub link: String,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

impl LogArgs {
    pub(super) fn request(self) -> Result<LinkRequest, CliError> {
        about(self.link, self.source)
    }
}

/// Arguments of `diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// The older version
    pub from: String,
    /// The newer version
    pub to: String,
    /// Compare the fields of Parquet, JSON Lines, CSV and TSV files, too
    #[arg(long)]
    pub schema: bool,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

impl DiffArgs {
    pub(super) fn request(self) -> Result<DiffRequest, CliError> {
        let from = about(self.from, self.source.clone())?;
        Ok(DiffRequest {
            from,
            to: about(self.to, self.source)?,
            schema: self.schema,
        })
    }
}

pub(super) fn about(link: String, source: SourceArgs) -> Result<LinkRequest, CliError> {
    let timeout_ms = source.timeout_ms();
    Ok(LinkRequest {
        link: Some(resolve(link)?),
        peers: source.peer,
        timeout_ms,
        newest: false,
    })
}
