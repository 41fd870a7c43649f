//! A small disk that only some processes see: a memory file system in a mount namespace of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The file that takes the room.
const FILLER: &str = "filler";

/// A small disk. It is gone when dropped.
pub struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts `bytes` at `folder`, which is made; `None` unless the user is root.
    pub fn new(folder: &Path, bytes: u64) -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        fs::create_dir_all(folder)?;
        // The shell lives as long as its input, so that the namespace does.
        let script = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && read -r end"#;
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .args(["sh", &bytes.to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run `unshare`")?;
        let output = holder.stdout.take().context("its output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let disk = Self {
            holder,
            folder: folder.to_owned(),
        };
        ensure!(line == "mounted\n", "no small disk could be mounted");
        Ok(Some(disk))
    }

    /// What runs a command where the disk is seen, for [`crate::Node::wrapped`].
    #[must_use]
    pub fn wrapper(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        ["nsenter", "--mount", "--target", &target, "--"]
            .map(str::to_owned)
            .to_vec()
    }

    /// A path on the disk, for whoever does not see it.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.folder.strip_prefix("/").unwrap_or(&self.folder))
            .join(below)
    }

    /// Takes all room that is left.
    pub fn fill(&self) -> Result<()> {
        let mut filler = fs::File::create(self.path(FILLER))?;
        let block = vec![1; 64 * 1024];
        while filler.write(&block).is_ok_and(|written| written > 0) {}
        Ok(())
    }

    /// Gives it back.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.path(FILLER))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
