//! What became of a record.

use serde::{Deserialize, Serialize};

use crate::{ManifestId, RecordId, Timestamp, fault::Fault, record::OwnerError};

/// What applying a record did, and so what to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A version that was not known: store it.
    New,
    /// A head or owner record that replaces the one before: store, announce and forward it.
    Newer,
    /// Known already: nothing to do.
    Known,
    /// A head below the newest, or signed under former owners: drop it.
    Stale,
    /// Proof that the owners signed two records where there may be one: store, forward and show it.
    Equivocation {
        /// The two.
        proof: Equivocation,
        /// Is it nevertheless the newest head now?
        newest: bool,
    },
    /// Valid, and more than is remembered of this dataset: drop it, unless somebody here asked for
    /// it by its id.
    Unneeded,
    /// A version signed by former owners that no known version or head leads to. Whoever stole a
    /// retired key can make these: keep it only if somebody here asked for it by its id, and never
    /// announce or forward it.
    Retired,
}

/// Why a record is not taken into the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its signers have no say, or their owner record is not known yet.
    #[error("the record is not signed by the owners of its dataset")]
    Owners(#[source] OwnerError),
    /// A head that was issued later than now: a clock is wrong, perhaps ours.
    #[error("the head was issued at {} s, which is in the future: is the clock right?", issued_at.as_secs())]
    FromTheFuture {
        /// When it says that it was issued.
        issued_at: Timestamp,
    },
    /// A head whose sequence is too far above the newest.
    #[error("the head has sequence {found}, too far above the newest, {newest}")]
    SequenceJump {
        /// The newest head's.
        newest: u64,
        /// The head's.
        found: u64,
    },
    /// A head and its manifest, or a manifest and its parent, do not agree on sequences.
    #[error("the sequence {found} does not agree with that of {manifest}, which is {sequence}")]
    OtherSequence {
        /// What is known already.
        manifest: ManifestId,
        /// Its sequence.
        sequence: u64,
        /// The record's.
        found: u64,
    },
}

impl Refused {
    /// Who is to blame, if a peer sent the record. What owners signed is never its carrier's fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Owners(error) => error.fault(),
            Self::FromTheFuture { .. } | Self::SequenceJump { .. } | Self::OtherSequence { .. } => {
                Fault::Transient
            }
        }
    }
}

/// Which type of record the owners signed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EquivocationKind {
    /// Two owner records follow one.
    Owners,
    /// Two versions have one sequence.
    Manifest,
    /// Two heads say of one sequence that different versions are newest.
    Head,
}

/// Two records, both signed by owners, where there may be only one. Not proof of malice: a restored
/// backup does it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equivocation {
    /// Which type of record.
    pub kind: EquivocationKind,
    /// Their sequence.
    pub sequence: u64,
    /// The one that was known first.
    pub first: RecordId,
    /// The other.
    pub second: RecordId,
}
