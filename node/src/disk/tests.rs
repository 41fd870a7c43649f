use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    sync::atomic::{AtomicBool, Ordering},
};

use opendag_protocol::DatasetPath;
use tempfile::TempDir;

use super::*;

fn path(text: &str) -> DatasetPath {
    DatasetPath::parse(text).unwrap()
}

/// A folder of our own, and one beside it in which nothing may change.
struct Fixture {
    dir: TempDir,
    root: Confined,
    work: Confined,
}

impl Fixture {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), b"secret").unwrap();
        let root = Confined::create(&dir.path().join("root")).unwrap();
        let work = root.subfolder("work").unwrap();
        Self { dir, root, work }
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn put(&self, to: &str, content: &[u8], replace: Replace) -> Result<(), DiskError> {
        let (name, mut file) = self.work.create_temp().unwrap();
        file.write_all(content).unwrap();
        let put = self.root.rename_into(&self.work, &name, &path(to), replace);
        if put.is_err() {
            self.work.remove_own(&name).unwrap();
        }
        put
    }

    fn outside_is_untouched(&self) -> bool {
        let names: Vec<_> = fs::read_dir(self.outside())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names == ["secret"] && fs::read(self.outside().join("secret")).unwrap() == b"secret"
    }
}

#[test]
fn files_get_their_folders() {
    let fixture = Fixture::new();
    fixture.put("a/b/c", b"content", Replace::Never).unwrap();
    fixture.root.sync_parent(&path("a/b/c")).unwrap();
    fixture.root.sync_all().unwrap();
    assert_eq!(fs::read(fixture.inside("a/b/c")).unwrap(), b"content");
    assert_eq!(
        fixture.root.find(&path("a/b/c")).unwrap(),
        Found::File { size: 7 }
    );
    assert_eq!(fixture.root.find(&path("a/b")).unwrap(), Found::Other);
    assert_eq!(fixture.root.find(&path("a/x/y")).unwrap(), Found::Nothing);
    assert_eq!(fixture.root.find(&path("a/b/c/d")).unwrap(), Found::Other);
    assert!(
        fixture
            .root
            .open_read(&path("a/b/d"))
            .unwrap_err()
            .is_not_found()
    );
    fixture.put("a/x", b"stays", Replace::Never).unwrap();
    assert!(fixture.root.remove(&path("a/b/c")).unwrap());
    assert!(!fixture.root.remove(&path("a/b/c")).unwrap());
    assert!(!fixture.inside("a/b").exists() && fixture.inside("a/x").exists());
}

#[test]
fn nothing_is_replaced_unless_asked_for() {
    let fixture = Fixture::new();
    fixture.put("file", b"old", Replace::Never).unwrap();
    let put = fixture.put("file", b"new", Replace::Never);
    assert!(matches!(put, Err(DiskError::Exists { .. })));
    assert_eq!(fs::read(fixture.inside("file")).unwrap(), b"old");
    fixture.put("file", b"new", Replace::Yes).unwrap();
    assert_eq!(fs::read(fixture.inside("file")).unwrap(), b"new");
    fs::create_dir(fixture.inside("folder")).unwrap();
    assert!(fixture.put("folder", b"new", Replace::Yes).is_err());
    assert!(fixture.put("folder", b"new", Replace::Never).is_err());
    let under_file = fixture.put("file/below", b"new", Replace::Yes);
    assert!(matches!(under_file, Err(DiskError::NotAFolder { .. })));
}

#[test]
fn p3_no_symlink_is_followed() {
    let fixture = Fixture::new();
    symlink(fixture.outside(), fixture.inside("link")).unwrap();
    symlink(fixture.outside().join("secret"), fixture.inside("file")).unwrap();
    for replace in [Replace::Never, Replace::Yes] {
        let put = fixture.put("link/new", b"evil", replace);
        assert!(matches!(put, Err(DiskError::NotAFolder { .. })));
        assert!(fixture.put("link/secret", b"evil", replace).is_err());
    }
    let read = fixture.root.open_read(&path("link/secret"));
    assert!(matches!(read, Err(DiskError::NotAFolder { .. })));
    let read = fixture.root.open_read(&path("file"));
    assert!(matches!(read, Err(DiskError::NotAFile { .. })));
    assert_eq!(fixture.root.find(&path("file")).unwrap(), Found::Other);
    assert_eq!(
        fixture.root.find(&path("link/secret")).unwrap(),
        Found::Other
    );
    assert!(fixture.root.remove(&path("link/secret")).is_err());
    let put = fixture.put("file", b"new", Replace::Never);
    assert!(matches!(put, Err(DiskError::Exists { .. })));
    // The symlink itself may be replaced; what it points to stays.
    fixture.put("file", b"new", Replace::Yes).unwrap();
    assert_eq!(fs::read(fixture.inside("file")).unwrap(), b"new");
    assert!(fixture.outside_is_untouched());
    // Negative control: the plain way goes outside.
    fs::write(fixture.inside("link/proof"), b"").unwrap();
    assert!(!fixture.outside_is_untouched());
}

/// A folder on the way is swapped for a symlink again and again while files are written.
#[test]
fn p3_a_symlink_that_is_swapped_in_leads_nowhere() {
    let fixture = Fixture::new();
    let stop = AtomicBool::new(false);
    let (folder, away) = (fixture.inside("folder"), fixture.inside("away"));
    fs::create_dir(&folder).unwrap();
    let mut written = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if fs::rename(&folder, &away).is_ok() {
                    let _ = symlink(fixture.outside(), &folder);
                    let _ = fs::remove_file(&folder);
                    let _ = fs::rename(&away, &folder);
                }
            }
        });
        for number in 0..3_000 {
            let name = format!("folder/{number}");
            written += u32::from(fixture.put(&name, b"evil", Replace::Yes).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(written > 0);
    assert!(fixture.outside_is_untouched());
}

#[test]
fn p8_pipes_and_folders_are_no_files_and_do_not_hang() {
    let fixture = Fixture::new();
    let pipe = fixture.inside("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    for name in ["pipe", "work"] {
        let read = fixture.root.open_read(&path(name));
        assert!(matches!(read, Err(DiskError::NotAFile { .. })), "{name}");
    }
}

#[test]
fn p1_a_file_is_replaced_whole_and_private() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    write_durable(&file, b"one", Access::Owner).unwrap();
    write_durable(&file, b"two", Access::Owner).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"two");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    assert!(write_durable(&folder, b"three", Access::Owner).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn what_a_killed_process_left_is_removed_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let names = ["keep", "tmp", "x-tmp-1"];
    let left = [temp_name(), format!("file.{}", temp_name())];
    for name in names.iter().copied().chain(left.iter().map(String::as_str)) {
        fs::write(dir.path().join(name), b"").unwrap();
    }
    fs::create_dir(dir.path().join("tmp-folder")).unwrap();
    remove_temporary_files(dir.path()).unwrap();
    remove_temporary_files(&dir.path().join("missing")).unwrap();
    for name in names {
        assert!(dir.path().join(name).exists(), "{name}");
    }
    assert!(left.iter().all(|name| !dir.path().join(name).exists()));
}
