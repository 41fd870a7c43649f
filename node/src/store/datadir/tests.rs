use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::*;
use crate::store::KeyStoreError;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn secrets_are_private_and_stay_the_same() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a/data");
    let data = DataDir::open(&path).unwrap();
    let identity = data.identity().unwrap();
    let key = data.keys().create("default").unwrap();
    assert_eq!(mode(&path), 0o700);
    for secret in ["identity", "keys/default", "lock"] {
        assert_eq!(mode(&path.join(secret)), 0o600, "{secret}");
    }
    drop(data);
    let data = DataDir::open(&path).unwrap();
    assert_eq!(data.identity().unwrap(), identity);
    assert_eq!(data.keys().get("default").unwrap().public(), key.public());
}

#[test]
fn p8_an_exposed_or_damaged_secret_is_refused() {
    let dir = TempDir::new().unwrap();
    let data = DataDir::open(&dir.path().join("data")).unwrap();
    data.identity().unwrap();
    data.keys().create("mine").unwrap();
    let identity = data.path().join("identity");
    for exposed in [0o640, 0o604, 0o660] {
        chmod(&identity, exposed);
        assert!(matches!(data.identity(), Err(DataDirError::Exposed { .. })));
    }
    chmod(&identity, 0o600);
    fs::write(&identity, b"short").unwrap();
    assert!(matches!(data.identity(), Err(DataDirError::Damaged { .. })));
    chmod(&data.path().join("keys/mine"), 0o644);
    let exposed = data.keys().get("mine");
    assert!(matches!(
        exposed,
        Err(KeyStoreError::DataDir(DataDirError::Exposed { .. }))
    ));
}

#[test]
fn p3_a_directory_that_another_could_have_laid_is_refused() {
    let dir = TempDir::new().unwrap();
    let real = dir.path().join("real");
    fs::create_dir(&real).unwrap();
    symlink(&real, dir.path().join("link")).unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    let shared = dir.path().join("shared");
    fs::create_dir(&shared).unwrap();
    chmod(&shared, 0o777);
    for name in ["link", "file", "shared"] {
        let opened = DataDir::open(&dir.path().join(name));
        assert!(matches!(opened, Err(DataDirError::Unsafe { .. })), "{name}");
    }
    // Negative control; an empty folder is made private.
    chmod(&real, 0o755);
    DataDir::open(&real).unwrap();
    assert_eq!(mode(&real), 0o700);
}

#[test]
fn keys_have_names_and_travel() {
    let dir = TempDir::new().unwrap();
    let one = DataDir::open(&dir.path().join("one")).unwrap().keys();
    let two_dir = DataDir::open(&dir.path().join("two")).unwrap();
    let two = two_dir.keys();
    let key = one.get_or_create("default").unwrap();
    assert_eq!(one.get_or_create("default").unwrap().public(), key.public());
    assert!(matches!(
        one.create("default"),
        Err(KeyStoreError::Exists { .. })
    ));
    assert!(matches!(
        one.get("other"),
        Err(KeyStoreError::NotFound { .. })
    ));
    let text = one.export("default").unwrap();
    assert_eq!(two.import("copy", &text).unwrap().public(), key.public());
    assert!(matches!(
        two.import("copy", &text),
        Err(KeyStoreError::Exists { .. })
    ));
    assert_eq!(two.names().unwrap(), ["copy"]);
    for bad in [
        "",
        "opendag-secret-key:",
        "opendag-secret-key:00",
        &text[1..],
    ] {
        assert!(
            matches!(two.import("bad", bad), Err(KeyStoreError::NotAKey)),
            "{bad}"
        );
    }
    let long = "x".repeat(65);
    for bad in [
        "", ".", "..", "../x", "a/b", ".hidden", "-x", "ü", "tmp-1", "a b", &long,
    ] {
        assert!(
            matches!(two.create(bad), Err(KeyStoreError::BadName { .. })),
            "{bad}"
        );
    }
}
