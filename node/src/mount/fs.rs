//! The file system of a mount, below FUSE: numbers of inodes, attributes, folders, open files.

mod file;
mod fuse;
mod inode;
mod top;
mod tree;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use opendag_protocol::{ManifestId, table::ShardIndex};

pub(super) use self::fuse::Session;
use self::{
    file::OpenFile,
    inode::{Inode, Node, SLOTS_MAX, Slot},
    tree::{Child, Folder},
};
use crate::{
    node::Shared,
    read::{ReadFault, ReadVersion},
    resolve::{self, Version},
};

/// The read-only tree of a node's datasets.
struct Fs {
    shared: Arc<Shared>,
    /// How long bytes of a file are waited for.
    patience: Duration,
    began: SystemTime,
    slots: Mutex<Slots>,
    opened: Mutex<Opened>,
}

/// What of the top was looked at: names with the versions that they meant. A name and not only the version
/// makes a slot, because a folder must not lie in two places.
#[derive(Default)]
struct Slots {
    numbers: BTreeMap<(String, ManifestId), Slot>,
    versions: Vec<SlotVersion>,
    /// Aliases whose folders were looked at.
    publishers: Vec<String>,
}

#[derive(Clone)]
struct SlotVersion {
    manifest: ManifestId,
    created: SystemTime,
    version: Weak<ReadVersion>,
}

/// What programs hold open, by the handles that the kernel knows.
#[derive(Default)]
struct Opened {
    next: u64,
    handles: BTreeMap<u64, Handle>,
}

/// What is open.
#[derive(Clone)]
enum Handle {
    /// The top, or a publisher's folder, as it was when it was opened.
    Listed(Arc<Vec<Entry>>),
    /// A folder of a version.
    Folder(Slot, Arc<ReadVersion>, Arc<Folder>),
    /// A file.
    File(Arc<OpenFile>),
}

/// Something as it is listed.
struct Entry {
    name: String,
    attributes: Attributes,
    /// Where a list goes on behind it.
    next: u64,
}

/// What `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attributes {
    inode: Inode,
    size: u64,
    time: SystemTime,
}

impl Attributes {
    fn is_file(&self) -> bool {
        matches!(self.inode, Inode::Of(_, Node::File(_)))
    }
}

impl Fs {
    fn new(shared: Arc<Shared>, patience: Duration) -> Self {
        Self {
            shared,
            patience,
            began: SystemTime::now(),
            slots: Mutex::default(),
            opened: Mutex::default(),
        }
    }

    fn top(&self) -> Attributes {
        Attributes {
            inode: Inode::Top,
            size: 0,
            time: self.began,
        }
    }

    /// What has a name in a folder.
    async fn lookup(&self, parent: u64, name: &str) -> Result<Attributes, ReadFault> {
        match Inode::of(parent).ok_or(ReadFault::NoFile)? {
            Inode::Top if top::is_publisher(&self.shared, name).await? => self.publisher(name),
            Inode::Top => self.found(name, Box::pin(top::find(&self.shared, name)).await?),
            Inode::Publisher(number) => {
                let alias = self.alias(number)?;
                let found = Box::pin(top::find_theirs(&self.shared, &alias, name)).await?;
                self.found(&format!("{alias}/{name}"), found)
            }
            Inode::Of(slot, Node::Folder { depth, first }) => {
                let version = self.version(slot).await?;
                let folder = Folder::open(&*version, (depth, first)).await?;
                let child = folder.find(&*version, name).await?;
                let child = child.ok_or(ReadFault::NoFile)?;
                self.child(slot, &child)
            }
            Inode::Of(_, Node::File(_)) => Err(ReadFault::NoFile),
        }
    }

    fn found(
        &self,
        name: &str,
        version: Option<Arc<ReadVersion>>,
    ) -> Result<Attributes, ReadFault> {
        let version = version.ok_or(ReadFault::NoFile)?;
        let attributes = self.slot(name, version.version())?;
        if let Inode::Of(slot, _) = attributes.inode {
            self.keep(slot, &version);
        }
        Ok(attributes)
    }

