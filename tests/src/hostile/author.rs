//! Datasets made by hand.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use opendag_protocol::{
    BlobId, DatasetId, DatasetPath, Hash, ManifestId, Timestamp,
    chunkmap::{ChunkMap, ChunkMapBuilder, Cut},
    key::SecretKey,
    limits::PACKED_FILE_BYTES_MAX,
    record::{
        Dataset, DatasetFields, Head, HeadFields, Manifest, ManifestFields, Record, SignedRecord,
    },
    table::{EncodedBlob, EncodedPage, FileEntry, FileFields, TableTotals, TableWriter},
};
use sha2::{Digest, Sha256};

/// A publisher that may do what it wants.
pub struct Author {
    key: SecretKey,
    first: SignedRecord,
    /// The wall clock as it writes it into records.
    pub now: Timestamp,
}

/// A signed version with all its bytes.
#[derive(Clone)]
pub struct Version {
    /// Its dataset.
    pub dataset: DatasetId,
    /// Its manifest.
    pub manifest: ManifestId,
    /// Its sequence.
    pub sequence: u64,
    /// The records that a node answers with when it is asked for the dataset, in order.
    pub records: Vec<Vec<u8>>,
    /// Table index and pages.
    pub descriptions: BTreeMap<Hash, Vec<u8>>,
    /// Files.
    pub shards: BTreeMap<Hash, Vec<u8>>,
}

/// Files of a version by path.
pub type Files = BTreeMap<String, Vec<u8>>;

