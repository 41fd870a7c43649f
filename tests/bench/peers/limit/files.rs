//! The line of limit for many files: open, read, BLAKE3, AEAD, TCP, AEAD, BLAKE3, create, write, sync, rename, sync, with
//! two threads at the sender and three at the receiver. It keeps what OpenDAG promises: at most some MiB are not durable,
//! and nothing has its name before its bytes are verified and durable.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use ring::aead::Aad;
use walkdir::WalkDir;

use super::{BLOCK_BYTES, QUEUE_BLOCKS, join, key, nonce};

/// Bytes that are made durable together, as OpenDAG does.
const SYNCED_BYTES: usize = 3 << 20;
/// Batches between the thread that writes and the one that syncs: one is written while one is synced.
const QUEUE_BATCHES: usize = 1;
/// Where files lie that have no name yet.
const WORK: &str = ".limit";

/// Serves all files of a folder to whoever connects, one after another, until it is killed.
pub(super) fn serve(folder: &Path, address: &str) -> Result<()> {
    let listener = TcpListener::bind((address, 0))?;
    let mut out = std::io::stdout();
    writeln!(out, "port {}", listener.local_addr()?.port())?;
    out.flush()?;
    let files = files(folder)?;
    loop {
        let (stream, _) = listener.accept()?;
        send(folder, &files, stream)?;
    }
}

/// The paths of all files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(entry.path().strip_prefix(folder)?.to_path_buf());
        }
    }
    Ok(files)
}

/// Reads and hashes; encrypts and sends: a thread each. A block without bytes ends the stream.
fn send(folder: &Path, files: &[PathBuf], mut stream: TcpStream) -> Result<()> {
    let (full, blocks) = sync_channel::<Vec<u8>>(QUEUE_BLOCKS);
    thread::scope(|scope| {
        let reader = scope.spawn(move || -> Result<()> {
            let mut block = Vec::with_capacity(2 * BLOCK_BYTES);
            for path in files {
                put(&mut block, folder, path)?;
                if block.len() >= BLOCK_BYTES {
                    full.send(std::mem::take(&mut block))?;
                    block.reserve(2 * BLOCK_BYTES);
                }
            }
            full.send(block)?;
            full.send(Vec::new())?;
            Ok(())
        });
        let key = key()?;
        for (index, mut block) in (0_u64..).zip(blocks) {
            key.seal_in_place_append_tag(nonce(index), Aad::empty(), &mut block)
                .map_err(|_| anyhow!("cannot seal a block"))?;
            stream.write_all(&u32::try_from(block.len())?.to_le_bytes())?;
            stream.write_all(&block)?;
        }
        join(reader)
    })
}

/// Adds a file: lengths of path and content, hash, path, content.
fn put(block: &mut Vec<u8>, folder: &Path, path: &Path) -> Result<()> {
    let name = path.to_str().context("a plain name")?;
    let mut file = File::open(folder.join(path))?;
    block.extend_from_slice(&u32::try_from(name.len())?.to_le_bytes());
    let at = block.len();
    block.extend_from_slice(&[0; 4 + 32]);
    block.extend_from_slice(name.as_bytes());
    let begin = block.len();
    file.read_to_end(block)?;
    let content = block.get(begin..).unwrap_or_default();
    let (len, hash) = (u32::try_from(content.len())?, blake3::hash(content));
    let head = block.get_mut(at..at + 36).context("a head")?;
    head.copy_from_slice(&[&len.to_le_bytes()[..], hash.as_bytes()].concat());
    Ok(())
}

/// A file that was written: its working name, and its path.
type Written = (PathBuf, PathBuf);

/// Receives and decrypts; verifies and writes; syncs and names: a thread each.
pub(super) fn receive(target: &Path, peer: &str) -> Result<()> {
    let mut stream = TcpStream::connect(peer)?;
    fs::create_dir_all(target.join(WORK))?;
    let (full, blocks) = sync_channel::<Vec<u8>>(QUEUE_BLOCKS);
    let (written, batches) = sync_channel::<Vec<Written>>(QUEUE_BATCHES);
    thread::scope(|scope| {
        let writer = scope.spawn(move || -> Result<()> {
            let (mut batch, mut bytes, mut number) = (Vec::new(), 0, 0_u64);
            for block in blocks {
                let mut rest = block.as_slice();
                while !rest.is_empty() {
                    let (path, content) = take(&mut rest)?;
                    let name = target.join(WORK).join(number.to_string());
                    File::create_new(&name)?.write_all(content)?;
                    batch.push((name, target.join(path)));
                    (bytes, number) = (bytes + content.len(), number + 1);
                    if bytes >= SYNCED_BYTES {
                        written.send(std::mem::take(&mut batch))?;
                        bytes = 0;
                    }
                }
            }
            written.send(batch)?;
            Ok(())
        });
        let namer = scope.spawn(move || name(target, &batches));
        let key = key()?;
        for index in 0_u64.. {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let mut block = vec![0; usize::try_from(u32::from_le_bytes(length))?];
            stream.read_exact(&mut block)?;
            let opened = key
                .open_in_place(nonce(index), Aad::empty(), &mut block)
                .map_err(|_| anyhow!("a block is not authentic"))?
                .len();
            if opened == 0 {
                break;
            }
            block.truncate(opened);
            full.send(block)?;
        }
        drop(full);
        join(writer)?;
        join(namer)
    })
}

/// The next file of a block.
fn take<'a>(rest: &mut &'a [u8]) -> Result<(&'a str, &'a [u8])> {
    let mut part = |bytes: usize| {
        let (part, after) = rest.split_at_checked(bytes).context("a whole file")?;
        *rest = after;
        Ok::<_, anyhow::Error>(part)
    };
    let name_len = u32::from_le_bytes(part(4)?.try_into()?);
    let len = u32::from_le_bytes(part(4)?.try_into()?);
    let hash = part(32)?;
    let name = std::str::from_utf8(part(usize::try_from(name_len)?)?)?;
    let content = part(usize::try_from(len)?)?;
    ensure!(
        blake3::hash(content).as_bytes() == hash,
        "{name} has another hash"
    );
    Ok((name, content))
}

/// Makes each batch durable, and gives its files their names.
fn name(target: &Path, batches: &Receiver<Vec<Written>>) -> Result<()> {
    let root = File::open(target)?;
    let mut last = PathBuf::new();
    for batch in batches {
        rustix::fs::syncfs(&root)?;
        for (name, path) in batch {
            let folder = path.parent().context("a folder of the file")?;
            if folder != last {
                fs::create_dir_all(folder)?;
                last = folder.to_path_buf();
            }
            fs::rename(name, &path)?;
        }
    }
    fs::remove_dir(target.join(WORK))?;
    rustix::fs::syncfs(&root)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use opendag_tests::{Tree, tree};

    use super::*;

    #[test]
    fn a_tree_arrives_in_blocks_and_batches() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let many = |tree: Tree, index: u64| tree.file(&format!("a/b{}/{index}", index % 3), index);
        let small = (0..400).fold(Tree::new(7), many);
        // One that is more than a block and a batch.
        small.file("large", 5 << 20).write(&from)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let peer = listener.local_addr()?.to_string();
        let source = from.clone();
        let seed = thread::spawn(move || send(&source, &files(&source)?, listener.accept()?.0));
        receive(&to, &peer)?;
        seed.join().map_err(|_| anyhow!("the seed panicked"))??;
        assert_eq!(tree::differences(&from, &to)?, Vec::<String>::new());
        Ok(())
    }
}