    async fn attributes(&self, number: u64) -> Result<Attributes, ReadFault> {
        let inode = Inode::of(number).ok_or(ReadFault::NoFile)?;
        let (slot, size) = match inode {
            Inode::Top => return Ok(self.top()),
            Inode::Publisher(number) => return self.publisher(&self.alias(number)?),
            Inode::Of(slot, Node::Folder { .. }) => (slot, 0),
            Inode::Of(slot, Node::File(shard)) => {
                let version = self.version(slot).await?;
                let entry = tree::entry(&*version, shard).await?;
                (slot, entry.ok_or(ReadFault::NoFile)?.size())
            }
        };
        let time = self.slot_version(slot)?.created;
        Ok(Attributes { inode, size, time })
    }

    /// Opens a file or folder; what was opened stays of its version.
    async fn open(&self, number: u64) -> Result<u64, ReadFault> {
        let handle = match Inode::of(number).ok_or(ReadFault::NoFile)? {
            Inode::Top => Handle::Listed(Arc::new(self.list_top(None).await?)),
            Inode::Publisher(number) => {
                let alias = self.alias(number)?;
                Handle::Listed(Arc::new(self.list_top(Some(alias)).await?))
            }
            Inode::Of(slot, Node::Folder { depth, first }) => {
                let version = self.version(slot).await?;
                let folder = Folder::open(&*version, (depth, first)).await?;
                Handle::Folder(slot, version, Arc::new(folder))
            }
            Inode::Of(slot, Node::File(shard)) => {
                let version = self.version(slot).await?;
                let entry = tree::entry(&*version, shard).await?;
                let entry = entry.ok_or(ReadFault::NoFile)?.without_remarks();
                version.check(&entry)?;
                let file = OpenFile::new(version, (shard, entry), self.patience);
                Handle::File(Arc::new(file))
            }
        };
        let mut opened = self.opened();
        opened.next += 1;
        let number = opened.next;
        opened.handles.insert(number, handle);
        Ok(number)
    }

    fn release(&self, handle: u64) {
        self.opened().handles.remove(&handle);
    }

    fn handle(&self, handle: u64) -> Option<Handle> {
        self.opened().handles.get(&handle).cloned()
    }

    /// Tells `each` what is in an open folder, from the place that an [`Entry`] or 0 names, until it wants no more.
    async fn list(
        &self,
        handle: u64,
        from: u64,
        mut each: impl FnMut(&Entry) -> bool + Send,
    ) -> Result<(), ReadFault> {
        match self.handle(handle).ok_or(ReadFault::NoFile)? {
            Handle::File(_) => Err(ReadFault::NoFile),
            Handle::Listed(entries) => {
                let behind = entries.iter().skip_while(|entry| entry.next <= from);
                behind.take_while(|entry| each(entry)).for_each(drop);
                Ok(())
            }
            Handle::Folder(slot, version, folder) => {
                let from = match from {
                    0 => folder.first(),
                    from => ShardIndex(u32::try_from(from).map_err(|_| ReadFault::NoFile)?),
                };
                let created = self.slot_version(slot)?.created;
                let each = |child: Child| {
                    each(&Entry {
                        attributes: of_child(slot, &child, created),
                        next: child.next.0.into(),
                        name: child.name,
                    })
                };
                folder.list(&*version, from, each).await
            }
        }
    }

    /// What is listed at the top, or in the folder of a publisher.
    async fn list_top(&self, alias: Option<String>) -> Result<Vec<Entry>, ReadFault> {
        let (shared, of) = (self.shared.clone(), alias.clone());
        let listed = tokio::task::spawn_blocking(move || match of {
            Some(alias) => top::list_theirs(&shared, &alias),
            None => top::list(&shared),
        });
        let listed = listed.await.map_err(|_| ReadFault::Failed)??;
        let entry = |(next, (name, version)): (u64, (String, Version))| {
            let slot = match &alias {
                Some(alias) => self.slot(&format!("{alias}/{name}"), &version),
                None => self.slot(&name, &version),
            };
            Ok(Entry {
                attributes: slot?,
                name,
                next,
            })
        };
        (1..).zip(listed).map(entry).collect()
    }

