//! What is said of drafts and owners.

use std::path::PathBuf;

use opendag_protocol::{DatasetId, ManifestId, RecordId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyInfo;

/// What a draft is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DraftKind {
    /// A version to be published.
    Version,
    /// A change of owners.
    Owners,
    /// The word that a version is the newest, said again.
    Head,
}

/// Owner keys and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerSet {
    /// Public keys, as text.
    pub keys: Vec<String>,
    /// How many must sign.
    pub threshold: u8,
}

/// The version that a draft is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftVersion {
    /// Its manifest.
    pub manifest: ManifestId,
    /// Its number.
    pub sequence: u64,
    /// The version before.
    pub parent: Option<ManifestId>,
    /// Label.
    pub label: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Signatures that a record of a draft lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingInfo {
    /// `dataset` (a change of owners), `manifest` or `head`.
    pub record: String,
    /// How many.
    pub count: usize,
    /// Public keys that may sign and have not.
    pub of: Vec<String>,
}

/// A draft: what its signatures say, and whose there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftInfo {
    /// The file.
    pub path: PathBuf,
    /// What it is about.
    pub kind: DraftKind,
    /// The dataset.
    pub dataset: DatasetId,
    /// Its name.
    pub name: String,
    /// The version; of a change of owners the newest one, if it is known here.
    pub version: Option<DraftVersion>,
    /// Until when the owners stand by it that the version is the newest.
    pub head_expires_at: Option<Timestamp>,
    /// Who owns the dataset before.
    pub owners_before: OwnerSet,
    /// Who owns it afterwards.
    pub owners_after: OwnerSet,
    /// Keys that signed with this command.
    pub signed_now: Vec<String>,
    /// All keys that have signed.
    pub signed_by: Vec<String>,
    /// What is missing; nothing if the draft can be finished.
    pub missing: Vec<MissingInfo>,
}

/// A head that is to be signed again, by more owners than have their keys here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenewalInfo {
    /// When the head expires.
    pub expires_at: Timestamp,
    /// How many owners must sign.
    pub threshold: u8,
    /// Keys of owners that are here.
    pub here: u8,
}

/// An owner record of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerRecordInfo {
    /// The record.
    pub record: RecordId,
    /// Its number, from 0.
    pub sequence: u64,
    /// Who owns the dataset by it.
    pub owners: OwnerSet,
    /// Who signed it.
    pub signers: Vec<String>,
}

/// Who owns a dataset, and who did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnersInfo {
    /// The dataset.
    pub dataset: DatasetId,
    /// Its name.
    pub name: String,
    /// Its owner records, the current one first.
    pub records: Vec<OwnerRecordInfo>,
    /// Keys of this node among the current owners.
    pub here: Vec<KeyInfo>,
}
