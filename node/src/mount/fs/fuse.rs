//! What the kernel asks, answered from [`Fs`]. The thread that takes questions never waits: each is
//! answered by a task, the reads of one place in a file in their order by the task of that place.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenAccMode, OpenFlags,
    ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen,
    Request, SessionACL,
};
use rustix::{
    fs::{AtFlags, CWD, StatxFlags, statx},
    mount::UnmountFlags,
};
use tokio::{
    runtime,
    sync::oneshot::{self, error::TryRecvError},
};

use super::{Attributes, Entry, Fs, Handle, Inode};
use crate::{node::Shared, read::ReadFault};

/// What is below a version never changes, so the kernel may remember it.
const LASTING: Duration = Duration::from_secs(3600);
/// What a name at the top means may: a new version is seen after so long.
const NEWEST: Duration = Duration::from_secs(1);
/// Requests for bytes read ahead that the kernel may have open at once, over all files.
const BACKGROUND_MAX: u16 = 64;
/// What the kernel reads ahead in a file, where we may say so; its default is 128 KiB.
const READ_AHEAD_KIB: &str = "1024";

/// A mounted tree. Dropping it unmounts, also if files are open: who reads them reads on.
pub(in crate::mount) struct Session {
    dir: PathBuf,
    /// What the system numbers it by.
    device: Option<(u32, u32)>,
    background: Option<BackgroundSession>,
    /// Closed when the kernel has no more questions.
    ended: oneshot::Receiver<()>,
    has_ended: bool,
}

impl Session {
    /// Mounts at `dir`. Blocks; must be called from a thread of the runtime.
    ///
    /// # Errors
    /// What the system or `fusermount3` says.
    pub(in crate::mount) fn start(
        shared: &Arc<Shared>,
        dir: &Path,
        (patience, acl): (Duration, SessionACL),
    ) -> io::Result<Self> {
        let (ends, ended) = oneshot::channel();
        let glue = Glue {
            fs: Arc::new(Fs::new(shared.clone(), patience)),
            runtime: runtime::Handle::current(),
            owner: (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            ),
            _ends: ends,
        };
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::DefaultPermissions,
            MountOption::FSName("opendag".to_owned()),
            MountOption::Subtype("opendag".to_owned()),
        ];
        config.acl = acl;
        let background = fuser::Session::new(glue, dir, &config)?.spawn()?;
        let device = device(dir);
        if let Some(device) = device {
            read_ahead(device);
        }
        Ok(Self {
            dir: dir.to_owned(),
            device,
            background: Some(background),
            ended,
            has_ended: false,
        })
    }

    /// Waits until somebody else unmounted it.
    pub(in crate::mount) async fn ended(&mut self) {
        let _closed = (&mut self.ended).await;
        self.has_ended = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(background) = self.background.take() else {
            return;
        };
        if self.has_ended || matches!(self.ended.try_recv(), Err(TryRecvError::Closed)) {
            // Dropped, it would unmount whatever lies at that folder now, such as a disk. That costs a handle.
            return std::mem::forget(background);
        }
        drop(background);
        // Still there: files are open, or somebody's working folder is in it.
        if self.device.is_some()
            && device(&self.dir) == self.device
            && let Err(error) = rustix::mount::unmount(&self.dir, UnmountFlags::DETACH)
        {
            let dir = self.dir.display();
            tracing::warn!(%error, %dir, "a mount could not be ended; `fusermount3 -uz` does it");
        }
    }
}

/// The device on which a folder lies, as the kernel knows it without asking the file system.
fn device(dir: &Path) -> Option<(u32, u32)> {
    let known = statx(CWD, dir, AtFlags::STATX_DONT_SYNC, StatxFlags::empty()).ok()?;
    Some((known.stx_dev_major, known.stx_dev_minor))
}

/// Lets the kernel read more ahead. Only root may say so; without it reads are slower.
fn read_ahead((major, minor): (u32, u32)) {
    let file = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    if let Err(error) = std::fs::write(file, READ_AHEAD_KIB) {
        tracing::debug!(%error, "the kernel reads as much ahead as it does by itself");
    }
}

struct Glue {
    fs: Arc<Fs>,
    runtime: runtime::Handle,
    /// User and group of this process.
    owner: (u32, u32),
    /// Dropped at the end.
    _ends: oneshot::Sender<()>,
}

impl Glue {
    fn attr(&self, attributes: &Attributes) -> FileAttr {
        attr(attributes, self.owner)
    }

    fn open(&self, number: INodeNo, (flags, keep): (OpenFlags, FopenFlags), reply: ReplyOpen) {
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return reply.error(Errno::EROFS);
        }
        let fs = self.fs.clone();
        self.runtime.spawn(async move {
            match fs.open(number.0).await {
                Ok(handle) => reply.opened(FileHandle(handle), keep),
                Err(fault) => reply.error(errno(&fault)),
            }
        });
    }
}

