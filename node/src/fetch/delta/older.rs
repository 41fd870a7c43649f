//! What lies on this node and may share chunks with a version: older versions of its dataset, and other datasets.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use opendag_protocol::{
    BlobId, DatasetPath, ManifestId,
    record::Manifest,
    table::{FileEntry, PageRef},
};

use super::maps::read_page;
use crate::{
    disk::{Confined, Found},
    fetch::plan::Plan,
    node::Shared,
    resolve::Version,
    store::{Place, Store, StoreError, Target},
};

/// Files that are remembered because they may be wanted ones under another path.
const OTHERS_MAX: usize = 65_536;
/// Entries of other datasets that are looked at.
const STRANGERS_LOOKED_MAX: usize = 131_072;

/// A file at a path that the new version does not have, or of another dataset.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) folder: Arc<Confined>,
    pub(super) path: DatasetPath,
    pub(super) size: u64,
    pub(super) kind: Kind,
    /// Its chunk map, if it has one of its own.
    pub(super) map: Option<BlobId>,
    pub(super) kin: Kin,
}

/// Where a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kin {
    /// Another version of the dataset, or one that it was made from.
    Older,
    /// Another dataset.
    Stranger,
}

/// Where files lie that may share chunks with a version.
#[derive(Debug)]
pub(super) struct Older {
    pub(super) store: Store,
    /// The target first, then those of the newest version first.
    folders: Vec<Arc<Confined>>,
    others: Vec<Other>,
    by_name: HashMap<String, Vec<usize>>,
    kinds: HashMap<Kind, Kin>,
    /// Kinds of wanted files and next to them: what else there is is not remembered.
    wanted: HashSet<Kind>,
}

impl Older {
    /// Looks which other versions lie on this node.
    pub(super) async fn find(
        shared: &Arc<Shared>,
        version: &Version,
        plan: &Plan,
    ) -> Result<Self, StoreError> {
        let mut older = Self {
            store: shared.store.clone(),
            folders: Vec::new(),
            others: Vec::new(),
            by_name: HashMap::new(),
            kinds: HashMap::new(),
            wanted: HashSet::new(),
        };
        for wanted in &plan.fetch {
            let kind = Kind::of(wanted.entry.path(), wanted.entry.size());
            older.wanted.extend(kind.near());
        }
        // Opened once more: the target may be given up before.
        let target = plan.used_target().map(Target::path);
        let target = target.and_then(|target| Confined::open(target).ok());
        older.folders.extend(target.map(Arc::new));
        let (related, strangers) = versions(shared, version)?;
        for (manifest, place) in related {
            let Some(folder) = shared.store.open_root(place.root_id()) else {
                continue;
            };
            let known = |known: &Arc<Confined>| known.path() == folder.path();
            if !older.folders.iter().any(known) {
                older.folders.push(folder.clone());
            }
            for page_ref in pages(shared, &manifest).await {
                for entry in entries(shared, &page_ref).await? {
                    if !plan.has(entry.path()) {
                        older.add(&folder, &entry, Kin::Older);
                    }
                }
            }
        }
        let mut looked = 0;
        for (manifest, place) in strangers {
            let Some(folder) = shared.store.open_root(place.root_id()) else {
                continue;
            };
            // What lies at the target is looked at by its path.
            if target_is(plan, &folder) {
                continue;
            }
            for page_ref in pages(shared, &manifest).await {
                if looked >= STRANGERS_LOOKED_MAX {
                    return Ok(older);
                }
                for entry in entries(shared, &page_ref).await? {
                    looked += 1;
                    older.add(&folder, &entry, Kin::Stranger);
                }
            }
        }
        Ok(older)
    }

    fn add(&mut self, folder: &Arc<Confined>, entry: &FileEntry, kin: Kin) {
        if entry.size() == 0 || self.others.len() >= OTHERS_MAX {
            return;
        }
        let kind = Kind::of(entry.path(), entry.size());
        if !self.wanted.contains(&kind) {
            return;
        }
        // Those of older versions come first.
        self.kinds.entry(kind.clone()).or_insert(kin);
        let name = entry.path().file_name().to_owned();
        self.by_name
            .entry(name)
            .or_default()
            .push(self.others.len());
        self.others.push(Other {
            folder: folder.clone(),
            path: entry.path().clone(),
            size: entry.size(),
            kind,
            map: entry.chunk_map(),
            kin,
        });
    }

