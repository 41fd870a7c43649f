//! `owners` and `sign`: who may say what a dataset is.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use opendag_node::ops::{Operation, OwnersChange, OwnersRequest, SignRequest};

use super::local;
use crate::{
    error::CliError,
    link::{absolute_path, resolve},
};

/// The commands below `owners`.
#[derive(Clone, Debug, Subcommand)]
pub enum OwnersCommand {
    /// Show who owns a dataset, and who did
    Show(OwnersShowArgs),
    /// Add an owner
    Add(OwnerArgs),
    /// Remove an owner
    Remove(OwnerArgs),
    /// Change how many of the owners must sign
    Threshold(ThresholdArgs),
    /// Sign again that the newest version is the newest
    Renew(RenewArgs),
}

/// Arguments of `owners show`.
#[derive(Clone, Debug, Args)]
pub struct OwnersShowArgs {
    /// Link, id or name of the dataset
    pub link: String,
}

/// Arguments of `owners add` and `owners remove`.
#[derive(Clone, Debug, Args)]
pub struct OwnerArgs {
    /// Link, id or name of the dataset
    pub link: String,
    /// Local name of a key, or a public key (ed25519:…)
    pub key: String,
    /// Where a draft goes
    #[command(flatten)]
    pub draft: DraftArg,
}

/// Arguments of `owners threshold`.
#[derive(Clone, Debug, Args)]
pub struct ThresholdArgs {
    /// Link, id or name of the dataset
    pub link: String,
    /// How many of the owners must sign
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=6))]
    pub threshold: u8,
    /// Where a draft goes
    #[command(flatten)]
    pub draft: DraftArg,
}

/// Arguments of `owners renew`.
#[derive(Clone, Debug, Args)]
pub struct RenewArgs {
    /// Link, id or name of the dataset
    pub link: String,
    /// Where a draft goes
    #[command(flatten)]
    pub draft: DraftArg,
}

/// Where a draft goes.
#[derive(Clone, Debug, Args)]
pub struct DraftArg {
    /// Change nothing yet: write a draft to this new file for the other owners to sign
    #[arg(long, value_name = "FILE")]
    pub draft: Option<PathBuf>,
}

impl DraftArg {
    pub(super) fn path(&self) -> Result<Option<PathBuf>, CliError> {
        self.draft.as_deref().map(absolute_path).transpose()
    }
}

impl OwnersCommand {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        let (link, change, draft) = match self {
            Self::Show(args) => return Ok(Operation::Owners(local(args.link)?)),
            Self::Add(args) => (args.link, OwnersChange::Add(args.key), args.draft),
            Self::Remove(args) => (args.link, OwnersChange::Remove(args.key), args.draft),
            Self::Threshold(args) => {
                let change = OwnersChange::Threshold(args.threshold);
                (args.link, change, args.draft)
            }
            Self::Renew(args) => (args.link, OwnersChange::Renew, args.draft),
        };
        Ok(Operation::ChangeOwners(OwnersRequest {
            link: resolve(link)?,
            change,
            draft: draft.path()?,
        }))
    }
}

/// Arguments of `sign`.
#[derive(Clone, Debug, Args)]
pub struct SignArgs {
    /// Draft to sign; copies that others signed are merged into the first
    #[arg(required = true)]
    pub file: Vec<PathBuf>,
    /// Key to sign with; may be repeated [default: all keys here that have a say]
    #[arg(long, value_name = "KEY")]
    pub key: Vec<String>,
    /// Only show what would be signed
    #[arg(long, conflicts_with = "key")]
    pub show: bool,
}

impl SignArgs {
    pub(super) fn request(self) -> Result<SignRequest, CliError> {
        let files = self.file.iter().map(|file| absolute_path(file));
        Ok(SignRequest {
            files: files.collect::<Result<_, _>>()?,
            keys: self.key,
            show: self.show,
        })
    }
}
