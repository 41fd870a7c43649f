//! Why bytes are no draft, or a draft goes no further.

use super::{Missing, text::TextError};
use crate::{
    cbor::CborError,
    key::PublicKey,
    record::{OwnerError, RecordError},
};

/// Why bytes are no draft, or a draft cannot be signed, merged or finished.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// Not the text of a draft.
    #[error("it is not a draft")]
    Text(#[from] TextError),
    /// Not canonical, or not of the form of a draft.
    #[error("it is not a draft")]
    Form(#[source] CborError),
    /// Another version of the format.
    #[error("it has version {version} of the format of drafts, which this program does not know")]
    Version {
        /// The version.
        version: u64,
    },
    /// A record in it is none.
    #[error("a record of the draft is refused")]
    Record(#[from] RecordError),
    /// Its owner records are no chain.
    #[error("the owner records of the draft are refused")]
    Owners(#[from] OwnerError),
    /// Its records do not belong together.
    #[error("the records of the draft do not belong together")]
    Unrelated,
    /// A key that has no say.
    #[error("{key} has no say in this draft: it is not an owner")]
    NoSay {
        /// The key.
        key: PublicKey,
    },
    /// Two drafts that are not copies of one.
    #[error("these are not copies of one draft")]
    Another,
    /// Signatures are missing.
    #[error("signatures are missing")]
    Incomplete {
        /// Whose.
        missing: Vec<Missing>,
    },
}
