//! What several tests of the store share.

use std::{
    fs,
    path::{Path, PathBuf},
};

use opendag_protocol::{
    BlobId, DatasetId, DatasetPath, Hash, ManifestId, Timestamp,
    key::SecretKey,
    record::{
        Dataset, DatasetFields, Derivation, Head, HeadFields, Manifest, ManifestFields, Record,
        SignedRecord,
    },
    table::{FileEntry, FileFields, TableTotals, TableWriter},
    wire::GroupRange,
};
use tempfile::TempDir;

use super::{
    DataDir, Digests, Expect, Outboards, Piece, PieceDecoder, Place, PlaceKind, Store, bao,
};
use crate::disk::{self, temp_name};

const GROUP: usize = 16 * 1024;
const MIB: usize = 1024 * 1024;

/// What a test does to a file.
pub(crate) type Damage = fn(&Path);

/// Sizes at which something changes, each with its reason.
pub(crate) const SIZES: &[(usize, &str)] = &[
    (0, "no chunk group at all"),
    (1, "the smallest chunk"),
    (1024, "one whole chunk"),
    (1025, "a second chunk in the group"),
    (GROUP - 1, "one chunk group, not full"),
    (GROUP, "one full chunk group: the root is a leaf"),
    (GROUP + 1, "the first hash pair"),
    (2 * GROUP + 1, "an odd number of groups: an unbalanced tree"),
    (MIB - 1, "the largest read whole, not full"),
    (MIB, "the largest without an outboard"),
    (MIB + 1, "the smallest with an outboard"),
    (5 * MIB + 12_345, "several pieces, unbalanced"),
    (
        8 * MIB + 1,
        "more than one outboard window, one byte in the last group",
    ),
];

/// Bytes that differ from group to group, the same for the same length and seed.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A verified part of a blob, as a peer gives it.
pub(crate) fn piece(blob: &[u8], groups: GroupRange) -> Piece {
    let (hash, size) = (Hash::of(blob), bao::len64(blob.len()));
    let encoded = bao::encode_memory(blob, hash, groups).unwrap();
    let mut decoder = PieceDecoder::new(hash, Expect::Size(size), groups);
    decoder.push(&encoded).unwrap();
    decoder.into_piece()
}

pub(crate) fn path(text: &str) -> DatasetPath {
    DatasetPath::parse(text).unwrap()
}

pub(crate) fn outboards(dir: &TempDir) -> Outboards {
    Outboards::open(&dir.path().join("outboards")).unwrap()
}

/// Flips one bit of a file without changing its fingerprint.
pub(crate) fn flip_bit(path: &Path, offset: usize) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut content = fs::read(path).unwrap();
    content[offset] ^= 0x40;
    let file = fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &content, 0).unwrap();
    file.set_modified(modified).unwrap();
}

/// A data directory with an open store, and folders beside it.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
}

