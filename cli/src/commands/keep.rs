//! `verify`, `pin`, `unpin`, `rm`, `gc`, `quota`: what is kept here, and how well.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use opendag_node::{
    config::parse_bytes,
    ops::{CheckReceiptRequest, LinkRequest, Operation, QuotaRequest, SetQuota, VerifyRequest},
};

use super::{fetch::SourceArgs, local};
use crate::{
    error::CliError,
    link::{absolute_path, resolve},
};

/// A version that is here.
#[derive(Clone, Debug, Args)]
pub struct LinkArg {
    /// Link, id or name of a dataset that is here
    pub link: String,
}

impl LinkArg {
    pub(super) fn request(self) -> Result<LinkRequest, CliError> {
        local(self.link)
    }
}

/// Arguments of `pin`.
#[derive(Clone, Debug, Args)]
pub struct PinArgs {
    /// Link, id or name of a dataset; @LABEL, @NUMBER or @COMMIT behind it for one version
    pub link: Option<String>,
}

impl PinArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        Ok(match self.link {
            Some(link) => Operation::Pin(local(link)?),
            None => Operation::Pins,
        })
    }
}

/// Arguments of `rm`.
#[derive(Clone, Debug, Args)]
pub struct RmArgs {
    /// Link, id or name of a dataset that is here
    pub link: String,
}

impl RmArgs {
    pub(super) fn request(self) -> Result<LinkRequest, CliError> {
        local(self.link)
    }
}

/// Arguments of `gc`.
#[derive(Clone, Debug, Args)]
pub struct GcArgs {
    /// Only show what would be freed, and why
    #[arg(long)]
    pub plan: bool,
}

/// Arguments of `quota`.
#[derive(Clone, Debug, Args)]
pub struct QuotaArgs {
    /// The disk budget from now on, such as 500GB, or none
    pub size: Option<String>,
}

impl QuotaArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        let set = match self.size.as_deref() {
            None => None,
            Some("none") => Some(SetQuota::None),
            Some(text) => {
                Some(SetQuota::Bytes(parse_bytes(text).map_err(|error| {
                    CliError::Input(format!("{error}, or none."))
                })?))
            }
        };
        Ok(Operation::Quota(QuotaRequest { set }))
    }
}

/// Arguments of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Version to verify [default: all]
    pub link: Option<String>,
    /// Verify all that is here
    #[arg(long, conflicts_with = "link")]
    pub all: bool,
    /// Only report what is wrong
    #[arg(long)]
    pub no_repair: bool,
    /// Check a receipt instead: its signature, against the file table, and against files that lie here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["link", "all", "no_repair"])]
    pub receipt: Option<PathBuf>,
    /// Address of a peer to ask first for the file table of a receipt; may be repeated
    #[arg(long, value_name = "MULTIADDR", requires = "receipt")]
    pub peer: Vec<String>,
    /// Look for the file table of a receipt for so long, such as 90s or 5m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "receipt")]
    pub timeout: Option<Duration>,
}

impl VerifyArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        let source = SourceArgs {
            peer: self.peer,
            timeout: self.timeout,
        };
        Ok(match self.receipt {
            Some(file) => Operation::CheckReceipt(CheckReceiptRequest {
                file: absolute_path(&file)?,
                timeout_ms: source.timeout_ms(),
                peers: source.peer,
            }),
            None => Operation::Verify(VerifyRequest {
                link: self.link.map(resolve).transpose()?,
                repair: !self.no_repair,
            }),
        })
    }
}
