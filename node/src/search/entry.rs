//! What the index is told of a dataset.

use std::collections::BTreeSet;

use opendag_protocol::{DatasetId, Hash, record::Manifest};

/// Bytes of a card that are searched; what comes later is seldom what a dataset is about.
pub(super) const CARD_BYTES_MAX: usize = 64 * 1024;
/// Paths of a version that are searched: those of most datasets, and of the others the first.
pub(super) const PATHS_MAX: usize = 2048;

/// What the index is told of a dataset: what its newest version says, and what of its description is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The dataset.
    pub dataset: DatasetId,
    /// Another one means that the entry has to be made again.
    pub stamp: u64,
    /// The dataset's name.
    pub name: String,
    /// One line.
    pub title: Option<String>,
    /// Some paragraphs.
    pub description: Option<String>,
    /// Words to search by.
    pub tags: Vec<String>,
    /// Languages as BCP 47 tags.
    pub languages: Vec<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// Public keys of the owners, as text.
    pub publishers: Vec<String>,
    /// Its ids, as text: of the dataset and of its newest version.
    pub ids: Vec<String>,
    /// The card, if it is here.
    pub card: Option<String>,
    /// Paths of files, if the table is here.
    pub paths: Vec<String>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Seconds since 1970 when the newest version was made.
    pub updated: u64,
    /// What it has, of [`opendag_protocol::search::HAS`].
    pub has: Vec<&'static str>,
}

impl Entry {
    /// What a version says of its dataset, without card and paths.
    #[must_use]
    pub fn new(name: &str, publishers: Vec<String>, manifest: &Manifest, stamp: u64) -> Self {
        let fields = manifest.fields();
        let has = [
            ("card", fields.card.is_some()),
            ("croissant", fields.croissant.is_some()),
            ("description", fields.description.is_some()),
            ("license", fields.license.is_some()),
            ("lineage", !fields.derived_from.is_empty()),
            ("mirror", !fields.mirrors.is_empty()),
            ("title", fields.title.is_some()),
        ];
        let has = has.into_iter().filter_map(|(what, is)| is.then_some(what));
        Self {
            dataset: fields.dataset,
            stamp,
            name: name.to_owned(),
            title: fields.title.clone(),
            description: fields.description.clone(),
            tags: fields.tags.clone(),
            languages: fields.languages.clone(),
            license: fields.license.clone(),
            publishers,
            ids: vec![fields.dataset.to_string(), manifest.id().to_string()],
            card: None,
            paths: Vec::new(),
            bytes: fields.bytes,
            updated: fields.created_at.as_secs(),
            has: has.collect(),
        }
    }

    /// Name, title and tags: what it is called.
    pub(super) fn titles(&self) -> impl Iterator<Item = &str> {
        let called = [Some(self.name.as_str()), self.title.as_deref()];
        let tags = self.tags.iter().map(String::as_str);
        called.into_iter().flatten().chain(tags)
    }

    /// Values of facets, as a query has them.
    pub(super) fn facets(&self) -> BTreeSet<(&'static str, String)> {
        let mut facets = BTreeSet::new();
        if let Some(license) = &self.license {
            let license = license.to_lowercase();
            let parts = license.split(|sign: char| sign.is_whitespace() || "()".contains(sign));
            let parts = parts.filter(|part| !["", "and", "or", "with"].contains(part));
            facets.extend(parts.map(|part| ("license", part.to_owned())));
            facets.insert(("license", license));
        }
        for language in &self.languages {
            let language = language.to_lowercase();
            // `zh-hant-tw` is found by `zh`, by `zh-hant`, and by itself.
            let ends = language.match_indices('-').map(|(at, _)| at);
            let beginnings = ends.filter_map(|end| language.get(..end));
            facets.extend(beginnings.map(|beginning| ("lang", beginning.to_owned())));
            facets.insert(("lang", language));
        }
        facets.extend(self.tags.iter().map(|tag| ("tag", tag.to_lowercase())));
        let publishers = self.publishers.iter();
        facets.extend(publishers.map(|key| ("publisher", key.clone())));
        facets.extend(self.has.iter().map(|what| ("has", (*what).to_owned())));
        facets
    }
}

/// A number that tells what an entry was made from.
#[must_use]
pub(super) fn stamp(of: &[&[u8]]) -> u64 {
    Hash::of(&of.concat())
        .as_bytes()
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
