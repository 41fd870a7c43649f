//! Hashing a large file on all cores: workers read and hash blocks, one thread puts them in order.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    num::NonZero,
    ops::Deref,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, Scope, ScopedJoinHandle},
};

use blake3::hazmat::ChainingValue;
use opendag_protocol::{Hash, subtree::SubtreeHasher};

use super::{
    Content, InOrder, Sides,
    tree::{Joiner, Top, subtree},
};

/// Bytes that a worker takes: a power of two of parts.
const BLOCK_BYTES: u64 = 1024 * 1024;
/// Bytes read and hashed at once: a power of two of chunk groups. So many stay in a core's own cache from the
/// reading to the hashing.
const PART_BYTES: usize = 256 * 1024;
/// A worker is worth its start from so many blocks on.
const BLOCKS_PER_WORKER_MIN: u64 = 4;
/// Blocks that wait for what takes them in order, besides one for each worker.
const BLOCKS_WAITING_MAX: usize = 6;
/// Blocks of a file from which on SHA-256 and chunks get threads of their own.
const SIDE_THREAD_BLOCKS_MIN: u64 = 4;
/// Bytes of hash pairs that are written at once.
const PAIRS_BUFFER_BYTES: usize = 64 * 1024;

/// Hashes a file of more than one block.
pub(super) fn hash_large(
    file: &File,
    size: u64,
    sides: Sides,
    outboard: &mut dyn Write,
    sink: &mut dyn FnMut(u64),
) -> io::Result<Content> {
    let blocks = size.div_ceil(BLOCK_BYTES);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let useful = usize::try_from(blocks / BLOCKS_PER_WORKER_MIN).unwrap_or(usize::MAX);
    let workers = useful.clamp(1, cores);
    // Every queue has room for all of them: no sending waits.
    let buffers = workers + BLOCKS_WAITING_MAX;
    let (give_back, free) = mpsc::sync_channel(buffers);
    for _ in 0..buffers {
        // The receiver is here.
        let _ = give_back.send(Vec::new());
    }
    let source = Source {
        file,
        size,
        is_kept: sides.sha256.is_some() || sides.chunks.is_some(),
        next: Mutex::new((0, free)),
    };
    thread::scope(|scope| {
        let (done, finished) = mpsc::sync_channel(buffers);
        for _ in 0..workers {
            let (source, give_back, done) = (&source, give_back.clone(), done.clone());
            scope.spawn(move || source.work(&give_back, &done));
        }
        drop((done, give_back));
        let queue = (blocks >= SIDE_THREAD_BLOCKS_MIN).then_some(buffers);
        let mut sequence = Sequence {
            joiner: Joiner::new(blocks, Top::Root),
            outboard: BufWriter::with_capacity(PAIRS_BUFFER_BYTES, outboard),
            sha256: Side::new(scope, sides.sha256, queue),
            chunks: Side::new(scope, sides.chunks, queue),
            sink,
        };
        let root = sequence.run(&finished)?;
        sequence.outboard.flush()?;
        Ok(Content {
            hash: Hash::from_bytes(root),
            sha256: sequence.sha256.end()?,
            chunks: sequence.chunks.end()?.flatten(),
        })
    })
}

/// Where workers take blocks.
struct Source<'a> {
    file: &'a File,
    size: u64,
    /// Are the bytes wanted when they are hashed? If not, the buffers stay empty, and only tell how far workers may go.
    is_kept: bool,
    /// The next block, and the buffers: taken together, so that the block that is waited for always has one.
    next: Mutex<(u64, mpsc::Receiver<Vec<u8>>)>,
}

/// What a worker keeps from block to block.
#[derive(Default)]
struct Tools {
    hasher: SubtreeHasher,
    /// A part that nobody wants afterwards: always the same memory, which stays in the cache.
    part: Vec<u8>,
}