impl Author {
    /// The owner of a dataset of this name, with a key that follows from `seed`.
    pub fn new(seed: u8, name: &str) -> Result<Self> {
        let key = SecretKey::generate([seed; 32]);
        let fields = DatasetFields {
            name: name.to_owned(),
            owners: vec![key.public()],
            threshold: 1,
            sequence: 0,
            dataset: None,
            previous: None,
        };
        let first = SignedRecord::sign(&Record::Dataset(Dataset::new(fields)?), &[&key])?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        Ok(Self {
            key,
            first,
            now: Timestamp::from_secs(now.as_secs()),
        })
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Its dataset.
    #[must_use]
    pub fn dataset(&self) -> DatasetId {
        DatasetId::from(self.first.id())
    }

    /// A version of these files.
    pub fn version(
        &self,
        sequence: u64,
        parent: Option<ManifestId>,
        files: &Files,
    ) -> Result<Version> {
        self.disguised(sequence, parent, files, &[])
    }

    /// A version with chunk maps. They describe `described`, which has the lengths of `files`; if it has other bytes,
    /// the maps lie.
    pub fn mapped(
        &self,
        sequence: u64,
        parent: Option<ManifestId>,
        files: &Files,
        described: &Files,
    ) -> Result<Version> {
        let table = write_table(files, Some(described))?;
        self.tabled(sequence, parent, table, &[])
    }

    /// A version in whose table each `(placeholder, text)` of the same length was exchanged after all
    /// checks: this is how a path gets there that no honest program would write.
    pub fn disguised(
        &self,
        sequence: u64,
        parent: Option<ManifestId>,
        files: &Files,
        disguises: &[(&str, &str)],
    ) -> Result<Version> {
        let table = write_table(files, None)?;
        self.tabled(sequence, parent, table, disguises)
    }

    /// A version that says of itself that it has so many files and bytes.
    pub fn claiming(&self, files: &Files, claimed: TableTotals) -> Result<Version> {
        let mut table = write_table(files, None)?;
        table.totals = claimed;
        self.tabled(0, None, table, &[])
    }

    /// A version of one file that is said to have so many bytes. Its table is right otherwise.
    pub fn huge(&self, path: &str, size: u64) -> Result<Version> {
        let mut writer = TableWriter::new();
        let fields = FileFields::new(DatasetPath::parse(path)?, size, Hash::of(b"nobody has it"));
        let first = writer.push(FileEntry::new(fields)?)?;
        let (last, index, totals) = writer.finish()?;
        let table = Table {
            index,
            pages: first.into_iter().chain(last).collect(),
            maps: Vec::new(),
            totals,
            shards: BTreeMap::new(),
        };
        self.tabled(0, None, table, &[])
    }

    fn tabled(
        &self,
        sequence: u64,
        parent: Option<ManifestId>,
        table: Table,
        disguises: &[(&str, &str)],
    ) -> Result<Version> {
        let Table {
            index,
            pages,
            maps,
            totals,
            shards,
        } = table;
        let descriptions = disguise(index, pages, disguises)?;
        let (table, _) = descriptions.first().context("a table has an index")?;
        let fields = ManifestFields {
            dataset: self.dataset(),
            owner_record: self.first.id(),
            sequence,
            parent,
            created_at: self.now,
            label: None,
            title: None,
            description: None,
            license: None,
            languages: Vec::new(),
            tags: Vec::new(),
            homepage: None,
            table: BlobId::from_hash(*table),
            files: totals.files,
            bytes: totals.bytes,
            card: None,
            croissant: None,
            derived_from: Vec::new(),
            mirrors: Vec::new(),
        };
        let descriptions = descriptions.into_iter().chain(maps).collect();
        self.sign_version(fields, descriptions, shards)
    }

    fn sign_version(
        &self,
        fields: ManifestFields,
        descriptions: BTreeMap<Hash, Vec<u8>>,
        shards: BTreeMap<Hash, Vec<u8>>,
    ) -> Result<Version> {
        let sequence = fields.sequence;
        let manifest = SignedRecord::sign(&Record::Manifest(Manifest::new(fields)?), &[&self.key])?;
        let id = ManifestId::from(manifest.id());
        let head = self.head(sequence, id, self.now)?;
        Ok(Version {
            dataset: self.dataset(),
            manifest: id,
            sequence,
            records: vec![self.first.bytes().to_vec(), head, manifest.bytes().to_vec()],
            descriptions,
            shards,
        })
    }

    /// A signed head.
    pub fn head(
        &self,
        sequence: u64,
        manifest: ManifestId,
        issued_at: Timestamp,
    ) -> Result<Vec<u8>> {
        self.head_signed_by(&self.key, sequence, manifest, issued_at)
    }

    /// A head of this author's dataset that somebody else signed.
    pub fn head_signed_by(
        &self,
        key: &SecretKey,
        sequence: u64,
        manifest: ManifestId,
        issued_at: Timestamp,
    ) -> Result<Vec<u8>> {
        let fields = HeadFields {
            dataset: self.dataset(),
            owner_record: self.first.id(),
            sequence,
            manifest,
            issued_at,
            expires_at: issued_at.saturating_add(std::time::Duration::from_secs(86_400)),
        };
        let head = SignedRecord::sign(&Record::Head(Head::new(fields)?), &[key])?;
        Ok(head.bytes().to_vec())
    }
}

impl Version {
    /// The same version with another head.
    #[must_use]
    pub fn with_head(mut self, head: Vec<u8>) -> Self {
        if let Some(place) = self.records.get_mut(1) {
            *place = head;
        }
        self
    }

    /// The same with the manifest of another version and its bytes, but without its head.
    #[must_use]
    pub fn and_manifest(mut self, other: &Self) -> Self {
        self.records.extend(other.records.last().cloned());
        self.descriptions.extend(other.descriptions.clone());
        self.shards.extend(other.shards.clone());
        self
    }

    /// The records of both, as a node that saw both answers.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.records.extend(other.records.iter().skip(1).cloned());
        self.descriptions.extend(other.descriptions.clone());
        self.shards.extend(other.shards.clone());
        self
    }
}

/// A table before its disguise.
struct Table {
    index: EncodedBlob,
    pages: Vec<EncodedPage>,
    /// Blobs of chunk maps.
    maps: Vec<(Hash, Vec<u8>)>,
    totals: TableTotals,
    shards: BTreeMap<Hash, Vec<u8>>,
}