    fn child(&self, slot: Slot, child: &Child) -> Result<Attributes, ReadFault> {
        Ok(of_child(slot, child, self.slot_version(slot)?.created))
    }

    /// The folder of a publisher.
    fn publisher(&self, alias: &str) -> Result<Attributes, ReadFault> {
        let mut slots = self.slots();
        let known = slots.publishers.iter().position(|known| known == alias);
        let at = known.unwrap_or_else(|| {
            slots.publishers.push(alias.to_owned());
            slots.publishers.len() - 1
        });
        let number = u32::try_from(at).map_err(|_| ReadFault::Failed)?;
        let inode = Inode::Publisher(number);
        Ok(Attributes {
            inode,
            ..self.top()
        })
    }

    fn alias(&self, number: u32) -> Result<String, ReadFault> {
        let at = usize::try_from(number).map_err(|_| ReadFault::NoFile)?;
        let slots = self.slots();
        slots.publishers.get(at).cloned().ok_or(ReadFault::NoFile)
    }

    /// The folder of a version at the top, under a name.
    fn slot(&self, name: &str, version: &Version) -> Result<Attributes, ReadFault> {
        let created = version.manifest().fields().created_at.as_secs();
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(created));
        let time = time.unwrap_or(self.began);
        let key = (name.to_owned(), version.id);
        let mut slots = self.slots();
        let known = slots.numbers.get(&key).copied();
        let slot = match known {
            Some(slot) => slot,
            None => {
                slots.versions.push(SlotVersion {
                    manifest: version.id,
                    created: time,
                    version: Weak::new(),
                });
                let number = u32::try_from(slots.versions.len()).ok();
                let number = number.filter(|number| *number <= SLOTS_MAX);
                let slot = Slot(number.ok_or(ReadFault::Failed)?);
                slots.numbers.insert(key, slot);
                slot
            }
        };
        Ok(Attributes {
            inode: Inode::Of(slot, Node::ROOT),
            size: 0,
            time,
        })
    }

    fn slot_version(&self, Slot(slot): Slot) -> Result<SlotVersion, ReadFault> {
        let at = usize::try_from(slot)
            .ok()
            .and_then(|slot| slot.checked_sub(1));
        let slots = self.slots();
        let found = at.and_then(|at| slots.versions.get(at));
        found.cloned().ok_or(ReadFault::NoFile)
    }

    /// Remembers where a version is at hand.
    fn keep(&self, Slot(slot): Slot, version: &Arc<ReadVersion>) {
        let at = usize::try_from(slot)
            .ok()
            .and_then(|slot| slot.checked_sub(1));
        let mut slots = self.slots();
        if let Some(known) = at.and_then(|at| slots.versions.get_mut(at)) {
            known.version = Arc::downgrade(version);
        }
    }

    async fn version(&self, slot: Slot) -> Result<Arc<ReadVersion>, ReadFault> {
        let known = self.slot_version(slot)?;
        if let Some(version) = known.version.upgrade() {
            return Ok(version);
        }
        let found = resolve::version(&self.shared, known.manifest)
            .map_err(|error| {
                tracing::warn!(%error, "a version of the mount cannot be read");
                ReadFault::Failed
            })?
            .ok_or(ReadFault::Unknown)?;
        let version = self.shared.readers.open(&self.shared, found).await?;
        self.keep(slot, &version);
        Ok(version)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_child(slot: Slot, child: &Child, time: SystemTime) -> Attributes {
    Attributes {
        inode: Inode::Of(slot, child.node),
        size: child.size,
        time,
    }
}

#[cfg(test)]
mod tests;
