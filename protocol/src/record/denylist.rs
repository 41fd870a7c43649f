//! The `denylist` statement: what its author does not want to be fetched, served, passed on or listed.
//!
//! It does nothing by itself: a node heeds the lists that its user subscribed to.
//! Source: `specs/records.md`, section *`denylist`*.

use std::{collections::BTreeMap, fmt};

use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize};

use super::{
    FieldProblem, RecordError, Statement, StatementFields,
    payload::{filled, present},
    text::{Shape, check_list, check_text},
};
use crate::{
    BlobId, DatasetId, ManifestId, RecordId, Timestamp, cbor,
    key::PublicKey,
    limits::{DENYLIST_ENTRIES_MAX, DENYLIST_REASON_BYTES_MAX, TIMESTAMP_MAX},
};

/// What an entry is about. As a map with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Denied {
    /// All versions of a dataset.
    Dataset(DatasetId),
    /// One version.
    Manifest(ManifestId),
    /// A file or other blob, wherever it occurs.
    Blob(BlobId),
    /// All datasets that a key is an owner of, and all that it says.
    Publisher(PublicKey),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dataset(id) => write!(f, "the dataset {id}"),
            Self::Manifest(id) => write!(f, "the version {id}"),
            Self::Blob(id) => write!(f, "the blob {id}"),
            Self::Publisher(key) => write!(f, "the publisher {key}"),
        }
    }
}

/// One thing on a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct DenylistEntry {
    /// What.
    pub what: Denied,
    /// Why: a line.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub reason: Option<String>,
    /// From when it does nothing any more.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub expires_at: Option<Timestamp>,
}

impl DenylistEntry {
    fn check(&self) -> Result<(), RecordError> {
        if let Some(reason) = &self.reason {
            check_text(reason, DENYLIST_REASON_BYTES_MAX, Shape::Line)
                .map_err(problem("entries"))?;
        }
        match self.expires_at {
            Some(at) if at.as_secs() > TIMESTAMP_MAX => {
                Err(problem("entries")(FieldProblem::Range))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A denylist that holds all rules of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denylist {
    id: RecordId,
    author: PublicKey,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    entries: Vec<DenylistEntry>,
}

/// The fields of its type.
#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "filled"
    )]
    entries: Vec<DenylistEntry>,
}

impl Denylist {
    /// The `type` of its statements.
    pub const KIND: &'static str = "denylist";

    /// Checks what a list may hold, whether it is ever published or not.
    ///
    /// # Errors
    /// [`RecordError::Field`] with what breaks a rule.
    pub fn check(entries: &[DenylistEntry]) -> Result<(), RecordError> {
        entries.iter().try_for_each(DenylistEntry::check)?;
        let named: Vec<Denied> = entries.iter().map(|entry| entry.what).collect();
        check_list(&named, DENYLIST_ENTRIES_MAX).map_err(problem("entries"))
    }

    /// The statement by which `author` publishes this list in place of their former one.
    ///
    /// # Errors
    /// [`RecordError::Field`] with what breaks a rule.
    pub fn statement(
        author: PublicKey,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
        entries: Vec<DenylistEntry>,
    ) -> Result<Statement, RecordError> {
        Self::check(&entries)?;
        let plain = cbor::to_vec(&Fields { entries }).map_err(RecordError::Payload)?;
        let more: BTreeMap<String, Ipld> =
            cbor::from_slice_canonical(&plain).map_err(RecordError::Payload)?;
        Statement::new(StatementFields {
            kind: Self::KIND.to_owned(),
            author,
            issued_at,
            subject: None,
            expires_at,
            more,
        })
    }

    /// A statement as a denylist; `None` if it is of another type.
    ///
    /// # Errors
    /// [`RecordError`] if it is a denylist that breaks a rule: it is kept and passed on as any statement, and not heeded.
    pub fn read(statement: &Statement) -> Result<Option<Self>, RecordError> {
        if statement.kind() != Self::KIND {
            return Ok(None);
        }
        if statement.subject().is_some() {
            return Err(problem("subject")(FieldProblem::Presence));
        }
        let Fields { entries } = statement.read()?;
        Self::check(&entries)?;
        Ok(Some(Self {
            id: statement.id(),
            author: statement.author(),
            issued_at: statement.issued_at(),
            expires_at: statement.fields().expires_at,
            entries,
        }))
    }

    /// The id of its record.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        self.id
    }

    /// Whose list it is.
    #[must_use]
    pub const fn author(&self) -> PublicKey {
        self.author
    }

    /// When it was issued.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// From when none of it does anything any more.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// What is on it.
    #[must_use]
    pub fn entries(&self) -> &[DenylistEntry] {
        &self.entries
    }
}

fn problem(field: &'static str) -> impl Fn(FieldProblem) -> RecordError {
    move |problem| RecordError::Field {
        kind: Denylist::KIND,
        field,
        problem,
    }
}

#[cfg(test)]
mod tests;