fn attr(attributes: &Attributes, (uid, gid): (u32, u32)) -> FileAttr {
    let (size, time) = (attributes.size, attributes.time);
    let (kind, perm) = match attributes.is_file() {
        true => (FileType::RegularFile, 0o444),
        false => (FileType::Directory, 0o555),
    };
    FileAttr {
        ino: INodeNo(attributes.inode.number()),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        // Of a folder: nobody counted.
        nlink: 1,
        uid,
        gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// How long what was told of a parent's child holds.
fn lasts(attributes: &Attributes) -> Duration {
    match attributes.inode {
        Inode::Of(_, super::Node::Folder { depth: 0, .. }) | Inode::Top | Inode::Publisher(_) => {
            NEWEST
        }
        Inode::Of(..) => LASTING,
    }
}

/// What a reader's failure means to programs; the log says more.
fn errno(fault: &ReadFault) -> Errno {
    match fault {
        ReadFault::Unknown | ReadFault::NoFile => Errno::ENOENT,
        ReadFault::NotYet { .. } | ReadFault::Nobody { .. } => {
            tracing::warn!(%fault, "the mount cannot tell what is in a version");
            Errno::EIO
        }
        ReadFault::Denied(_) => Errno::EACCES,
        ReadFault::Failed => Errno::EIO,
    }
}

impl Filesystem for Glue {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for capability in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
        ] {
            // An older kernel asks more often.
            let _ = config.add_capabilities(capability);
        }
        let _ = config.set_max_background(BACKGROUND_MAX);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        // Paths of datasets are UTF-8.
        let Some(name) = name.to_str().map(str::to_owned) else {
            return reply.error(Errno::ENOENT);
        };
        let (fs, owner) = (self.fs.clone(), self.owner);
        self.runtime.spawn(async move {
            match fs.lookup(parent.0, &name).await {
                Ok(found) => reply.entry(&lasts(&found), &attr(&found, owner), Generation(0)),
                Err(fault) => reply.error(errno(&fault)),
            }
        });
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let (fs, owner) = (self.fs.clone(), self.owner);
        self.runtime.spawn(async move {
            match fs.attributes(number.0).await {
                Ok(found) => reply.attr(&LASTING, &attr(&found, owner)),
                Err(fault) => reply.error(errno(&fault)),
            }
        });
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        // A number means the same bytes for ever: what the kernel read once is right.
        self.open(number, (flags, FopenFlags::FOPEN_KEEP_CACHE), reply);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(Handle::File(file)) = self.fs.handle(handle.0) else {
            return reply.error(Errno::EBADF);
        };
        let answer = Box::new(move |given: super::file::Given| match given {
            Ok(bytes) => reply.data(&bytes),
            Err(_) => reply.error(Errno::EIO),
        });
        file.read(&self.runtime, (offset, size), answer);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.fs.release(handle.0);
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.open(number, (flags, FopenFlags::empty()), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let fs = self.fs.clone();
        self.runtime.spawn(async move {
            let kind = |entry: &Entry| match entry.attributes.is_file() {
                true => FileType::RegularFile,
                false => FileType::Directory,
            };
            let own = DOTS.iter().zip(1..).filter(|(_, next)| *next > offset);
            let mut is_full = false;
            for (name, next) in own {
                is_full |= reply.add(number, next, FileType::Directory, name);
            }
            let listed = match is_full {
                true => Ok(()),
                false => {
                    let each = |entry: &Entry| {
                        let number = INodeNo(entry.attributes.inode.number());
                        !reply.add(number, entry.next + BEHIND_DOTS, kind(entry), &entry.name)
                    };
                    let from = offset.saturating_sub(BEHIND_DOTS);
                    fs.list(handle.0, from, each).await
                }
            };
            match listed {
                Ok(()) => reply.ok(),
                Err(fault) => reply.error(errno(&fault)),
            }
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let (fs, owner) = (self.fs.clone(), self.owner);
        // The kernel looks at no attributes of these.
        let mut own = self.attr(&fs.top());
        own.ino = number;
        self.runtime.spawn(async move {
            let zero = Generation(0);
            let dots = DOTS.iter().zip(1..).filter(|(_, next)| *next > offset);
            let mut is_full = false;
            for (name, next) in dots {
                is_full |= reply.add(number, next, name, &LASTING, &own, zero);
            }
            let listed = match is_full {
                true => Ok(()),
                false => {
                    let each = |entry: &Entry| {
                        let (next, attr) = (entry.next, attr(&entry.attributes, owner));
                        let lasts = lasts(&entry.attributes);
                        !reply.add(
                            attr.ino,
                            next + BEHIND_DOTS,
                            &entry.name,
                            &lasts,
                            &attr,
                            zero,
                        )
                    };
                    let from = offset.saturating_sub(BEHIND_DOTS);
                    fs.list(handle.0, from, each).await
                }
            };
            match listed {
                Ok(()) => reply.ok(),
                Err(fault) => reply.error(errno(&fault)),
            }
        });
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.fs.release(handle.0);
        reply.ok();
    }
}

/// What each folder lists of itself and the one above.
const DOTS: [&str; 2] = [".", ".."];
/// Where the list of a folder begins behind them.
const BEHIND_DOTS: u64 = 2;
