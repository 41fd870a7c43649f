//! The line of limit: read, BLAKE3, AEAD, TCP, AEAD, BLAKE3, write, fsync in blocks of 1 MiB with three
//! threads a side. No protocol, no tree of hashes, no discovery: what this machine can do at all. For folders with
//! more than one file it is drawn in [`files`].

mod files;

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use walkdir::WalkDir;

use super::{Fetch, Host, Job, Peer, Role, Seed};
use crate::process::Process;

/// Bytes of a block.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes that authenticate a block.
const TAG_BYTES: usize = 16;
/// Blocks between two threads: enough that none waits for a single slow call of another.
const QUEUE_BLOCKS: usize = 4;
/// A fixed key: what is measured is the work, and there is no handshake.
const KEY: [u8; 32] = [7; 32];

/// The plain pipeline.
pub(crate) struct Limit;

impl Peer for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }

    fn missing(&self) -> Option<String> {
        None
    }

    fn role(&self) -> Role {
        Role::Limit
    }

    fn syncs(&self) -> bool {
        true
    }

    fn seed(&self, job: &Job<'_>) -> Result<Box<dyn Seed>> {
        let files = WalkDir::new(job.source)
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let mut files = files.iter().filter(|entry| entry.file_type().is_file());
        let (source, name) = match (files.next(), files.next()) {
            (Some(file), None) => (file.path(), Some(file.file_name().into())),
            _ => (job.source, None),
        };
        fs::create_dir_all(&job.scratch)?;
        let mut command = job.seed.command(std::env::current_exe()?);
        command.arg("limit-seed").arg(source);
        command.arg(&job.seed.address);
        let mut process = Process::start("limit-seed", command, &job.scratch)?;
        let port = process.wait_line("its port", super::SEED_TIME_MAX, |line| {
            line.strip_prefix("port ")?.parse::<u16>().ok()
        })?;
        Ok(Box::new(Seeding {
            process,
            name,
            peer: format!("{}:{port}", job.seed.address),
            host: job.fetch.clone(),
        }))
    }
}

struct Seeding {
    process: Process,
    /// Of the one file that there is.
    name: Option<PathBuf>,
    peer: String,
    host: Host,
}

impl Seed for Seeding {
    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn fetch(&self, target: &Path, _run: usize) -> Result<Fetch> {
        let mut command: Command = self.host.command(std::env::current_exe()?);
        match &self.name {
            Some(name) => command.arg("limit-fetch").arg(target.join(name)),
            None => command.arg("limit-fetch-files").arg(target),
        };
        command.arg(&self.peer);
        Ok(Fetch {
            command,
            result: target.to_path_buf(),
        })
    }
}

/// One block on its way.
struct Block {
    index: u64,
    bytes: Vec<u8>,
}

/// A line between two threads, and one back for empty blocks.
struct Line {
    full: (SyncSender<Block>, Receiver<Block>),
}

impl Line {
    fn new() -> Self {
        Self {
            full: sync_channel(QUEUE_BLOCKS),
        }
    }
}

fn key() -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, &KEY).map_err(|_| anyhow!("a key of 32 bytes"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce(index: u64) -> Nonce {
    let mut bytes = [0; 12];
    for (to, from) in bytes.iter_mut().zip(index.to_le_bytes()) {
        *to = from;
    }
    Nonce::assume_unique_for_key(bytes)
}

/// Receives what the seed of a folder sends.
pub(crate) fn receive_files(target: &Path, peer: &str) -> Result<()> {
    files::receive(target, peer)
}

/// Serves one file, or all of a folder, to whoever connects, one after another, until it is killed.
pub(crate) fn serve(file: &Path, address: &str) -> Result<()> {
    if file.is_dir() {
        return files::serve(file, address);
    }
    let listener = TcpListener::bind((address, 0))?;
    let mut out = std::io::stdout();
    writeln!(out, "port {}", listener.local_addr()?.port())?;
    out.flush()?;
    loop {
        let (stream, _) = listener.accept()?;
        send(&File::open(file)?, stream)?;
    }
}

/// Reads, hashes and encrypts, sends: a thread each.
fn send(file: &File, mut stream: TcpStream) -> Result<()> {
    let size = file.metadata()?.len();
    stream.write_all(&size.to_le_bytes())?;
    let (read, sealed) = (Line::new().full, Line::new().full);
    let (empty_in, empty_out) = sync_channel(4 * QUEUE_BLOCKS);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read_blocks(file, size, &read.0, &empty_out));
        let sealer = scope.spawn(move || -> Result<()> {
            let (key, mut hasher) = (key()?, blake3::Hasher::new());
            for mut block in read.1 {
                hasher.update(&block.bytes);
                key.seal_in_place_append_tag(nonce(block.index), Aad::empty(), &mut block.bytes)
                    .map_err(|_| anyhow!("cannot seal a block"))?;
                sealed.0.send(block)?;
            }
            // The hash of the whole ends the stream, so that the other side can compare.
            let bytes = hasher.finalize().as_bytes().to_vec();
            sealed.0.send(Block { index: 0, bytes })?;
            Ok(())
        });
        for block in sealed.1 {
            stream.write_all(&block.bytes)?;
            // The reader may have ended and need no more.
            let _ = empty_in.try_send(block.bytes);
        }
        join(reader)?;
        join(sealer)
    })
}

