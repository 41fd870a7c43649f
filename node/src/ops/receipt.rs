//! Receipts: what is asked and said of them.

use std::path::PathBuf;

use opendag_protocol::{BlobId, DatasetId, Hash, ManifestId, Timestamp, receipt::SignerKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BadShard;

/// Hash again what lies here of a version, and sign that it is as it should be. Ends in
/// [`super::Event::Receipt`] with its text.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiptRequest {
    /// As [`super::FetchRequest::link`]; it must lie here.
    pub link: String,
    /// Local name of a publisher key to sign with; `None`: the key of the node.
    pub key: Option<String>,
}

/// Check a receipt: its signature, against the version's file table, and against the files if they lie
/// here. Ends in [`super::Event::Receipt`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckReceiptRequest {
    /// Absolute path of the receipt.
    pub file: PathBuf,
    /// As [`super::FetchRequest::peers`].
    pub peers: Vec<String>,
    /// As [`super::FetchRequest::timeout_ms`].
    pub timeout_ms: Option<u64>,
}

/// A receipt whose signature holds, and which says what the version's file table says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptInfo {
    /// The dataset's name.
    pub name: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// The version.
    pub manifest: ManifestId,
    /// Its number.
    pub sequence: u64,
    /// The index of its file table.
    pub table: BlobId,
    /// Globs of the files that were selected; none: all.
    pub include: Vec<String>,
    /// Globs of files that were not.
    pub exclude: Vec<String>,
    /// Files that were verified.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// BLAKE3 over their paths and hashes.
    pub digest: Hash,
    /// When they were verified.
    pub verified_at: Timestamp,
    /// Whose key signed it.
    pub signed_by: SignerKind,
    /// The key.
    pub signer: String,
    /// The id of the node whose key that is, if it is one of a node.
    pub node: Option<String>,
    /// Where the files lie on this node, if they were hashed again.
    pub here: Option<PathBuf>,
    /// What of them is not as it should be.
    pub bad: Vec<BadShard>,
    /// The receipt itself, if it was made now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
