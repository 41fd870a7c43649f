//! Places: where versions lie on this machine, and why they are kept.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use opendag_protocol::{DatasetPath, Hash, ManifestId, cbor};
use serde::{Deserialize, Serialize};

use crate::disk::Fingerprint;

/// Names a folder in which shards lie: a hash of its absolute path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub(crate) [u8; 8]);

impl RootId {
    /// The id of a folder. The same path always has the same id.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let hash = Hash::of(path.as_os_str().as_bytes());
        let mut id = [0; 8];
        for (to, from) in id.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        Self(id)
    }
}

/// How a version came to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceKind {
    /// The user's own files, referred to where they are.
    Published,
    /// A copy in the data directory, made while publishing.
    Copied,
    /// Fetched to where the user wanted it.
    Fetched,
    /// Fetched into the data directory.
    Mirrored,
}

impl PlaceKind {
    /// Its name: `published`, `copied`, `fetched`, `mirrored`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Copied => "copied",
            Self::Fetched => "fetched",
            Self::Mirrored => "mirrored",
        }
    }

    /// Are the files ours to remove?
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Copied | Self::Mirrored)
    }
}

/// Where a version lies. There is one for each pair of version and folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The version.
    pub manifest: ManifestId,
    /// The folder, an absolute path.
    pub root: PathBuf,
    /// How it came there.
    pub kind: PlaceKind,
    /// Is it kept on purpose?
    pub pinned: bool,
    /// Globs of the paths that were wanted; none: all.
    pub include: Vec<String>,
    /// Globs of paths that were not.
    pub exclude: Vec<String>,
}

/// A place as the journal holds it: paths need not be text.
#[derive(Serialize, Deserialize)]
struct Form {
    manifest: ManifestId,
    #[serde(with = "serde_bytes")]
    root: Vec<u8>,
    kind: PlaceKind,
    pinned: bool,
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Place {
    /// The id of its folder.
    #[must_use]
    pub fn root_id(&self) -> RootId {
        RootId::of(&self.root)
    }

    pub(crate) fn key(&self) -> Vec<u8> {
        place_key(&self.manifest, &self.root)
    }

    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let form = Form {
            manifest: self.manifest,
            root: self.root.as_os_str().as_bytes().to_vec(),
            kind: self.kind,
            pinned: self.pinned,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
        };
        cbor::to_vec(&form).ok()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let form: Form = cbor::from_slice_canonical(bytes).ok()?;
        Some(Self {
            manifest: form.manifest,
            root: PathBuf::from(OsString::from_vec(form.root)),
            kind: form.kind,
            pinned: form.pinned,
            include: form.include,
            exclude: form.exclude,
        })
    }
}

/// Key of a place in the index, and what the journal says when it is removed.
pub(crate) fn place_key(manifest: &ManifestId, root: &Path) -> Vec<u8> {
    let mut key = manifest.hash().as_bytes().to_vec();
    key.extend_from_slice(&RootId::of(root).0);
    key
}

/// A file that is a shard, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardLocation {
    /// The folder.
    pub root: RootId,
    /// Where in it.
    pub path: DatasetPath,
    /// How the file looked when it was hashed.
    pub fingerprint: Fingerprint,
    /// It is known not to be the shard any more; it is neither served nor announced.
    pub stale: bool,
}

/// Bytes of a hash that stand in a key: enough to tell shards apart, and reads are verified.
const KEY_HASH_BYTES: usize = 16;
/// Bytes of a key: of the hash, the root id, and the hash of the path.
pub(crate) const KEY_BYTES: usize = KEY_HASH_BYTES + 8 + 4;

/// Names a location of a shard.
pub(crate) type Key = [u8; KEY_BYTES];

/// How the keys of all locations of a shard begin.
pub(crate) fn shard_prefix(hash: Hash) -> Vec<u8> {
    hash.as_bytes()
        .iter()
        .take(KEY_HASH_BYTES)
        .copied()
        .collect()
}

impl ShardLocation {
    pub(crate) fn key(&self, hash: Hash) -> Key {
        let path = Hash::of(self.path.as_str().as_bytes());
        let parts = hash.as_bytes().iter().take(KEY_HASH_BYTES);
        let parts = parts.chain(&self.root.0).chain(path.as_bytes());
        let mut key = Key::default();
        for (to, from) in key.iter_mut().zip(parts) {
            *to = *from;
        }
        key
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = vec![u8::from(self.stale)];
        value.extend_from_slice(&self.fingerprint.mtime_ns.to_le_bytes());
        put_varint(&mut value, self.fingerprint.size);
        put_varint(&mut value, self.fingerprint.inode);
        value.extend_from_slice(self.path.as_str().as_bytes());
        value
    }

    /// Is it not known to be stale? Cheaper than to decode it.
    pub(crate) fn is_fresh(value: &[u8]) -> bool {
        value.first() == Some(&0)
    }

    /// Inode and size of the file, of what [`ShardLocation::encode`] made. Cheaper than to decode it.
    pub(crate) fn file_of(value: &[u8]) -> Option<(u64, u64)> {
        let (_, rest) = value.split_at_checked(1 + 8)?;
        let (size, rest) = take_varint(rest)?;
        let (inode, _) = take_varint(rest)?;
        Some((inode, size))
    }

    pub(crate) fn decode(key: &Key, value: &[u8]) -> Option<Self> {
        let root = root_of_key(key)?;
        let (stale, rest) = value.split_first()?;
        let (mtime_ns, rest) = rest.split_first_chunk::<8>()?;
        let (size, rest) = take_varint(rest)?;
        let (inode, rest) = take_varint(rest)?;
        Some(Self {
            root,
            path: DatasetPath::parse(std::str::from_utf8(rest).ok()?).ok()?,
            fingerprint: Fingerprint {
                size,
                mtime_ns: i64::from_le_bytes(*mtime_ns),
                inode,
            },
            stale: *stale != 0,
        })
    }
}

/// How the keys of all locations of the shard begin.
pub(crate) fn shard_of_key(key: &Key) -> &[u8] {
    key.get(..KEY_HASH_BYTES).unwrap_or_default()
}

pub(crate) fn root_of_key(key: &Key) -> Option<RootId> {
    let (_, root) = key.split_first_chunk::<KEY_HASH_BYTES>()?;
    Some(RootId(*root.first_chunk()?))
}

/// LEB128.
pub(crate) fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            to.push(low & 0x7f);
            return;
        }
        to.push(low | 0x80);
    }
}

pub(crate) fn take_varint(from: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in from.iter().take(10).enumerate() {
        let shift = u32::try_from(at).ok()?.checked_mul(7)?;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((number, from.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests;
