//! `lock`: which versions a project uses.

use std::path::PathBuf;

use clap::Args;
use opendag_node::ops::{LockRequest, Operation};

use super::fetch::{SourceArgs, here};
use crate::{
    error::CliError,
    link::{absolute_path, resolve},
};

/// Arguments of `lock`.
#[derive(Clone, Debug, Args)]
pub struct LockArgs {
    /// Links of the versions that this project uses; with --update names, targets or links of what
    /// opendag.lock has [default then: all]
    #[arg(value_name = "LINK", required_unless_present = "update")]
    pub link: Vec<String>,
    /// Take the newest versions of what opendag.lock has
    #[arg(long, conflicts_with_all = ["output", "include", "exclude"])]
    pub update: bool,
    /// Folder that it goes to, below this one [default: the dataset's name, or as it is in the file]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Only paths that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave out paths that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

impl LockArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        if self.output.is_some() && self.link.len() > 1 {
            let message =
                "With -o only one link can be locked: each dataset needs a folder of its own.";
            return Err(CliError::Input(message.to_owned()));
        }
        let timeout_ms = self.source.timeout_ms();
        let links = self.link.into_iter().map(resolve);
        Ok(Operation::Lock(LockRequest {
            dir: here()?,
            links: links.collect::<Result<_, _>>()?,
            update: self.update,
            output: self.output.as_deref().map(absolute_path).transpose()?,
            include: self.include,
            exclude: self.exclude,
            peers: self.source.peer,
            timeout_ms,
        }))
    }
}
