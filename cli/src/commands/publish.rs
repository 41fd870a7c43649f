//! `publish`: a folder becomes the next version of a dataset.

use std::path::PathBuf;

use clap::Args;
use opendag_node::ops::PublishRequest;

use crate::{
    error::CliError,
    link::{absolute_path, resolve},
};

/// Arguments of `publish`.
#[derive(Clone, Debug, Args)]
pub struct PublishArgs {
    /// Folder or file to publish; it is read in place and not copied
    pub path: PathBuf,
    /// Name of the dataset; the same name again makes its next version
    #[arg(long)]
    pub name: String,
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
}

impl PublishArgs {
    pub(super) fn request(self) -> Result<PublishRequest, CliError> {
        let path = absolute_path(&self.path)?;
        if let Err(error) = std::fs::metadata(&path) {
            let path = self.path.display();
            return Err(CliError::Input(format!(
                "\"{path}\" cannot be published: {error}."
            )));
        }
        Ok(PublishRequest {
            path,
            name: self.name,
            label: self.label,
            title: self.title,
            description: self.description,
            license: self.license,
            languages: self.language,
            tags: self.tag,
            homepage: self.homepage,
            card: self.card.as_deref().map(absolute_path).transpose()?,
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
        })
    }
}
