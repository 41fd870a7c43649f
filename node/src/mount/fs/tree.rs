//! The folders that the paths of a file table make, found page by page: nothing of them is held.
//!
//! A table is sorted by path, so whatever lies below a folder is one run of it.

use std::sync::Arc;

use opendag_protocol::{
    DatasetPath,
    table::{FileEntry, Page, PageRef, ShardIndex, TableIndex},
};

use super::inode::Node;
use crate::read::{ReadFault, ReadVersion};

/// A file table whose pages come when they are wanted.
pub(super) trait Table: Sync {
    /// Its index.
    fn index(&self) -> impl Future<Output = Result<&TableIndex, ReadFault>> + Send;

    /// One of its pages.
    fn page(&self, page: &PageRef) -> impl Future<Output = Result<Arc<Page>, ReadFault>> + Send;
}

impl Table for ReadVersion {
    async fn index(&self) -> Result<&TableIndex, ReadFault> {
        self.index().await
    }

    async fn page(&self, page: &PageRef) -> Result<Arc<Page>, ReadFault> {
        self.page(page).await
    }
}

/// What lies right in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child {
    /// Its name there.
    pub(super) name: String,
    /// What it is.
    pub(super) node: Node,
    /// Bytes of a file; 0 for a folder.
    pub(super) size: u64,
    /// The first file behind it.
    pub(super) next: ShardIndex,
}

/// A folder of a version, ready to be looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    depth: u16,
    first: ShardIndex,
    /// What all paths below it begin with: empty, or with a slash at the end.
    prefix: String,
}

/// The entry of a shard; `None` if the table has no such shard.
pub(super) async fn entry(
    table: &impl Table,
    shard: ShardIndex,
) -> Result<Option<FileEntry>, ReadFault> {
    let Some(page_ref) = table.index().await?.page_of_shard(shard) else {
        return Ok(None);
    };
    let page = table.page(page_ref).await?;
    Ok(at(&page, shard).cloned())
}

fn at(page: &Page, shard: ShardIndex) -> Option<&FileEntry> {
    let at = shard.0.checked_sub(page.first_shard().0)?;
    page.entries().get(usize::try_from(at).ok()?)
}

/// The first file whose path is not before `key`, and its path; at the end of the table its length.
async fn seek(
    table: &impl Table,
    key: &str,
) -> Result<(ShardIndex, Option<DatasetPath>), ReadFault> {
    let index = table.index().await?;
    let behind = index
        .pages()
        .partition_point(|page| page.first().as_str() < key);
    if let Some(page_ref) = behind.checked_sub(1).and_then(|at| index.pages().get(at)) {
        let page = table.page(page_ref).await?;
        let found = page.shards().nth(
            page.entries()
                .partition_point(|entry| entry.path().as_str() < key),
        );
        if let Some((shard, entry)) = found {
            return Ok((shard, Some(entry.path().clone())));
        }
    }
    match index.pages().get(behind) {
        Some(page) => Ok((page.first_shard(), Some(page.first().clone()))),
        None => {
            let files = index.pages().last().map_or(0, |page| page.shards().end);
            Ok((ShardIndex(files), None))
        }
    }
}

impl Folder {
    /// The folder of `depth` parts of the path of `first`.
    ///
    /// # Errors
    /// [`ReadFault::NoFile`] if the table has no such file, or its path not so many folders; what the table says.
    pub(super) async fn open(
        table: &impl Table,
        (depth, first): (u16, ShardIndex),
    ) -> Result<Self, ReadFault> {
        let prefix = match depth {
            0 => String::new(),
            _ => {
                let entry = entry(table, first).await?.ok_or(ReadFault::NoFile)?;
                let path = entry.path().as_str();
                let slash = path.match_indices('/').nth(usize::from(depth) - 1);
                let (end, _) = slash.ok_or(ReadFault::NoFile)?;
                path.get(..=end).ok_or(ReadFault::NoFile)?.to_owned()
            }
        };
        Ok(Self {
            depth,
            first,
            prefix,
        })
    }

    /// Where its children begin.
    pub(super) fn first(&self) -> ShardIndex {
        self.first
    }

    /// What has a name in it; `None` if nothing has.
    ///
    /// # Errors
    /// What the table says.
    pub(super) async fn find(
        &self,
        table: &impl Table,
        name: &str,
    ) -> Result<Option<Child>, ReadFault> {
        let Ok(path) = DatasetPath::parse(&format!("{}{name}", self.prefix)) else {
            return Ok(None);
        };
        if name.contains('/') {
            return Ok(None);
        }
        let index = table.index().await?;
        if let Some(page_ref) = index.page_of_path(&path)
            && let Some((shard, entry)) = table.page(page_ref).await?.find(&path)
        {
            return Ok(Some(Child::file(name, shard, entry)));
        }
        let (first, found) = seek(table, &format!("{path}/")).await?;
        let is_below = found
            .as_ref()
            .and_then(|found| found.as_str().strip_prefix(path.as_str()))
            .is_some_and(|rest| rest.starts_with('/'));
        // Nobody asks here where the folder ends.
        Ok(is_below.then(|| self.child(name, (first, first))))
    }

    /// Tells `each` what lies right in it, from `from` on, until that wants no more.
    ///
    /// # Errors
    /// What the table says.
    pub(super) async fn list(
        &self,
        table: &impl Table,
        from: ShardIndex,
        mut each: impl FnMut(Child) -> bool + Send,
    ) -> Result<(), ReadFault> {
        let index = table.index().await?;
        let mut next = from;
        while let Some(page_ref) = index.page_of_shard(next) {
            let page = table.page(page_ref).await?;
            while let Some(entry) = at(&page, next) {
                let Some(rest) = entry.path().as_str().strip_prefix(&self.prefix) else {
                    return Ok(());
                };
                let child = match rest.split_once('/') {
                    None => Child::file(rest, next, entry),
                    Some((name, _)) => {
                        // The character behind the slash: all that is below the folder comes before it.
                        let end = format!("{}{name}0", self.prefix);
                        self.child(name, (next, seek(table, &end).await?.0))
                    }
                };
                next = child.next;
                if !each(child) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn child(&self, name: &str, (first, next): (ShardIndex, ShardIndex)) -> Child {
        Child {
            name: name.to_owned(),
            node: Node::Folder {
                depth: self.depth + 1,
                first,
            },
            size: 0,
            next,
        }
    }
}

impl Child {
    fn file(name: &str, shard: ShardIndex, entry: &FileEntry) -> Self {
        Self {
            name: name.to_owned(),
            node: Node::File(shard),
            size: entry.size(),
            next: ShardIndex(shard.0.saturating_add(1)),
        }
    }
}

#[cfg(test)]
mod tests;
