//! `publish`: a folder becomes the next version of a dataset.

use std::path::PathBuf;

use clap::Args;
use opendag_node::ops::{FinishRequest, Operation, PublishRequest};

use crate::{
    error::CliError,
    link::{absolute_path, resolve},
};

/// Arguments of `publish`.
#[derive(Clone, Debug, Args)]
pub struct PublishArgs {
    /// Folder or file to publish; it is read in place and not copied
    #[arg(required_unless_present = "finish", conflicts_with = "finish")]
    pub path: Option<PathBuf>,
    /// Name of the dataset; the same name again makes its next version
    #[arg(long, required_unless_present = "finish", conflicts_with = "finish")]
    pub name: Option<String>,
    /// Label of the version, such as v1.1
    #[arg(long)]
    pub label: Option<String>,
    /// Title, one line
    #[arg(long)]
    pub title: Option<String>,
    /// Description, a paragraph
    #[arg(long)]
    pub description: Option<String>,
    /// Licence as an SPDX expression, such as CC-BY-4.0, or LicenseRef-NAME [default: that of the
    /// version before; the first version needs one]
    #[arg(long, value_name = "SPDX")]
    pub license: Option<String>,
    /// Language as a BCP 47 tag; may be repeated
    #[arg(long, value_name = "TAG")]
    pub language: Vec<String>,
    /// Word to search by; may be repeated
    #[arg(long)]
    pub tag: Vec<String>,
    /// Homepage
    #[arg(long, value_name = "URL")]
    pub homepage: Option<String>,
    /// Card in Markdown [default: README.md of the folder]
    #[arg(long, value_name = "FILE")]
    pub card: Option<PathBuf>,
    /// Write README.md into the folder if it has none, so that clients of Hugging Face know what to load
    #[arg(long, conflicts_with = "card")]
    pub write_card: bool,
    /// Version that this one was made from; may be repeated
    #[arg(long, value_name = "LINK")]
    pub derived_from: Vec<String>,
    /// Copy the files into the data directory instead of referring to them
    #[arg(long)]
    pub copy: bool,
    /// Leave out paths that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Publisher key to sign with [default: "default", made at the first use]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Leave out SHA-256, which clients of Hugging Face, S3 and Croissant want
    #[arg(long)]
    pub no_sha256: bool,
    /// Leave out chunk maps, by which fetches of the next version move only what changed
    #[arg(long)]
    pub no_chunk_maps: bool,
    /// Publish nothing yet: write a draft to this new file for the other owners to sign
    #[arg(long, value_name = "FILE", conflicts_with = "finish")]
    pub draft: Option<PathBuf>,
    /// Apply a draft that enough owners have signed, of a version or of a change of owners; copies that
    /// were signed apart are merged
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub finish: Vec<PathBuf>,
}

impl PublishArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        if self.finish.is_empty() {
            return Ok(Operation::Publish(self.request()?));
        }
        let files = self.finish.iter().map(|file| absolute_path(file));
        Ok(Operation::Finish(FinishRequest {
            files: files.collect::<Result<_, _>>()?,
        }))
    }

    fn request(self) -> Result<PublishRequest, CliError> {
        // Both are there, because there is no --finish.
        let (given, name) = (self.path.unwrap_or_default(), self.name.unwrap_or_default());
        let path = absolute_path(&given)?;
        if let Err(error) = std::fs::metadata(&path) {
            let path = given.display();
            return Err(CliError::Input(format!(
                "\"{path}\" cannot be published: {error}."
            )));
        }
        Ok(PublishRequest {
            path,
            name,
            label: self.label,
            title: self.title,
            description: self.description,
            license: self.license,
            languages: self.language,
            tags: self.tag,
            homepage: self.homepage,
            card: self.card.as_deref().map(absolute_path).transpose()?,
            write_card: self.write_card,
            derived_from: self
                .derived_from
                .into_iter()
                .map(resolve)
                .collect::<Result<_, _>>()?,
            exclude: self.exclude,
            copy: self.copy,
            key: self.key,
            no_sha256: self.no_sha256,
            no_chunk_maps: self.no_chunk_maps,
            draft: self.draft.as_deref().map(absolute_path).transpose()?,
            ..PublishRequest::default()
        })
    }
}
