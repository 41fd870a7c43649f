//! `lineage`: what a version was made from, and what was made from it.

use clap::{Args, ValueEnum};
use opendag_node::ops::{LineageFormat, LineageRequest};

use super::{fetch::SourceArgs, versions::about};
use crate::error::CliError;

/// How a lineage is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    /// A tree for people
    Text,
    /// A graph for Graphviz: pipe it into `dot -Tsvg`
    Dot,
}

/// Arguments of `lineage`.
#[derive(Clone, Debug, Args)]
pub struct LineageArgs {
    /// Link, id, path of an exported manifest, or name of a dataset known here
    pub link: String,
    /// How it is drawn
    #[arg(long, value_enum, default_value_t = Drawing::Text)]
    pub format: Drawing,
    /// Steps in each direction [default: as far as it goes, at most 64]
    #[arg(long, value_name = "N")]
    pub depth: Option<u32>,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

impl LineageArgs {
    pub(super) fn request(self) -> Result<LineageRequest, CliError> {
        Ok(LineageRequest {
            about: about(self.link, self.source)?,
            depth: self.depth,
            format: match self.format {
                Drawing::Text => LineageFormat::Text,
                Drawing::Dot => LineageFormat::Dot,
            },
        })
    }
}
