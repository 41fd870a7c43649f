//! The entry of one file.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    id::{BlobId, Hash},
    limits::{ENTRY_LICENSE_BYTES_MAX, MEDIA_TYPE_BYTES_MAX},
    path::DatasetPath,
};

/// What an entry says, before it is checked. On the wire a map; a field that is `None` is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFields {
    /// Where the file lies in the dataset.
    pub path: DatasetPath,
    /// Its bytes.
    pub size: u64,
    /// BLAKE3 of its content. On the wire `blake3`.
    #[serde(rename = "blake3")]
    pub hash: Hash,
    /// SHA-256 of its content, for clients that want it. Not verified by a fetch.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "sha256")]
    pub sha256: Option<[u8; 32]>,
    /// Media type, such as `text/csv`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub media_type: Option<String>,
    /// Records in it, where the publisher counted them.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub records: Option<u64>,
    /// SPDX expression, where it differs from the version's.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub license: Option<String>,
    /// A chunk map of the content ([`crate::chunkmap`]).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub chunk_map: Option<BlobId>,
}

impl FileFields {
    /// The fields of a file of which no more is known.
    #[must_use]
    pub const fn new(path: DatasetPath, size: u64, hash: Hash) -> Self {
        Self {
            path,
            size,
            hash,
            sha256: None,
            media_type: None,
            records: None,
            license: None,
            chunk_map: None,
        }
    }
}

/// A field that is there has a value: `null` is another way to leave it out, and refused.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// SHA-256 as a byte string.
mod sha256 {
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        hash: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(hash, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        serde_bytes::deserialize(deserializer).map(Some)
    }
}

/// One file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FileFields", into = "FileFields")]
pub struct FileEntry(FileFields);

/// Why fields are not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It says that it is empty, but has the hash of something else, or the reverse.
    #[error("\"{path}\": the size and the hash contradict each other about being empty")]
    Empty {
        /// The file.
        path: DatasetPath,
    },
    /// Its media type is too long, or not of the form `type/subtype`.
    #[error("\"{path}\": the media type is not of the form type/subtype")]
    MediaType {
        /// The file.
        path: DatasetPath,
    },
    /// Its licence is empty, too long, or has other characters than printable ASCII.
    #[error("\"{path}\": the licence is not a short line of ASCII")]
    License {
        /// The file.
        path: DatasetPath,
    },
}

impl FileEntry {
    /// The same without what only describes: SHA-256, media type, record count and licence. For who keeps many.
    #[must_use]
    pub fn without_remarks(&self) -> Self {
        let fields = &self.0;
        Self(FileFields {
            chunk_map: fields.chunk_map,
            ..FileFields::new(fields.path.clone(), fields.size, fields.hash)
        })
    }

    /// Accepts `fields` as an entry.
    ///
    /// The licence is not compared with the list of SPDX: that grows, and tables must stay readable.
    ///
    /// # Errors
    /// If a text is not of its form, or the size is 0 for other than the hash of nothing.
    pub fn new(fields: FileFields) -> Result<Self, EntryError> {
        let path = || fields.path.clone();
        if (fields.size == 0) != (fields.hash == Hash::of(b"")) {
            return Err(EntryError::Empty { path: path() });
        }
        if !fields.media_type.as_deref().is_none_or(is_media_type) {
            return Err(EntryError::MediaType { path: path() });
        }
        if !fields.license.as_deref().is_none_or(is_license) {
            return Err(EntryError::License { path: path() });
        }
        Ok(Self(fields))
    }

    /// All of it.
    #[must_use]
    pub const fn fields(&self) -> &FileFields {
        &self.0
    }

    /// Where the file lies in the dataset.
    #[must_use]
    pub const fn path(&self) -> &DatasetPath {
        &self.0.path
    }

    /// Its bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.0.size
    }

    /// BLAKE3 of its content.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.0.hash
    }

    /// SHA-256 of its content, as the publisher says.
    #[must_use]
    pub const fn sha256(&self) -> Option<[u8; 32]> {
        self.0.sha256
    }

    /// Media type.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.0.media_type.as_deref()
    }

    /// Records in it.
    #[must_use]
    pub const fn records(&self) -> Option<u64> {
        self.0.records
    }

    /// SPDX expression, where it differs from the version's.
    #[must_use]
    pub fn license(&self) -> Option<&str> {
        self.0.license.as_deref()
    }

    /// Its chunk map.
    #[must_use]
    pub const fn chunk_map(&self) -> Option<BlobId> {
        self.0.chunk_map
    }
}

impl TryFrom<FileFields> for FileEntry {
    type Error = EntryError;

    fn try_from(fields: FileFields) -> Result<Self, EntryError> {
        Self::new(fields)
    }
}

impl From<FileEntry> for FileFields {
    fn from(entry: FileEntry) -> Self {
        entry.0
    }
}

/// `type/subtype` of RFC 6838, section 4.2; parameters are not part of it.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=127).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    text.len() <= MEDIA_TYPE_BYTES_MAX
        && text
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

fn is_license(text: &str) -> bool {
    (1..=ENTRY_LICENSE_BYTES_MAX).contains(&text.len())
        && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}