fn read_blocks(
    file: &File,
    size: u64,
    full: &SyncSender<Block>,
    empty: &Receiver<Vec<u8>>,
) -> Result<()> {
    let (mut offset, mut index) = (0, 0);
    while offset < size {
        let mut bytes = empty.try_recv().unwrap_or_default();
        let length =
            usize::try_from(size - offset).map_or(BLOCK_BYTES, |rest| rest.min(BLOCK_BYTES));
        bytes.resize(length, 0);
        file.read_exact_at(&mut bytes, offset)?;
        offset += u64::try_from(length)?;
        full.send(Block { index, bytes })?;
        index += 1;
    }
    Ok(())
}

/// Receives, decrypts and hashes, writes and syncs: a thread each.
pub(crate) fn receive(target: &Path, peer: &str) -> Result<()> {
    let mut stream = TcpStream::connect(peer)?;
    let mut size = [0; 8];
    stream.read_exact(&mut size)?;
    let size = u64::from_le_bytes(size);
    let file = File::create(target)?;
    let (received, opened) = (Line::new().full, Line::new().full);
    let (empty_in, empty_out) = sync_channel::<Vec<u8>>(4 * QUEUE_BLOCKS);
    let hash = thread::scope(|scope| {
        let file = &file;
        let opener = scope.spawn(move || -> Result<blake3::Hash> {
            let (key, mut hasher) = (key()?, blake3::Hasher::new());
            for mut block in received.1 {
                let length = key
                    .open_in_place(nonce(block.index), Aad::empty(), &mut block.bytes)
                    .map_err(|_| anyhow!("a block is not authentic"))?
                    .len();
                block.bytes.truncate(length);
                hasher.update(&block.bytes);
                opened.0.send(block)?;
            }
            Ok(hasher.finalize())
        });
        let writer = scope.spawn(move || -> Result<()> {
            for block in opened.1 {
                file.write_all_at(&block.bytes, block.index * u64::try_from(BLOCK_BYTES)?)?;
                // The receiver may have ended and need no more.
                let _ = empty_in.try_send(block.bytes);
            }
            file.sync_all()?;
            Ok(())
        });
        let sent = receive_blocks(&mut stream, size, received.0, &empty_out)?;
        let hash = join(opener)?;
        join(writer)?;
        ensure!(hash.as_bytes() == &sent, "the file has another hash");
        Ok(hash)
    })?;
    let folder = target.parent().context("a folder of the file")?;
    File::open(folder)?.sync_all()?;
    writeln!(std::io::stdout(), "{hash}")?;
    Ok(())
}

/// Hands on all blocks and returns the hash that ends the stream.
fn receive_blocks(
    stream: &mut TcpStream,
    size: u64,
    full: SyncSender<Block>,
    empty: &Receiver<Vec<u8>>,
) -> Result<[u8; 32]> {
    let (mut rest, mut index) = (size, 0);
    while rest > 0 {
        let length = usize::try_from(rest).map_or(BLOCK_BYTES, |rest| rest.min(BLOCK_BYTES));
        let mut bytes = empty.try_recv().unwrap_or_default();
        bytes.resize(length + TAG_BYTES, 0);
        stream.read_exact(&mut bytes)?;
        full.send(Block { index, bytes })?;
        rest -= u64::try_from(length)?;
        index += 1;
    }
    let mut hash = [0; 32];
    stream.read_exact(&mut hash)?;
    // The next thread ends when nothing more can come.
    drop(full);
    Ok(hash)
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(content: &[u8]) -> Result<Vec<u8>> {
        let dir = tempfile::tempdir()?;
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, content)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let peer = listener.local_addr()?.to_string();
        let seed = thread::spawn(move || send(&File::open(from)?, listener.accept()?.0));
        receive(&to, &peer)?;
        seed.join().map_err(|_| anyhow!("the seed panicked"))??;
        Ok(fs::read(to)?)
    }

    #[test]
    fn what_is_sent_arrives_at_each_edge_of_a_block() -> Result<()> {
        for size in [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 20 * BLOCK_BYTES + 5] {
            let content: Vec<u8> = (0_u8..=250).cycle().take(size).collect();
            assert_eq!(through(&content)?, content, "{size}");
        }
        Ok(())
    }
}