impl Home {
    pub(crate) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = open(&dir.path().join("data")).await;
        Self { dir, store }
    }

    /// One whose records may take so many bytes.
    pub(crate) async fn within(limit: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let data_dir = DataDir::open(&dir.path().join("data")).unwrap();
        let store = Store::open_within(&data_dir, limit).await.unwrap();
        Self { dir, store }
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a new process finds after this one was killed now: a copy of the data directory as it is on disk.
    pub(crate) async fn killed(&self) -> Store {
        let copy = self.folder(&format!("killed-{}", temp_name()));
        copy_folder(&self.folder("data"), &copy);
        open(&copy).await
    }

    /// Closes the store, lets `damage` change its files, and opens it again.
    pub(crate) async fn reopened(self, damage: impl FnOnce(&Path)) -> Self {
        let Self { dir, store } = self;
        store.shutdown().await.unwrap();
        drop(store);
        damage(&dir.path().join("data"));
        let store = open(&dir.path().join("data")).await;
        Self { dir, store }
    }

    /// Publishes files as the next version of a dataset, as the publisher does it.
    pub(crate) async fn publish(&self, dataset: &str, files: &[(&str, Vec<u8>)]) -> Published {
        let root = self.folder(dataset);
        for (name, content) in files {
            let file = root.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
        }
        let store = self.store.clone();
        let names: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        let (entries, folder) = blocking(move || hash_all(&store, &root, names)).await;
        self.describe(dataset, entries, folder).await
    }

    async fn describe(&self, dataset: &str, entries: Vec<FileEntry>, root: PathBuf) -> Published {
        let mut writer = TableWriter::new();
        let mut blobs = Vec::new();
        for entry in entries {
            blobs.extend(writer.push(entry).unwrap().map(|page| page.bytes));
        }
        let (page, index, totals) = writer.finish().unwrap();
        blobs.extend(page.map(|page| page.bytes));
        blobs.push(index.bytes);
        self.store.put_blobs(blobs).await.unwrap();
        let store = self.store.clone();
        let dataset = dataset.to_owned();
        blocking(move || sign_all(&store, &dataset, (index.id, totals), root)).await
    }
}

/// What [`Home::publish`] made.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) dataset: DatasetId,
    pub(crate) manifest: ManifestId,
    pub(crate) head: SignedRecord,
    pub(crate) place: Place,
}

pub(crate) async fn open(path: &Path) -> Store {
    Store::open(&DataDir::open(path).unwrap()).await.unwrap()
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            disk::create_private_folder(&target).unwrap();
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32])
}

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn hash_all(store: &Store, root: &Path, mut names: Vec<String>) -> (Vec<FileEntry>, PathBuf) {
    names.sort();
    let root_id = store.use_root(root).unwrap();
    let mut entries = Vec::new();
    let mut rows = Vec::new();
    for name in names {
        let file = root.join(&name);
        let hashed = store
            .outboards()
            .hash_file(
                &fs::File::open(&file).unwrap(),
                &file,
                Digests::Both,
                &mut |_| {},
            )
            .unwrap();
        let mut fields = FileFields::new(path(&name), hashed.size, hashed.hash);
        fields.sha256 = hashed.sha256;
        entries.push(FileEntry::new(fields).unwrap());
        rows.push((hashed.hash, path(&name), hashed.fingerprint));
    }
    store.outboards().sync().unwrap();
    store.shards_put(root_id, rows).unwrap();
    (entries, root.to_owned())
}

fn sign_all(
    store: &Store,
    name: &str,
    (table, totals): (BlobId, TableTotals),
    root: PathBuf,
) -> Published {
    let known = store.by_name(name).unwrap().first().copied();
    let state = known.and_then(|id| store.dataset(&id).unwrap());
    let owners = match &state {
        Some(state) => state.owners().current().clone(),
        None => Dataset::new(DatasetFields {
            name: name.to_owned(),
            owners: vec![key().public()],
            threshold: 1,
            sequence: 0,
            dataset: None,
            previous: None,
        })
        .unwrap(),
    };
    let sign = |record: Record| SignedRecord::sign(&record, &[&key()]).unwrap();
    let parent = state.and_then(|state| state.newest().cloned());
    let sequence = parent.as_ref().map_or(0, |head| head.sequence() + 1);
    let dataset = owners.dataset_id();
    let manifest = Manifest::new(ManifestFields {
        dataset,
        owner_record: owners.id(),
        sequence,
        parent: parent.map(|head| head.manifest()),
        created_at: NOW,
        label: None,
        title: None,
        description: None,
        license: None,
        languages: Vec::new(),
        tags: Vec::new(),
        homepage: None,
        table,
        files: totals.files,
        bytes: totals.bytes,
        card: None,
        croissant: None,
        derived_from: Vec::new(),
        mirrors: Vec::new(),
    })
    .unwrap();
    let head = Head::new(HeadFields {
        dataset,
        owner_record: owners.id(),
        sequence,
        manifest: manifest.id(),
        issued_at: NOW,
        expires_at: NOW.saturating_add(std::time::Duration::from_secs(1000)),
    })
    .unwrap();
    let id = manifest.id();
    let head = sign(Record::Head(head));
    for record in [
        sign(Record::Dataset(owners)),
        sign(Record::Manifest(manifest)),
        head.clone(),
    ] {
        store.apply(&record, NOW).unwrap();
    }
    let place = Place {
        manifest: id,
        root,
        kind: PlaceKind::Published,
        pinned: true,
        include: Vec::new(),
        exclude: vec!["*.tmp".to_owned()],
    };
    store.place(&place).unwrap();
    Published {
        dataset,
        manifest: id,
        head,
        place,
    }
}

