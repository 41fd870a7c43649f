//! `/opendag/<net>/records/1`: get records.

use serde::{Deserialize, Serialize};

use super::{BoundedBytes, BoundedVec};
use crate::{
    id::{DatasetId, RecordId},
    limits::{RECORD_BYTES_MAX, RECORDS_PER_REQUEST_MAX},
};

/// A signed record as it was received, not verified.
pub type RecordBytes = BoundedBytes<RECORD_BYTES_MAX>;

/// The one frame that a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordsRequest {
    /// These records.
    Get {
        /// Their ids.
        ids: BoundedVec<RecordId, RECORDS_PER_REQUEST_MAX>,
    },
    /// What is known of a dataset: its owner records in order, its newest head, the manifest that the
    /// head names, then heads and manifests that prove equivocation.
    Dataset {
        /// The dataset.
        dataset: DatasetId,
    },
}

/// The frames that a server answers with; the last is `End` or `Busy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordsResponse {
    /// A record.
    Record(RecordBytes),
    /// The server does not have it. For a dataset: the id of its first record.
    NotFound(RecordId),
    /// That was all.
    End,
    /// Ask again later.
    Busy,
}
