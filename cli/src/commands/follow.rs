//! `follow`, `unfollow`: new versions as they come.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use opendag_node::ops::{FollowRequest, Operation, UnfollowRequest};

use crate::{
    error::CliError,
    link::{absolute_path, resolve},
};

/// Arguments of `follow`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct FollowArgs {
    /// What to do instead of following something
    #[command(subcommand)]
    pub command: Option<FollowCommand>,
    /// Link, id or name of a dataset, public key of a publisher, or alias
    #[arg(required = true)]
    pub what: Option<String>,
    /// Fetch new versions, each into a folder of its own in the data directory
    #[arg(long)]
    pub auto_fetch: bool,
    /// Fetch the newest version into this folder; of a publisher each dataset into a folder of its name
    #[arg(short, long, value_name = "DIR", requires = "auto_fetch")]
    pub output: Option<PathBuf>,
    /// Let go of all but the newest N versions that came by following [default: of none]
    #[arg(long, value_name = "N", requires = "auto_fetch", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Fetch only paths that match; may be repeated
    #[arg(long, value_name = "GLOB", requires = "auto_fetch")]
    pub include: Vec<String>,
    /// Leave out paths that match; may be repeated
    #[arg(long, value_name = "GLOB", requires = "auto_fetch")]
    pub exclude: Vec<String>,
}

/// The commands below `follow`.
#[derive(Clone, Debug, Subcommand)]
pub enum FollowCommand {
    /// Show what is followed, and how far that is
    List,
}

/// Arguments of `unfollow`.
#[derive(Clone, Debug, Args)]
pub struct UnfollowArgs {
    /// Link, id or name of a dataset, public key of a publisher, or alias
    pub what: String,
}

impl FollowArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        if let Some(FollowCommand::List) = self.command {
            return Ok(Operation::Follows);
        }
        Ok(Operation::Follow(FollowRequest {
            // It is there, because there is no command.
            what: resolve(self.what.unwrap_or_default())?,
            auto_fetch: self.auto_fetch,
            output: self.output.as_deref().map(absolute_path).transpose()?,
            keep: self.keep,
            include: self.include,
            exclude: self.exclude,
        }))
    }
}

impl UnfollowArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        Ok(Operation::Unfollow(UnfollowRequest {
            what: resolve(self.what)?,
        }))
    }
}