    /// Is there nothing?
    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.others.is_empty()
    }

    /// Folders in which a file may lie at the same path.
    pub(super) fn folders(&self) -> &[Arc<Confined>] {
        &self.folders
    }

    /// Files at other paths, those of older versions first.
    pub(super) fn others(&self) -> &[Other] {
        &self.others
    }

    /// Those of about the same size that have the same name.
    pub(super) fn namesakes(&self, path: &DatasetPath, size: u64) -> impl Iterator<Item = usize> {
        let kind = Kind::of(path, size);
        let named = self.by_name.get(path.file_name());
        let named = named.into_iter().flatten().copied();
        let near = move |at: &usize| {
            let other = self.others.get(*at);
            other.is_some_and(|other| kind.near().any(|near| near == other.kind))
        };
        named.filter(near)
    }

    /// May something here share chunks with a file? Blocks.
    pub(super) fn may_have(&self, path: &DatasetPath, size: u64) -> Option<Kin> {
        let is_file = |folder: &Arc<Confined>| matches!(folder.find(path), Ok(Found::File { size }) if size > 0);
        if self.folders.iter().any(is_file) {
            return Some(Kin::Older);
        }
        let kind = Kind::of(path, size);
        let near: Vec<Kin> = kind
            .near()
            .filter_map(|near| self.kinds.get(&near).copied())
            .collect();
        let is_older = near.contains(&Kin::Older);
        near.first()
            .map(|_| if is_older { Kin::Older } else { Kin::Stranger })
    }
}

type Placed = Vec<(Manifest, Place)>;

/// Other versions on this node, newest first: those related to a version, and of each other dataset the newest.
fn versions(shared: &Shared, version: &Version) -> Result<(Placed, Placed), StoreError> {
    let mut all = Vec::new();
    for place in shared.store.places()? {
        let record = shared.store.manifest_of(&place.manifest)?;
        let manifest = record.as_ref().and_then(|record| record.as_manifest());
        if let Some(manifest) = manifest.filter(|_| place.manifest != version.id) {
            all.push((manifest.clone(), place));
        }
    }
    all.sort_by_key(|(manifest, _)| std::cmp::Reverse(manifest.fields().sequence));
    let related = |(manifest, place): &(Manifest, Place)| {
        is_related(version, place.manifest, manifest.fields().dataset)
    };
    let (related, mut strangers): (Placed, Placed) = all.into_iter().partition(related);
    let mut seen = HashSet::new();
    strangers.retain(|(manifest, _)| seen.insert(manifest.fields().dataset));
    Ok((related, strangers))
}

async fn pages(shared: &Shared, manifest: &Manifest) -> Vec<PageRef> {
    let index = shared.store.table(manifest).await;
    index.map_or_else(|_| Vec::new(), |index| index.pages().to_vec())
}

async fn entries(shared: &Shared, page: &PageRef) -> Result<Vec<FileEntry>, StoreError> {
    let page = read_page(shared, page).await?;
    Ok(page.map(|page| page.into_entries()).unwrap_or_default())
}

fn target_is(plan: &Plan, folder: &Confined) -> bool {
    let target = plan.target.as_ref();
    target.is_some_and(|target| target.path() == folder.path())
}

/// Another version of the same dataset, or one that this was made from.
fn is_related(version: &Version, other: ManifestId, dataset: opendag_protocol::DatasetId) -> bool {
    let fields = version.manifest().fields();
    let mut sources = fields.derived_from.iter();
    dataset == version.dataset() || sources.any(|source| source.manifest == other)
}

/// What a file looks like from outside: files of a kind, or of a size next to it, may be one file under two names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    ending: String,
    size_log2: u32,
}

impl Kind {
    pub(super) fn of(path: &DatasetPath, size: u64) -> Self {
        let ending = path.file_name().rsplit_once('.');
        Self {
            ending: ending.map_or("", |(_, ending)| ending).to_owned(),
            size_log2: size.checked_ilog2().unwrap_or(0),
        }
    }

    /// This kind and those of the sizes next to it.
    pub(super) fn near(&self) -> impl Iterator<Item = Self> + '_ {
        (self.size_log2.saturating_sub(1)..=self.size_log2.saturating_add(1)).map(|size_log2| {
            Self {
                ending: self.ending.clone(),
                size_log2,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kin_has_the_same_ending_and_about_the_same_size() {
        let kind = |path: &str, size| Kind::of(&DatasetPath::parse(path).unwrap(), size);
        let kin = |a: Kind, b: Kind| a.near().any(|near| near == b);
        assert!(kin(kind("a/x.csv", 100), kind("b/y.csv", 200)));
        assert!(kin(kind("README", 100), kind("LICENSE", 51)));
        assert!(kin(kind("a.x", 0), kind("b.x", 1)));
        assert!(!kin(kind("a/x.csv", 100), kind("b/y.csv", 400)));
        assert!(!kin(kind("a/x.csv", 100), kind("a/x.csv.gz", 100)));
        assert!(!kin(kind("a.csv/x", 100), kind("b/y.csv", 100)));
    }
}