/// The table of files, with chunk maps of what `described` says of them.
fn write_table(files: &Files, described: Option<&Files>) -> Result<Table> {
    let mut writer = TableWriter::new();
    let (mut pages, mut maps) = (Vec::new(), Vec::new());
    let mut shards = BTreeMap::new();
    for (path, bytes) in files {
        let hash = Hash::of(bytes);
        let size = u64::try_from(bytes.len())?;
        let mut fields = FileFields::new(DatasetPath::parse(path)?, size, hash);
        fields.sha256 = Some(Sha256::digest(bytes).into());
        let map = match described {
            Some(described) => Some(chunk_map(&described[path])?),
            None => None,
        };
        let page = match map.filter(ChunkMap::is_useful) {
            Some(map) if size > PACKED_FILE_BYTES_MAX => {
                let blob = map.encode()?;
                fields.chunk_map = Some(blob.id);
                maps.push((blob.id.hash(), blob.bytes));
                writer.push(FileEntry::new(fields)?)?
            }
            Some(map) => writer.push_with_map(FileEntry::new(fields)?, map)?,
            None => writer.push(FileEntry::new(fields)?)?,
        };
        pages.extend(page);
        shards.insert(hash, bytes.clone());
    }
    let (last, index, totals) = writer.finish()?;
    pages.extend(last);
    let packs = pages.iter().filter_map(|page| page.maps.as_ref());
    maps.extend(packs.map(|pack| (pack.id.hash(), pack.bytes.clone())));
    Ok(Table {
        index,
        pages,
        maps,
        totals,
        shards,
    })
}

fn chunk_map(bytes: &[u8]) -> Result<ChunkMap> {
    let mut builder = ChunkMapBuilder::new(Cut::for_size(u64::try_from(bytes.len())?));
    builder.push(bytes);
    builder.finish().context("a file that has a chunk map")
}

/// The blobs of a table after the exchange, the index first.
fn disguise(
    index: EncodedBlob,
    pages: Vec<EncodedPage>,
    disguises: &[(&str, &str)],
) -> Result<Vec<(Hash, Vec<u8>)>> {
    let mut index = index.bytes;
    let mut blobs = Vec::new();
    for (from, to) in disguises {
        ensure!(
            from.len() == to.len(),
            "{from:?} and {to:?} differ in length"
        );
        replace(&mut index, from.as_bytes(), to.as_bytes());
    }
    for page in pages {
        let mut bytes = page.bytes;
        for (from, to) in disguises {
            replace(&mut bytes, from.as_bytes(), to.as_bytes());
        }
        let hash = Hash::of(&bytes);
        replace(&mut index, page.id.hash().as_bytes(), hash.as_bytes());
        blobs.push((hash, bytes));
    }
    blobs.insert(0, (Hash::of(&index), index));
    Ok(blobs)
}

/// Replaces all occurrences of `from` by `to`, which is as long.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for start in 0..bytes.len() {
        if let Some(part) = bytes
            .get_mut(start..start + from.len())
            .filter(|part| *part == from)
        {
            part.copy_from_slice(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use opendag_protocol::table::TableIndex;

    use super::*;

    fn files() -> Files {
        [("aa/x", "1"), ("ok.txt", "2")]
            .map(|(path, text)| (path.to_owned(), text.into()))
            .into()
    }

    #[test]
    fn an_undisguised_version_is_valid_and_a_disguised_one_is_not() -> Result<()> {
        let author = Author::new(1, "handmade")?;
        let readable = |version: &Version| -> Result<bool> {
            let manifest = SignedRecord::decode(&version.records[2])?;
            let manifest = manifest.as_manifest().context("a manifest")?;
            let index = &version.descriptions[&manifest.table().hash()];
            let totals = opendag_protocol::table::TableTotals { files: 2, bytes: 2 };
            Ok(TableIndex::decode(index, totals).is_ok())
        };
        assert!(readable(&author.version(0, None, &files())?)?);
        assert!(!readable(&author.disguised(
            0,
            None,
            &files(),
            &[("aa/x", "../x")]
        )?)?);
        Ok(())
    }
}