/// What strangers tell of a dataset of theirs: the owner record, a version, and a head `later` seconds after [`NOW`].
pub(crate) struct Heard {
    pub(crate) dataset: DatasetId,
    pub(crate) owners: SignedRecord,
    pub(crate) manifest: SignedRecord,
    pub(crate) head: SignedRecord,
}

impl Heard {
    /// What all of them are made from; nobody has it.
    pub(crate) fn source() -> ManifestId {
        ManifestId::from_hash(opendag_protocol::Hash::of(b"source"))
    }

    pub(crate) fn new(number: u32, later: u64) -> Self {
        let secret =
            SecretKey::from_bytes(opendag_protocol::Hash::of(&number.to_le_bytes()).as_bytes());
        let sign = |record: Record| SignedRecord::sign(&record, &[&secret]).unwrap();
        let owners = Dataset::new(DatasetFields {
            name: format!("heard-{number}"),
            owners: vec![secret.public()],
            threshold: 1,
            sequence: 0,
            dataset: None,
            previous: None,
        })
        .unwrap();
        let manifest = Manifest::new(ManifestFields {
            dataset: owners.dataset_id(),
            owner_record: owners.id(),
            sequence: 0,
            parent: None,
            created_at: NOW,
            label: None,
            title: None,
            description: Some("What it is about. ".repeat(40).trim().to_owned()),
            license: None,
            languages: Vec::new(),
            tags: Vec::new(),
            homepage: None,
            table: BlobId::from_hash(opendag_protocol::Hash::of(b"table")),
            files: 1,
            bytes: 1,
            card: None,
            croissant: None,
            derived_from: vec![Derivation {
                manifest: Self::source(),
                how: None,
            }],
            mirrors: Vec::new(),
        })
        .unwrap();
        let head = Head::new(HeadFields {
            dataset: owners.dataset_id(),
            owner_record: owners.id(),
            sequence: 0,
            manifest: manifest.id(),
            issued_at: NOW.saturating_add(std::time::Duration::from_secs(later)),
            expires_at: NOW.saturating_add(std::time::Duration::from_secs(later + 100_000)),
        })
        .unwrap();
        Self {
            dataset: owners.dataset_id(),
            owners: sign(Record::Dataset(owners)),
            manifest: sign(Record::Manifest(manifest)),
            head: sign(Record::Head(head)),
        }
    }

    pub(crate) fn records(&self) -> [SignedRecord; 3] {
        [
            self.owners.clone(),
            self.manifest.clone(),
            self.head.clone(),
        ]
    }

    /// Takes it in.
    pub(crate) fn tell(&self, store: &Store) {
        for applied in store.apply_all(&self.records(), NOW).unwrap() {
            applied.unwrap();
        }
    }

    /// Is all of it here, and whole?
    pub(crate) fn is_known(&self, store: &Store) -> bool {
        let state = store.dataset(&self.dataset).unwrap();
        let newest = state.as_ref().and_then(|state| state.newest_record());
        newest.is_some_and(|newest| *newest == self.head)
            && self
                .records()
                .iter()
                .all(|record| store.record(&record.id()).unwrap().as_ref() == Some(record))
    }
}
