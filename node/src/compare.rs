//! What differs between two versions: files added, removed, changed and moved.
//!
//! Only the pages of the file tables that one of the two has alone are read: entries of shared pages are
//! equal on both sides. What is not here comes from the versions' swarms.

mod schemas;

use std::{sync::Arc, time::Duration};

use opendag_protocol::{
    record::ManifestFields,
    table::{Change, FileEntry, Moves, PageRef, TableIndex, changes},
};
use tokio::time::timeout;

use self::schemas::Groups;
use crate::{
    fetch::{
        FetchError,
        table::{self, Describe},
    },
    inspect::{self, FIND_MAX, InspectError, file_info},
    node::Shared,
    ops::{DiffBytes, DiffInfo, DiffRequest, Event, LinkRequest, MovedFile},
    report::Reporter,
    resolve::{Version, Wish},
};

/// What changed between two versions.
pub(crate) async fn diff(
    shared: &Arc<Shared>,
    request: &DiffRequest,
    report: &Reporter,
) -> Result<Event, InspectError> {
    let mut from = Side::open(shared, &request.from, report).await?;
    let mut to = Side::open(shared, &request.to, report).await?;
    let (old, new) = (from.index().await?, to.index().await?);
    let removed: Vec<_> = old.pages_not_in(&new).collect();
    let added: Vec<_> = new.pages_not_in(&old).collect();
    let count = |pages: usize| u64::try_from(pages).unwrap_or(u64::MAX);
    let pages_read = count(removed.len() + added.len());
    let pages_shared = count(new.pages().len() - added.len());
    let entries = (from.entries(&removed).await?, to.entries(&added).await?);
    let mut groups = Groups::default();
    let changes = changes(entries.0, entries.1).inspect(|change| {
        if request.schema {
            groups.push(change);
        }
    });
    let mut info = DiffInfo {
        from: from.version.id,
        to: to.version.id,
        added: Vec::new(),
        removed: Vec::new(),
        changed: Vec::new(),
        moved: Vec::new(),
        bytes: DiffBytes {
            from: from.fields().bytes,
            to: to.fields().bytes,
            ..DiffBytes::default()
        },
        pages_read,
        pages_shared,
        received_bytes: from.received_bytes() + to.received_bytes(),
        schemas: None,
    };
    fill(&mut info, changes);
    if request.schema {
        report
            .waiting("schema", "the parts of files that tell their schemas")
            .await;
        let versions = (&from.version, &to.version);
        info.schemas = Some(schemas::compare(shared, versions, groups, to.within).await?);
    }
    Ok(Event::Diff(Box::new(info)))
}

/// Sorts the changes into lists, with what moved taken out of what was added and removed.
fn fill(info: &mut DiffInfo, changes: impl Iterator<Item = Change>) {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Added(entry) => added.push(entry),
            Change::Removed(entry) => removed.push(entry),
            Change::Changed { new, .. } => {
                info.bytes.changed += new.size();
                info.changed.push(file_info(&new));
            }
        }
    }
    let moves = Moves::find(added, removed);
    let sum = |entries: &[FileEntry]| entries.iter().map(FileEntry::size).sum();
    info.bytes.added = sum(&moves.added);
    info.bytes.removed = sum(&moves.removed);
    info.bytes.moved = moves.moved.iter().map(|(_, new)| new.size()).sum();
    info.added = moves.added.iter().map(file_info).collect();
    info.removed = moves.removed.iter().map(file_info).collect();
    let moved = moves.moved.iter().map(|(old, new)| MovedFile {
        from: old.path().to_string(),
        file: file_info(new),
    });
    info.moved = moved.collect();
}

/// One of the two versions, and where its table comes from.
struct Side {
    shared: Arc<Shared>,
    version: Version,
    wish: Wish,
    within: Duration,
    /// Joined when something of it is not here.
    swarm: Option<Describe>,
}

impl Side {
    async fn open(
        shared: &Arc<Shared>,
        request: &LinkRequest,
        report: &Reporter,
    ) -> Result<Self, InspectError> {
        let (version, wish) = inspect::version(shared, request, report).await?;
        inspect::warn_if_expired(&version, &wish, report).await;
        Ok(Self {
            shared: shared.clone(),
            version,
            wish,
            within: request.timeout_ms.map_or(FIND_MAX, Duration::from_millis),
            swarm: None,
        })
    }

    fn fields(&self) -> &ManifestFields {
        self.version.manifest().fields()
    }

    fn received_bytes(&self) -> u64 {
        self.swarm.as_ref().map_or(0, Describe::received_bytes)
    }

    async fn index(&mut self) -> Result<TableIndex, InspectError> {
        match table::local_index(&self.shared, &self.version).await {
            Err(FetchError::NoDescription { .. }) => {}
            found => return Ok(found?),
        }
        let (within, version) = (self.within, self.version.clone());
        let index = timeout(within, self.swarm().await?.index(&version)).await;
        Ok(index.map_err(|_| InspectError::NoTable(within))??)
    }

    async fn entries(&mut self, pages: &[&PageRef]) -> Result<Vec<FileEntry>, InspectError> {
        match table::local_entries(&self.shared, pages).await {
            Err(FetchError::NoDescription { .. }) => {}
            found => return Ok(found?),
        }
        let within = self.within;
        let entries = timeout(within, self.swarm().await?.entries(pages)).await;
        Ok(entries.map_err(|_| InspectError::NoTable(within))??)
    }

    async fn swarm(&mut self) -> Result<&mut Describe, InspectError> {
        if self.swarm.is_none() {
            let net = self.shared.net().await?;
            let describe = Describe::join(&self.shared, &net, &self.version, &self.wish);
            self.swarm = Some(describe);
        }
        self.swarm.as_mut().ok_or(InspectError::NoLink)
    }
}
