//! `denylist`: what this node must not fetch, serve, pass on or list.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use opendag_node::ops::{
    AllowRequest, DeniedKind, DenyRequest, DenylistPublishRequest, Operation, SubscribeRequest,
};
use opendag_protocol::Timestamp;

use crate::{error::CliError, link::resolve};

/// The commands below `denylist`.
#[derive(Clone, Debug, Subcommand)]
pub enum DenylistCommand {
    /// Put a dataset, version, blob or publisher on your own list
    Add(AddArgs),
    /// Take it off again
    Remove(WhatArgs),
    /// Show your own list and those that you subscribed to
    List,
    /// Sign your own list and give it to others, in place of the one before
    Publish(PublishListArgs),
    /// Heed somebody's list
    Subscribe(WhoseArgs),
    /// Heed it no longer
    Unsubscribe(WhoseArgs),
}

/// Arguments of `denylist add`.
#[derive(Clone, Debug, Args)]
pub struct AddArgs {
    /// Link, id or name of a dataset, id of a version or blob, or public key of a publisher
    pub what: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// For how long, such as 30d [default: until it is removed]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub expires: Option<Duration>,
    /// An id that is not known here is a dataset's
    #[arg(long, conflicts_with = "manifest")]
    pub dataset: bool,
    /// An id that is not known here is a version's
    #[arg(long)]
    pub manifest: bool,
}

/// Arguments of `denylist remove`.
#[derive(Clone, Debug, Args)]
pub struct WhatArgs {
    /// Link, id, name or public key, as `denylist list` shows it
    pub what: String,
}

/// Arguments of `denylist publish`.
#[derive(Clone, Debug, Args)]
pub struct PublishListArgs {
    /// Name of the key that signs [default: default]
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// For how long others shall heed it, such as 90d [default: until you publish another]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub expires: Option<Duration>,
}

/// Arguments of `denylist subscribe` and `unsubscribe`.
#[derive(Clone, Debug, Args)]
pub struct WhoseArgs {
    /// Whose: a public key, an alias, or the id of a list that is known here
    pub whose: String,
}

impl DenylistCommand {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        Ok(match self {
            Self::Add(args) => Operation::Deny(DenyRequest {
                what: resolve(args.what)?,
                kind: match (args.dataset, args.manifest) {
                    (true, _) => Some(DeniedKind::Dataset),
                    (false, true) => Some(DeniedKind::Manifest),
                    (false, false) => None,
                },
                reason: args.reason,
                expires_at: args.expires.map(after),
            }),
            Self::Remove(args) => Operation::Allow(AllowRequest {
                what: resolve(args.what)?,
            }),
            Self::List => Operation::Denylists,
            Self::Publish(args) => Operation::DenylistPublish(DenylistPublishRequest {
                key: args.key,
                expires_at: args.expires.map(after),
            }),
            Self::Subscribe(args) => {
                Operation::DenylistSubscribe(SubscribeRequest { whose: args.whose })
            }
            Self::Unsubscribe(args) => {
                Operation::DenylistUnsubscribe(SubscribeRequest { whose: args.whose })
            }
        })
    }
}

/// So long from now.
fn after(span: Duration) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    Timestamp::from_secs(now).saturating_add(span)
}
