//! Memory, descriptors and threads of processes and bytes on disk.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use anyhow::Result;
use walkdir::WalkDir;

/// The most memory that a process has used until now (`VmHWM`), in bytes; 0 when it has ended.
#[must_use]
pub fn peak_memory(pid: u32) -> u64 {
    status(pid, "VmHWM:") * 1024
}

/// The memory that a process uses (`VmRSS`), in bytes; 0 when it has ended.
#[must_use]
pub fn memory(pid: u32) -> u64 {
    status(pid, "VmRSS:") * 1024
}

/// The threads of a process; 0 when it has ended.
#[must_use]
pub fn threads(pid: u32) -> u64 {
    status(pid, "Threads:")
}

/// The files and sockets that a process has open; 0 when it has ended.
#[must_use]
pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// Bytes that a folder takes on disk, blocks and not lengths: sparse files count for what they hold.
pub fn disk_usage(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in WalkDir::new(folder) {
        match entry {
            Ok(entry) => {
                let blocks = entry.metadata().map_or(0, |metadata| metadata.blocks());
                bytes += blocks * 512;
            }
            // A file that went away while the folder was walked takes nothing.
            Err(error)
                if error
                    .io_error()
                    .is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}
