//! Older versions on this node: the folders in which their files lie.

use std::{collections::HashSet, sync::Arc};

use opendag_protocol::{DatasetPath, ManifestId, table::Page};

use crate::{
    disk::{Confined, Found},
    node::Shared,
    resolve::Version,
    store::{StoreError, Target},
};

/// Files of older versions that are remembered because their paths are not in the new one.
const OTHERS_MAX: usize = 65_536;

/// A file of an older version at a path that the new one does not have.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) folder: Arc<Confined>,
    pub(super) path: DatasetPath,
    pub(super) size: u64,
    pub(super) kind: Kind,
}

/// Where files lie that may share chunks with a version.
#[derive(Debug, Default)]
pub(super) struct Older {
    /// The target first, then those of the newest version first.
    folders: Vec<Arc<Confined>>,
    others: Vec<Other>,
    kinds: HashSet<Kind>,
}

impl Older {
    /// Looks which other versions of the same dataset, or versions that it was made from, lie on this node.
    /// `paths` are those of the new version.
    pub(super) async fn find(
        shared: &Arc<Shared>,
        version: &Version,
        target: Option<&Target>,
        paths: &HashSet<String>,
    ) -> Result<Self, StoreError> {
        let mut older = Self::default();
        // An empty target has nothing, and looking there for each file of a first fetch would cost three calls each.
        let target = target.filter(|target| !target.is_fresh().unwrap_or(false));
        // Opened once more: the target may be given up before.
        let target = target.and_then(|target| Confined::open(target.path()).ok());
        older.folders.extend(target.map(Arc::new));
        let mut versions = Vec::new();
        for place in shared.store.places()? {
            let record = shared.store.manifest_of(&place.manifest)?;
            if let Some(manifest) = record.as_ref().and_then(|record| record.as_manifest())
                && place.manifest != version.id
                && is_related(version, place.manifest, manifest.fields().dataset)
            {
                versions.push((manifest.fields().sequence, manifest.clone(), place));
            }
        }
        versions.sort_by_key(|(sequence, ..)| std::cmp::Reverse(*sequence));
        for (_, manifest, place) in versions {
            let Some(folder) = shared.store.open_root(place.root_id()) else {
                continue;
            };
            if older
                .folders
                .iter()
                .all(|known| known.path() != folder.path())
            {
                older.folders.push(folder.clone());
            }
            let Ok(index) = shared.store.table(&manifest).await else {
                continue;
            };
            for page_ref in index.pages() {
                let Some(bytes) = shared.store.blob(&page_ref.page()).await? else {
                    continue;
                };
                if let Ok(page) = Page::decode(&bytes, page_ref) {
                    older.add_others(&folder, &page, paths);
                }
            }
        }
        Ok(older)
    }

    fn add_others(&mut self, folder: &Arc<Confined>, page: &Page, paths: &HashSet<String>) {
        for entry in page.entries() {
            let is_gone = !paths.contains(entry.path().as_str());
            if is_gone && entry.size() > 0 && self.others.len() < OTHERS_MAX {
                let kind = Kind::of(entry.path(), entry.size());
                self.kinds.insert(kind.clone());
                self.others.push(Other {
                    folder: folder.clone(),
                    path: entry.path().clone(),
                    size: entry.size(),
                    kind,
                });
            }
        }
    }

    /// Is there no folder?
    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    /// Folders in which a file may lie at the same path.
    pub(super) fn folders(&self) -> &[Arc<Confined>] {
        &self.folders
    }

    /// Files at other paths.
    pub(super) fn others(&self) -> &[Other] {
        &self.others
    }

    /// May something here share chunks with a file? Blocks.
    pub(super) fn may_have(&self, path: &DatasetPath, size: u64) -> bool {
        let is_file = |folder: &Arc<Confined>| matches!(folder.find(path), Ok(Found::File { size }) if size > 0);
        let kind = Kind::of(path, size);
        self.folders.iter().any(is_file) || kind.near().any(|near| self.kinds.contains(&near))
    }
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
