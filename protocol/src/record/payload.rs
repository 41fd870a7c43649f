//! The payload of a record: fields of one type, checked, beside the very bytes that are signed.

use std::{collections::BTreeMap, sync::Arc};

use ipld_core::ipld::Ipld;
use serde::{
    Deserialize, Deserializer, Serialize, de,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{FieldProblem, RecordError};
use crate::{Hash, RecordId, cbor};

/// The major version of every type of record that this program knows.
pub(crate) const VERSION: u64 = 1;

/// The fields of one type of record.
pub(crate) trait Fields: Serialize + DeserializeOwned {
    /// The value of `type`.
    const KIND: &'static str;

    /// Checks the fields by the rules of the format, which are the same for every node and time.
    fn check(&self) -> Result<(), RecordError>;
}

/// A problem with a field of a record of type `kind`.
pub(crate) fn field<F: Fields>(name: &'static str) -> impl Fn(FieldProblem) -> RecordError {
    move |problem| RecordError::Field {
        kind: F::KIND,
        field: name,
        problem,
    }
}

/// Checked fields and the payload that says them. Cheap to clone.
///
/// Invariants: `fields` hold all rules of their type; `id` is the id of `payload`, which may say more
/// than `fields` (fields that this program does not know).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload<F> {
    fields: Arc<F>,
    bytes: Arc<[u8]>,
    id: RecordId,
}

impl<F: Fields> Payload<F> {
    /// A new payload that says `fields`.
    pub(crate) fn encode(fields: F) -> Result<Self, RecordError> {
        fields.check()?;
        let plain = cbor::to_vec(&fields).map_err(RecordError::Payload)?;
        let mut map: BTreeMap<String, Ipld> =
            cbor::from_slice_canonical(&plain).map_err(RecordError::Payload)?;
        map.insert("type".to_owned(), Ipld::String(F::KIND.to_owned()));
        map.insert("version".to_owned(), Ipld::Integer(VERSION.into()));
        let bytes = cbor::to_vec(&map).map_err(RecordError::Payload)?;
        Ok(Self {
            fields: Arc::new(fields),
            id: id_of(&bytes),
            bytes: bytes.into(),
        })
    }

    /// A received payload whose header says that it is of this type and version.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields: F = cbor::from_slice_canonical(bytes).map_err(RecordError::Payload)?;
        fields.check()?;
        Ok(Self {
            fields: Arc::new(fields),
            bytes: bytes.into(),
            id: id_of(bytes),
        })
    }

    pub(crate) fn fields(&self) -> &F {
        &self.fields
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn id(&self) -> RecordId {
        self.id
    }
}

/// The id of the record with this payload.
pub(crate) fn id_of(payload: &[u8]) -> RecordId {
    RecordId::from_hash(Hash::of(payload))
}

/// What every payload says first.
#[derive(Deserialize)]
pub(crate) struct Header {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) version: u64,
    /// Only statements have one.
    #[serde(default, deserialize_with = "present")]
    pub(crate) author: Option<IgnoredAny>,
}

/// An optional field that is there: never `null`, which would be a second way to leave it out.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// An optional list that is there: never empty, which would be a second way to leave it out.
pub(crate) fn filled<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(de::Error::custom("an empty list is left out"));
    }
    Ok(list)
}

/// Getters of a record type over its fields: by value (`copy`), optional text (`text`), or by reference.
macro_rules! getters {
    ($record:ident { $($(#[$doc:meta])* $name:ident: $kind:tt $type:ty,)* }) => {
        impl $record {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> $type {
                    getters!(@$kind self.fields(), $name)
                }
            )*
        }
    };
    (@copy $fields:expr, $name:ident) => { $fields.$name };
    (@text $fields:expr, $name:ident) => { $fields.$name.as_deref() };
    (@by $fields:expr, $name:ident) => { &$fields.$name };
}
pub(crate) use getters;
