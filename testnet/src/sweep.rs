//! Removing what a testnet leaves behind, without making its user wait.
//!
//! Some disks take milliseconds for each file that is removed, and a network of mirrors has hundreds
//! of thousands: a process of its own removes them after the command has ended.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// How the folders of testnets begin.
pub(crate) const PREFIXES: [&str; 2] = ["testnet-", "demo-"];

/// Nodes that were just killed may still write: it is tried again so often,
const ATTEMPTS: u32 = 5;
/// after a pause.
const PAUSE: Duration = Duration::from_millis(200);

/// A folder that is removed when this is dropped, whatever ends its user.
#[derive(Debug)]
pub(crate) struct Swept {
    folder: PathBuf,
    executable: PathBuf,
}

impl Swept {
    /// Takes a folder whose name begins like one of a testnet; `executable` is `opendag`.
    pub(crate) fn new(folder: PathBuf, executable: PathBuf) -> Self {
        Self { folder, executable }
    }

    /// Keeps the folder.
    pub(crate) fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.folder)
    }
}

impl Drop for Swept {
    fn drop(&mut self) {
        if self.folder.as_os_str().is_empty() {
            return;
        }
        let started = Command::new(&self.executable)
            .args(["testnet", "sweep"])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal is not meant for it.
            .process_group(0)
            .spawn();
        if started.is_err() {
            // What remains lies where the testnet said that it does.
            drop(remove(&self.folder));
        }
    }
}

/// Removes a folder of a testnet with all that is in it. Blocks.
///
/// # Errors
/// The folder does not bear the name of a testnet's, or cannot be removed.
pub fn remove(folder: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let ours = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    ensure!(ours, "{} is not a folder of a testnet", folder.display());
    let metadata = folder.symlink_metadata();
    let metadata = metadata.with_context(|| format!("cannot read {}", folder.display()))?;
    ensure!(metadata.is_dir(), "{} is not a folder", folder.display());
    let mut removed = fs::remove_dir_all(folder);
    for _ in 0..ATTEMPTS {
        if removed.is_ok() {
            break;
        }
        thread::sleep(PAUSE);
        removed = fs::remove_dir_all(folder);
    }
    removed.with_context(|| format!("cannot remove {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_testnets_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["other", "testnet-1", "demo-x"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), b"x").unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("other"), dir.path().join("demo-link")).unwrap();
        assert!(remove(&dir.path().join("other")).is_err());
        assert!(remove(&dir.path().join("demo-link")).is_err());
        assert!(remove(&dir.path().join("demo-missing")).is_err());
        remove(&dir.path().join("testnet-1")).unwrap();
        remove(&dir.path().join("demo-x")).unwrap();
        assert!(dir.path().join("other/file").exists() && !dir.path().join("demo-x").exists());
    }

    #[test]
    fn what_cannot_be_handed_over_is_removed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("demo-1");
        fs::create_dir(&folder).unwrap();
        let kept = Swept::new(folder.clone(), dir.path().join("no-such-program")).keep();
        assert!(kept.exists());
        drop(Swept::new(
            folder.clone(),
            dir.path().join("no-such-program"),
        ));
        assert!(!folder.exists());
    }
}
