//! `fetch`: a version comes here.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use opendag_node::ops::{FetchRequest, Operation, RestoreRequest};

use crate::{
    error::CliError,
    link::{absolute_path, resolve},
};

/// Whom to ask and how long: the same for all commands that look for a version.
#[derive(Clone, Debug, Default, Args)]
pub struct SourceArgs {
    /// Address of a peer to ask first, with /p2p/PEER; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<String>,
    /// Give up after so long without a source or progress, such as 90s or 5m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
}

impl SourceArgs {
    pub(super) fn timeout_ms(&self) -> Option<u64> {
        self.timeout
            .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Arguments of `fetch`.
#[derive(Clone, Debug, Args)]
pub struct FetchArgs {
    /// Link, id, path of an exported manifest, or name of a dataset known here; @LABEL, @NUMBER or
    /// @COMMIT behind it for a version
    #[arg(required_unless_present = "locked")]
    pub link: Option<String>,
    /// Fetch exactly what opendag.lock in this folder says: all of it, or what LINK means
    #[arg(long, conflicts_with_all = ["include", "exclude", "plan", "accept_fork"])]
    pub locked: bool,
    /// Folder to put it into [default: the dataset's name, here]; with --locked the folder below which
    /// the targets lie
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Fetch only paths that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave out paths that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only show what would move
    #[arg(long)]
    pub plan: bool,
    /// Do not serve what was fetched
    #[arg(long)]
    pub no_seed: bool,
    /// Fetch changed files whole, even if older versions of them are here
    #[arg(long)]
    pub no_delta: bool,
    /// Replace files at the target that differ and were not put there by a fetch
    #[arg(long)]
    pub overwrite: bool,
    /// Take the newest version although its owners signed two with its number
    #[arg(long)]
    pub accept_fork: bool,
    /// Fetch it although it is on a denylist; it is still not served
    #[arg(long)]
    pub ignore_denylists: bool,
}

impl FetchArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        match self.locked {
            true => Ok(Operation::Restore(self.locked_request()?)),
            false => Ok(Operation::Fetch(self.request()?)),
        }
    }

    fn locked_request(self) -> Result<RestoreRequest, CliError> {
        Ok(RestoreRequest {
            dir: here()?,
            links: self.link.into_iter().collect(),
            output: self.output.as_deref().map(absolute_path).transpose()?,
            timeout_ms: self.source.timeout_ms(),
            peers: self.source.peer,
            no_seed: self.no_seed,
            no_delta: self.no_delta,
            overwrite: self.overwrite,
        })
    }

    fn request(self) -> Result<FetchRequest, CliError> {
        Ok(FetchRequest {
            // It is there, because there is no --locked.
            link: resolve(self.link.unwrap_or_default())?,
            output: self.output.as_deref().map(absolute_path).transpose()?,
            cwd: here()?,
            include: self.include,
            exclude: self.exclude,
            timeout_ms: self.source.timeout_ms(),
            peers: self.source.peer,
            plan: self.plan,
            no_seed: self.no_seed,
            no_delta: self.no_delta,
            overwrite: self.overwrite,
            accept_fork: self.accept_fork,
            ignore_denylists: self.ignore_denylists,
            ..FetchRequest::default()
        })
    }
}

pub(super) fn here() -> Result<PathBuf, CliError> {
    let here = std::env::current_dir().map_err(|error| {
        CliError::Input(format!(
            "The current folder cannot be used: {error}. Go to another one."
        ))
    })?;
    absolute_path(&here)
}
