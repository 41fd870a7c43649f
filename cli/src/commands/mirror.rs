//! `mirror` and `unmirror`: versions come here for others to fetch.

use clap::Args;
use opendag_node::{
    config::parse_bytes,
    ops::{MirrorRequest, Operation, UnmirrorRequest},
};

use super::fetch::{SourceArgs, here};
use crate::{error::CliError, link::resolve};

/// Arguments of `mirror`.
#[derive(Clone, Debug, Args)]
pub struct MirrorArgs {
    /// Link, id or name of a dataset, or of one version with @LABEL, @NUMBER or @COMMIT behind it; a publisher's
    /// public key or alias [default: list what is mirrored]
    pub what: Option<String>,
    /// List what is mirrored, and how far that is
    #[arg(long, conflicts_with = "what")]
    pub list: bool,
    /// Its versions may take so much, such as 500GB [default: what the disk budget leaves]
    #[arg(long, value_name = "SIZE", requires = "what")]
    pub budget: Option<String>,
    /// Only so many versions of each dataset, the newest ones
    #[arg(long, value_name = "N", requires = "what", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Mirror only paths that match; may be repeated
    #[arg(long, value_name = "GLOB", requires = "what")]
    pub include: Vec<String>,
    /// Leave out paths that match; may be repeated
    #[arg(long, value_name = "GLOB", requires = "what")]
    pub exclude: Vec<String>,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
    /// Take the version although the owners of its dataset signed two with its number
    #[arg(long)]
    pub accept_fork: bool,
}

impl MirrorArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        let Some(what) = self.what else {
            return Ok(Operation::Mirrors);
        };
        let budget = self.budget.as_deref().map(parse_bytes).transpose();
        Ok(Operation::Mirror(MirrorRequest {
            what: resolve(what)?,
            cwd: here()?,
            budget: budget.map_err(|error| CliError::Input(format!("{error}.")))?,
            keep: self.keep,
            include: self.include,
            exclude: self.exclude,
            timeout_ms: self.source.timeout_ms(),
            peers: self.source.peer,
            accept_fork: self.accept_fork,
        }))
    }
}

/// Arguments of `unmirror`.
#[derive(Clone, Debug, Args)]
pub struct UnmirrorArgs {
    /// As for `mirror`
    pub what: String,
}

impl UnmirrorArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        let what = resolve(self.what)?;
        Ok(Operation::Unmirror(UnmirrorRequest { what }))
    }
}
