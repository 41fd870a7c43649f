//! `key`: publisher keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use opendag_node::ops::{KeyFileRequest, KeyRequest, Operation, RotateRequest};

use super::owners::DraftArg;
use crate::{
    error::CliError,
    link::{absolute_path, resolve},
};

/// The commands below `key`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// List the publisher keys that are here
    List,
    /// Make a publisher key
    New(KeyNameArgs),
    /// Write a publisher key to a new file that only you can read
    Export(KeyFileArgs),
    /// Read a publisher key from a file
    Import(KeyFileArgs),
    /// Change who owns a dataset
    Rotate(RotateArgs),
}

/// A key by its name.
#[derive(Clone, Debug, Args)]
pub struct KeyNameArgs {
    /// Local name of the key
    pub name: String,
}

/// A key by its name, and a file.
#[derive(Clone, Debug, Args)]
pub struct KeyFileArgs {
    /// Local name of the key
    pub name: String,
    /// The file
    pub file: PathBuf,
}

/// Arguments of `key rotate`.
#[derive(Clone, Debug, Args)]
pub struct RotateArgs {
    /// Link, id or name of the dataset
    pub link: String,
    /// Key that owns it from now on: a local name or a public key; may be repeated
    #[arg(long, value_name = "KEY", required = true)]
    pub owner: Vec<String>,
    /// How many of the owners must sign
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub threshold: u8,
    /// Where a draft goes
    #[command(flatten)]
    pub draft: DraftArg,
}

impl KeyCommand {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        Ok(match self {
            Self::List => Operation::Keys,
            Self::New(args) => Operation::KeyNew(KeyRequest { name: args.name }),
            Self::Export(args) => Operation::KeyExport(args.request()?),
            Self::Import(args) => Operation::KeyImport(args.request()?),
            Self::Rotate(args) => Operation::Rotate(RotateRequest {
                link: resolve(args.link)?,
                owners: args.owner,
                threshold: args.threshold,
                draft: args.draft.path()?,
            }),
        })
    }
}

impl KeyFileArgs {
    fn request(self) -> Result<KeyFileRequest, CliError> {
        Ok(KeyFileRequest {
            name: self.name,
            file: absolute_path(&self.file)?,
        })
    }
}