impl Source<'_> {
    /// One worker: until no block is left, one cannot be read, or nobody takes them any more.
    fn work(
        &self,
        give_back: &mpsc::SyncSender<Vec<u8>>,
        done: &mpsc::SyncSender<io::Result<Hashed>>,
    ) {
        let mut tools = Tools::default();
        while let Some((index, bytes)) = self.next() {
            let give_back = give_back.clone();
            let hashed = self.hash(index, Block { bytes, give_back }, &mut tools);
            let failed = hashed.is_err();
            if done.send(hashed).is_err() || failed {
                return;
            }
        }
    }

    fn next(&self) -> Option<(u64, Vec<u8>)> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, free) = &mut *next;
        if *index * BLOCK_BYTES >= self.size {
            return None;
        }
        let bytes = free.recv().ok()?;
        *index += 1;
        Some((*index - 1, bytes))
    }

    /// Reads and hashes a block part by part.
    fn hash(&self, index: u64, mut block: Block, tools: &mut Tools) -> io::Result<Hashed> {
        let mut offset = index * BLOCK_BYTES;
        let bytes = (self.size - offset).min(BLOCK_BYTES);
        // At most BLOCK_BYTES.
        let len = usize::try_from(bytes).unwrap_or(usize::MAX);
        if self.is_kept {
            block.bytes.resize(len, 0);
        } else {
            tools.part.resize(PART_BYTES, 0);
        }
        let parts = len.div_ceil(PART_BYTES);
        let mut joiner = Joiner::new(u64::try_from(parts).unwrap_or(u64::MAX), Top::Subtree);
        let (mut pairs, mut top) = (Vec::new(), None);
        for start in (0..len).step_by(PART_BYTES) {
            let end = len.min(start + PART_BYTES);
            let part = if self.is_kept {
                block.bytes.get_mut(start..end)
            } else {
                tools.part.get_mut(..end - start)
            };
            let part = part.unwrap_or_default();
            self.file.read_exact_at(part, offset)?;
            let node = subtree(&mut tools.hasher, part, offset, &mut pairs)?;
            top = joiner.push(node, &mut pairs)?;
            offset += u64::try_from(end - start).unwrap_or(0);
        }
        Ok(Hashed {
            index,
            bytes,
            pairs,
            top: top.ok_or_else(|| io::Error::other("a block is empty"))?,
            block,
        })
    }
}

/// A block that was read and hashed.
struct Hashed {
    index: u64,
    bytes: u64,
    pairs: Vec<u8>,
    top: ChainingValue,
    block: Block,
}

/// Its bytes. The buffer is used again when nobody needs them any more.
struct Block {
    bytes: Vec<u8>,
    give_back: mpsc::SyncSender<Vec<u8>>,
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // Nobody may need one any more.
        let _ = self.give_back.send(std::mem::take(&mut self.bytes));
    }
}

/// What takes blocks in their order.
struct Sequence<'a, 'scope> {
    joiner: Joiner,
    outboard: BufWriter<&'a mut dyn Write>,
    sha256: Side<'scope, sha2::Sha256>,
    chunks: Side<'scope, opendag_protocol::chunkmap::ChunkMapBuilder>,
    sink: &'a mut dyn FnMut(u64),
}

impl Sequence<'_, '_> {
    /// Takes all blocks, and answers the root.
    fn run(&mut self, finished: &mpsc::Receiver<io::Result<Hashed>>) -> io::Result<[u8; 32]> {
        let mut early = BTreeMap::new();
        let mut next = 0;
        for hashed in finished {
            let hashed = hashed?;
            early.insert(hashed.index, hashed);
            while let Some(hashed) = early.remove(&next) {
                next += 1;
                if let Some(root) = self.take(hashed)? {
                    return Ok(root);
                }
            }
        }
        Err(io::Error::other("a thread that hashes ended early"))
    }

    fn take(&mut self, hashed: Hashed) -> io::Result<Option<[u8; 32]>> {
        self.outboard.write_all(&hashed.pairs)?;
        let root = self.joiner.push(hashed.top, &mut self.outboard)?;
        let block = Arc::new(hashed.block);
        self.sha256.take(&block);
        self.chunks.take(&block);
        (self.sink)(hashed.bytes);
        Ok(root)
    }
}

/// What makes something of the bytes in order, on a thread of its own or not.
enum Side<'scope, T: InOrder> {
    Skipped,
    Here(T),
    Thread(
        mpsc::SyncSender<Arc<Block>>,
        ScopedJoinHandle<'scope, T::Made>,
    ),
}

impl<'scope, T: InOrder + 'scope> Side<'scope, T> {
    /// On a thread of its own if it gets a queue with room for so many blocks.
    fn new<'env>(
        scope: &'scope Scope<'scope, 'env>,
        made: Option<T>,
        queue: Option<usize>,
    ) -> Self {
        let Some(mut side) = made else {
            return Self::Skipped;
        };
        let Some(room) = queue else {
            return Self::Here(side);
        };
        let (blocks, taken) = mpsc::sync_channel::<Arc<Block>>(room);
        let run = move || {
            for block in taken {
                side.take(&block);
            }
            side.end()
        };
        Self::Thread(blocks, scope.spawn(run))
    }

    fn take(&mut self, block: &Arc<Block>) {
        match self {
            Self::Skipped => {}
            Self::Here(side) => side.take(block),
            // The other end is gone only if its thread died: `end` reports that.
            Self::Thread(blocks, _) => drop(blocks.send(Arc::clone(block))),
        }
    }

    fn end(self) -> io::Result<Option<T::Made>> {
        match self {
            Self::Skipped => Ok(None),
            Self::Here(side) => Ok(Some(side.end())),
            Self::Thread(blocks, thread) => {
                drop(blocks);
                let made = thread.join();
                made.map(Some)
                    .map_err(|_| io::Error::other("a thread that hashes ended early"))
            }
        }
    }
}
