//! `verify`, `unpin`, `rm`: what is kept here, and how well.

use clap::Args;
use opendag_node::ops::{LinkRequest, VerifyRequest};

use super::local;
use crate::{error::CliError, link::resolve};

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
}

impl VerifyArgs {
    pub(super) fn request(self) -> Result<VerifyRequest, CliError> {
        Ok(VerifyRequest {
            link: self.link.map(resolve).transpose()?,
            repair: !self.no_repair,
        })
    }
}
