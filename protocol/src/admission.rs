//! Verdicts on heads that gossip brings: what to pass on, what to drop, and whom to blame.
//!
//! The order of checks is size, form, signatures, meaning: cheap first. The caller limits rates
//! before. `Accept` says that the head was verified against the owners of its dataset and is newer
//! (or proves equivocation); nothing else may be forwarded.
//! Source: `specs/records.md`, section *Gossip*.

use crate::{
    DatasetId, RecordId, Timestamp,
    catalogue::{Applied, DatasetState, Refused},
    limits::HEAD_BYTES_MAX,
    record::{OwnerError, Record, RecordError, SignedRecord},
};

/// What to do with a message.
#[derive(Debug)]
pub enum Verdict {
    /// Verified and newer: apply it and pass it on.
    Accept(SignedRecord),
    /// Drop it without blame.
    Ignore(IgnoreReason),
    /// Drop it and blame whoever sent it.
    Reject(RejectReason),
    /// It cannot be judged without this owner record. Ask for the dataset's records, if the dataset
    /// matters here, and judge again; else ignore it.
    NeedOwners {
        /// The head's dataset.
        dataset: DatasetId,
        /// The owner record that it is signed under.
        owner_record: RecordId,
    },
}

/// Why a message is dropped without blame.
#[derive(Debug, thiserror::Error)]
pub enum IgnoreReason {
    /// Known already.
    #[error("the head is known")]
    Known,
    /// Below the newest head, or signed under former owners.
    #[error("the head is not newer")]
    Stale,
    /// Of a version that this program does not know.
    #[error("the record is of a newer version than this program")]
    TooNew(#[source] RecordError),
    /// Not to be taken now, which is not the carrier's fault.
    #[error("the head cannot be taken now")]
    NotNow(#[source] Refused),
}

/// Why a message is dropped with blame.
#[derive(Debug, thiserror::Error)]
pub enum RejectReason {
    /// Larger than a head may be.
    #[error("a message of {bytes} bytes is larger than a head may be")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not a signed record.
    #[error("the message is not a signed record")]
    NotARecord(#[source] RecordError),
    /// A signed record of another type.
    #[error("the message is not a head")]
    NotAHead,
    /// Signed by others than the owners.
    #[error("the head is not signed by the owners")]
    Forged(#[source] OwnerError),
}

/// Judges a message of the heads topic. `state` is what is known of the dataset that
/// [`head_dataset`] names, or `None`.
#[must_use]
pub fn judge(bytes: &[u8], state: Option<&DatasetState>, now: Timestamp) -> Verdict {
    let signed = match decode_head(bytes) {
        Ok(signed) => signed,
        Err(verdict) => return verdict,
    };
    let Some(head) = signed.as_head() else {
        return Verdict::Reject(RejectReason::NotAHead);
    };
    let unknown = Verdict::NeedOwners {
        dataset: head.dataset(),
        owner_record: head.owner_record(),
    };
    let Some(state) = state.filter(|state| state.dataset_id() == head.dataset()) else {
        return unknown;
    };
    match state.assess(&signed, now) {
        Ok(Applied::New | Applied::Newer | Applied::Equivocation { .. }) => Verdict::Accept(signed),
        Ok(Applied::Known) => Verdict::Ignore(IgnoreReason::Known),
        Ok(Applied::Stale | Applied::Unneeded | Applied::Retired) => {
            Verdict::Ignore(IgnoreReason::Stale)
        }
        Err(Refused::Owners(OwnerError::UnknownOwners { .. })) => unknown,
        Err(Refused::Owners(error)) => Verdict::Reject(RejectReason::Forged(error)),
        Err(
            refused @ (Refused::FromTheFuture { .. }
            | Refused::SequenceJump { .. }
            | Refused::OtherSequence { .. }),
        ) => Verdict::Ignore(IgnoreReason::NotNow(refused)),
    }
}

/// [`judge`], with what somebody told of the dataset besides: owner records and versions, in the order in
/// which they are judged. What does not hold together with the head changes nothing.
#[must_use]
pub fn judge_with(
    bytes: &[u8],
    known: Option<DatasetState>,
    told: &[SignedRecord],
    now: Timestamp,
) -> Verdict {
    let first = || {
        told.iter()
            .find_map(|record| DatasetState::new(record).ok())
    };
    let mut state = known.or_else(first);
    if let Some(state) = &mut state {
        // The head itself may be among them, and is not known because of that.
        for record in told.iter().filter(|record| record.as_head().is_none()) {
            let _ = state.apply(record, now);
        }
    }
    judge(bytes, state.as_ref(), now)
}

/// The dataset that a message of the heads topic is about, so that its state can be looked up; `None`
/// if it is no head. Checks the form only, no signature.
#[must_use]
pub fn head_dataset(bytes: &[u8]) -> Option<DatasetId> {
    if bytes.len() > HEAD_BYTES_MAX {
        return None;
    }
    match SignedRecord::peek(bytes).ok()? {
        Record::Head(head) => Some(head.dataset()),
        Record::Dataset(_) | Record::Manifest(_) | Record::Statement(_) | Record::Other(_) => None,
    }
}

fn decode_head(bytes: &[u8]) -> Result<SignedRecord, Verdict> {
    if bytes.len() > HEAD_BYTES_MAX {
        return Err(Verdict::Reject(RejectReason::TooLarge {
            bytes: bytes.len(),
        }));
    }
    SignedRecord::decode(bytes).map_err(|error| match error {
        RecordError::Version { .. } => Verdict::Ignore(IgnoreReason::TooNew(error)),
        RecordError::TooLarge { .. }
        | RecordError::Envelope(_)
        | RecordError::Payload(_)
        | RecordError::Kind
        | RecordError::Field { .. }
        | RecordError::SignatureCount { .. }
        | RecordError::SignatureOrder
        | RecordError::Author
        | RecordError::Signature(_) => Verdict::Reject(RejectReason::NotARecord(error)),
    })
}

#[cfg(test)]
mod tests;
