//! Statements: what anybody may say about a dataset, a version, a blob, or about nothing in particular.
//!
//! All types of statements have one shape, so that a node keeps and forwards those that it does not
//! know by the same rule as those that it does: of each author, type and subject the newest.
//! Source: `specs/records.md`, section *Statements*.

use std::{collections::BTreeMap, sync::Arc};

use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    FieldProblem, RecordError, is_type_name,
    payload::{self, VERSION, present},
    subject::Subject,
};
use crate::{RecordId, Timestamp, cbor, key::PublicKey, limits::TIMESTAMP_MAX};

/// What messages about the fields of any statement call its type.
const KIND: &str = "statement";
/// Fields that every statement has or may have.
const COMMON: [&str; 6] = [
    "type",
    "version",
    "author",
    "issued_at",
    "subject",
    "expires_at",
];

/// What every statement says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatementFields {
    /// Its type, such as `review`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who says it, and alone signs it.
    pub author: PublicKey,
    /// When; of two about one subject the later one counts.
    pub issued_at: Timestamp,
    /// What it is about; `None`: nothing in particular.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub subject: Option<Subject>,
    /// Until when the author stands by it; later than `issued_at`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub expires_at: Option<Timestamp>,
    /// The further fields of its type.
    #[serde(skip)]
    pub more: BTreeMap<String, Ipld>,
}

/// A statement whose common fields hold all rules; those of its type are its readers' business. Cheap
/// to clone.
///
/// Invariant: `id` is the id of `bytes`, which say `fields`.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    fields: Arc<StatementFields>,
    bytes: Arc<[u8]>,
    id: RecordId,
}

/// No float in DAG-CBOR is `NaN`, so equality is total.
impl Eq for Statement {}

impl Statement {
    /// A statement that says `fields`.
    ///
    /// # Errors
    /// [`RecordError::Kind`] or [`RecordError::Field`] with what breaks a rule; a further field that has
    /// the name of a common one does.
    pub fn new(mut fields: StatementFields) -> Result<Self, RecordError> {
        if let Some(name) = COMMON.iter().find(|name| fields.more.contains_key(**name)) {
            return Err(problem(name, FieldProblem::Presence));
        }
        check(&fields)?;
        let plain = cbor::to_vec(&fields).map_err(RecordError::Payload)?;
        let mut map: BTreeMap<String, Ipld> =
            cbor::from_slice_canonical(&plain).map_err(RecordError::Payload)?;
        map.append(&mut fields.more);
        map.insert("version".to_owned(), Ipld::Integer(VERSION.into()));
        Self::decode(&cbor::to_vec(&map).map_err(RecordError::Payload)?)
    }

    /// A received payload that has an `author`, and a type that is none of the others.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut fields: StatementFields =
            cbor::from_slice_canonical(bytes).map_err(RecordError::Payload)?;
        check(&fields)?;
        fields.more = cbor::from_slice_canonical(bytes).map_err(RecordError::Payload)?;
        fields
            .more
            .retain(|name, _| !COMMON.contains(&name.as_str()));
        Ok(Self {
            fields: Arc::new(fields),
            bytes: bytes.into(),
            id: payload::id_of(bytes),
        })
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &StatementFields {
        &self.fields
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.fields.kind
    }

    /// Who says it.
    #[must_use]
    pub fn author(&self) -> PublicKey {
        self.fields.author
    }

    /// When.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.fields.issued_at
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        self.fields.subject
    }

    /// Does its author not stand by it any more?
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.fields.expires_at.is_some_and(|until| until <= now)
    }

    /// What it says by the rules of its type. `T` checks its own fields; others may be in the payload.
    ///
    /// # Errors
    /// [`RecordError::Payload`] if it does not say that.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, RecordError> {
        cbor::from_slice_canonical(&self.bytes).map_err(RecordError::Payload)
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes
    }
}

fn check(fields: &StatementFields) -> Result<(), RecordError> {
    if !is_type_name(&fields.kind) || super::has_rules_of_its_own(&fields.kind) {
        return Err(RecordError::Kind);
    }
    if fields.issued_at.as_secs() > TIMESTAMP_MAX {
        return Err(problem("issued_at", FieldProblem::Range));
    }
    let expires_well =
        |until: Timestamp| until > fields.issued_at && until.as_secs() <= TIMESTAMP_MAX;
    if !fields.expires_at.is_none_or(expires_well) {
        return Err(problem("expires_at", FieldProblem::Range));
    }
    Ok(())
}

fn problem(field: &'static str, problem: FieldProblem) -> RecordError {
    RecordError::Field {
        kind: KIND,
        field,
        problem,
    }
}

#[cfg(test)]
mod tests;
