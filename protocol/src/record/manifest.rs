//! The `manifest` record: what one version of a dataset is.

use serde::{Deserialize, Serialize};

use super::{
    FieldProblem, RecordError,
    payload::{Fields, Payload, field, filled, getters, present},
    text::{self, Shape},
};
use crate::{
    BlobId, DatasetId, ManifestId, RecordId, Timestamp,
    limits::{
        DERIVATION_BYTES_MAX, DERIVATIONS_MAX, DESCRIPTION_BYTES_MAX, LABEL_BYTES_MAX, MIRRORS_MAX,
        SEQUENCE_MAX, TAG_BYTES_MAX, TAGS_MAX, TIMESTAMP_MAX, TITLE_BYTES_MAX,
    },
};

/// What a `manifest` record says. Optional texts and lists that say nothing are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFields {
    /// The dataset.
    pub dataset: DatasetId,
    /// The `dataset` record whose owners sign.
    pub owner_record: RecordId,
    /// Number of the version: 0 for the first, one more than its parent's for each other.
    pub sequence: u64,
    /// The version before; `None` exactly in the first.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub parent: Option<ManifestId>,
    /// When the owners say that it was made.
    pub created_at: Timestamp,
    /// A label such as `v1.1`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub label: Option<String>,
    /// One line.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub title: Option<String>,
    /// Some paragraphs.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub description: Option<String>,
    /// An SPDX licence expression.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub license: Option<String>,
    /// Languages as BCP 47 tags.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "filled"
    )]
    pub languages: Vec<String>,
    /// Words to search by.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "filled"
    )]
    pub tags: Vec<String>,
    /// A URL.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub homepage: Option<String>,
    /// The index of the file table.
    pub table: BlobId,
    /// Files in the table.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The card: a README in Markdown.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub card: Option<BlobId>,
    /// A Croissant description (JSON-LD).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub croissant: Option<BlobId>,
    /// What it was made from.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "filled"
    )]
    pub derived_from: Vec<Derivation>,
    /// Plain URLs below which the same files lie.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "filled"
    )]
    pub mirrors: Vec<String>,
}

/// A version that another was made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Derivation {
    /// The version.
    pub manifest: ManifestId,
    /// What was done with it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub how: Option<String>,
}

impl Fields for ManifestFields {
    const KIND: &'static str = "manifest";

    fn check(&self) -> Result<(), RecordError> {
        if self.sequence > SEQUENCE_MAX {
            return Err(field::<Self>("sequence")(FieldProblem::Range));
        }
        if self.parent.is_none() != (self.sequence == 0) {
            return Err(field::<Self>("parent")(FieldProblem::Presence));
        }
        if self.created_at.as_secs() > TIMESTAMP_MAX {
            return Err(field::<Self>("created_at")(FieldProblem::Range));
        }
        if self.files > u64::from(u32::MAX) {
            return Err(field::<Self>("files")(FieldProblem::Range));
        }
        self.check_texts()?;
        self.check_lists()
    }
}

impl ManifestFields {
    fn check_texts(&self) -> Result<(), RecordError> {
        let texts = [
            ("label", &self.label, LABEL_BYTES_MAX, Shape::Line),
            ("title", &self.title, TITLE_BYTES_MAX, Shape::Line),
            (
                "description",
                &self.description,
                DESCRIPTION_BYTES_MAX,
                Shape::Paragraphs,
            ),
        ];
        for (name, text, bytes_max, shape) in texts {
            if let Some(text) = text {
                text::check_text(text, bytes_max, shape).map_err(field::<Self>(name))?;
            }
        }
        if let Some(license) = &self.license {
            text::check_license_form(license).map_err(field::<Self>("license"))?;
        }
        if let Some(homepage) = &self.homepage {
            text::check_url(homepage).map_err(field::<Self>("homepage"))?;
        }
        Ok(())
    }

    fn check_lists(&self) -> Result<(), RecordError> {
        let languages = field::<Self>("languages");
        text::check_list(&self.languages, TAGS_MAX).map_err(&languages)?;
        for language in &self.languages {
            text::check_language(language).map_err(&languages)?;
        }
        let tags = field::<Self>("tags");
        text::check_list(&self.tags, TAGS_MAX).map_err(&tags)?;
        for tag in &self.tags {
            text::check_text(tag, TAG_BYTES_MAX, Shape::Line).map_err(&tags)?;
        }
        let derived_from = field::<Self>("derived_from");
        text::check_list(&self.derived_from, DERIVATIONS_MAX).map_err(&derived_from)?;
        for how in self
            .derived_from
            .iter()
            .filter_map(|from| from.how.as_ref())
        {
            text::check_text(how, DERIVATION_BYTES_MAX, Shape::Line).map_err(&derived_from)?;
        }
        let mirrors = field::<Self>("mirrors");
        text::check_list(&self.mirrors, MIRRORS_MAX).map_err(&mirrors)?;
        for mirror in &self.mirrors {
            text::check_url(mirror).map_err(&mirrors)?;
        }
        Ok(())
    }
}

/// A `manifest` record whose fields hold all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest(pub(super) Payload<ManifestFields>);

impl Manifest {
    /// A record that says `fields`. Stricter than what is accepted from others: the licence must be
    /// one that the SPDX list of this program knows.
    ///
    /// # Errors
    /// [`RecordError::Field`] with the field that breaks a rule.
    pub fn new(fields: ManifestFields) -> Result<Self, RecordError> {
        if let Some(license) = &fields.license {
            text::check_license_known(license).map_err(field::<ManifestFields>("license"))?;
        }
        Payload::encode(fields).map(Self)
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &ManifestFields {
        self.0.fields()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ManifestId {
        self.0.id().into()
    }
}

getters!(Manifest {
    /// The dataset.
    dataset: copy DatasetId,
    /// The `dataset` record whose owners sign.
    owner_record: copy RecordId,
    /// Number of the version, from 0.
    sequence: copy u64,
    /// The version before.
    parent: copy Option<ManifestId>,
    /// When the owners say that it was made.
    created_at: copy Timestamp,
    /// A label such as `v1.1`.
    label: text Option<&str>,
    /// One line.
    title: text Option<&str>,
    /// Some paragraphs.
    description: text Option<&str>,
    /// An SPDX licence expression.
    license: text Option<&str>,
    /// Languages as BCP 47 tags.
    languages: by &[String],
    /// Words to search by.
    tags: by &[String],
    /// A URL.
    homepage: text Option<&str>,
    /// The index of the file table.
    table: copy BlobId,
    /// Files in the table.
    files: copy u64,
    /// Bytes of all files.
    bytes: copy u64,
    /// The card: a README in Markdown.
    card: copy Option<BlobId>,
    /// A Croissant description.
    croissant: copy Option<BlobId>,
    /// What it was made from.
    derived_from: by &[Derivation],
    /// Plain URLs below which the same files lie.
    mirrors: by &[String],
});
