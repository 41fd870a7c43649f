//! `review`: what you think of a dataset or a version.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use opendag_node::ops::{LinkRequest, Operation, ReviewRequest};
use opendag_protocol::{limits::REVIEW_TEXT_BYTES_MAX, record::Opinion};

use super::fetch::SourceArgs;
use crate::{error::CliError, link::resolve};

/// Arguments of `review`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ReviewArgs {
    /// What to do instead of saying something
    #[command(subcommand)]
    pub command: Option<ReviewCommand>,
    /// What you say
    #[command(flatten)]
    pub say: SayArgs,
}

/// The commands below `review`.
#[derive(Clone, Debug, Subcommand)]
pub enum ReviewCommand {
    /// Take back what you said
    Rm(TakeBackArgs),
}

/// Arguments of `review LINK`.
#[derive(Clone, Debug, Args)]
pub struct SayArgs {
    /// Link, id or name of a dataset, or id of one version
    #[arg(required = true)]
    pub link: Option<String>,
    /// From 1, the worst, to 5
    #[arg(long, value_name = "N", required = true, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub rating: Option<u8>,
    /// Why
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    pub text: Option<String>,
    /// File with the text; - is standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Word to sort reviews by; may be repeated
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Who says it
    #[command(flatten)]
    pub by: ByArgs,
}

/// Arguments of `review rm`.
#[derive(Clone, Debug, Args)]
pub struct TakeBackArgs {
    /// Link, id or name of a dataset, or id of one version
    pub link: String,
    /// Who says it
    #[command(flatten)]
    pub by: ByArgs,
}

/// Who says it, and where it is looked for.
#[derive(Clone, Debug, Args)]
pub struct ByArgs {
    /// Name of the key that signs [default: default]
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Whom to ask and how long
    #[command(flatten)]
    pub source: SourceArgs,
}

impl ReviewArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        let request = match self.command {
            Some(ReviewCommand::Rm(args)) => args.by.request(args.link, None)?,
            None => {
                // Both are there, because there is no command.
                let (link, rating) = (
                    self.say.link.unwrap_or_default(),
                    self.say.rating.unwrap_or_default(),
                );
                let text = match self.say.file {
                    Some(file) => Some(read(&file)?),
                    None => self.say.text,
                };
                let opinion = Opinion {
                    rating,
                    text,
                    tags: self.say.tag,
                };
                self.say.by.request(link, Some(opinion))?
            }
        };
        Ok(Operation::Review(request))
    }
}

impl ByArgs {
    fn request(self, link: String, opinion: Option<Opinion>) -> Result<ReviewRequest, CliError> {
        Ok(ReviewRequest {
            about: LinkRequest {
                link: Some(resolve(link)?),
                timeout_ms: self.source.timeout_ms(),
                peers: self.source.peer,
                newest: false,
            },
            opinion,
            key: self.key,
        })
    }
}

/// The text of a file, without what surrounds it and with plain line ends.
fn read(path: &PathBuf) -> Result<String, CliError> {
    let shown = path.display();
    let unreadable = |error: io::Error| {
        CliError::Input(format!("The file \"{shown}\" cannot be read: {error}."))
    };
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(unreadable)?)
    };
    // More than may be said, so that too much is refused and not cut.
    let most = u64::try_from(REVIEW_TEXT_BYTES_MAX * 2).unwrap_or(u64::MAX);
    let mut text = String::new();
    source
        .take(most)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text.replace("\r\n", "\n").trim().to_owned())
}
