//! `alias`: the user's names for publishers.

use clap::{Args, Subcommand};
use opendag_node::ops::{AliasNameRequest, AliasRequest, Operation};

/// The commands below `alias`.
#[derive(Clone, Debug, Subcommand)]
pub enum AliasCommand {
    /// Let a name stand for a publisher
    Set(SetArgs),
    /// List the names
    List,
    /// Forget a name
    Rm(NameArgs),
}

/// Arguments of `alias set`.
#[derive(Clone, Debug, Args)]
pub struct SetArgs {
    /// The name: 3 to 63 of a-z, 0-9 and -
    pub name: String,
    /// Public key of the publisher, as `show` and `key list` print it
    pub key: String,
}

/// Arguments of `alias rm`.
#[derive(Clone, Debug, Args)]
pub struct NameArgs {
    /// The name
    pub name: String,
}

impl AliasCommand {
    pub(super) fn operation(self) -> Operation {
        match self {
            Self::Set(SetArgs { name, key }) => Operation::AliasSet(AliasRequest { name, key }),
            Self::List => Operation::Aliases,
            Self::Rm(NameArgs { name }) => Operation::AliasRm(AliasNameRequest { name }),
        }
    }
}
