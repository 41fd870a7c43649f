//! An open file: from the reads of the kernel, which come in pieces and sometimes several at once, to
//! readers that go on in order.

use std::{
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use futures::{Stream, StreamExt};
use opendag_protocol::table::{FileEntry, ShardIndex};
use tokio::{runtime::Handle, sync::mpsc, time::Instant};

use crate::read::{ReadFault, ReadVersion};

/// Places in one file at which programs read on in order, through one handle: threads of a reader of
/// columns. One more ends what was used longest ago.
const CURSORS_MAX: usize = 16;
/// Reads that wait for one place: the kernel reads ahead a few requests.
const READS_WAITING_MAX: usize = 64;
/// So long after bytes did not come, reads of the file wait only for [`BRIEF`]: the kernel asks once more
/// for each page that it read ahead in vain.
const SOON: Duration = Duration::from_secs(2);
/// See [`SOON`].
const BRIEF: Duration = Duration::from_millis(200);

/// What a read gives.
pub(super) type Given = Result<Bytes, ReadFault>;
/// Takes what a read gives.
pub(super) type Answer = Box<dyn FnOnce(Given) + Send>;

/// A file that is open. It stays of its version.
pub(super) struct OpenFile {
    source: Arc<Source>,
    cursors: Mutex<Vec<Cursor>>,
}

/// A place at which reads go on in order; the one used last stands last.
struct Cursor {
    next: u64,
    reads: mpsc::Sender<Read>,
}

struct Read {
    range: Range<u64>,
    answer: Answer,
}

/// What the reads of a file share.
struct Source {
    version: Arc<ReadVersion>,
    shard: ShardIndex,
    entry: FileEntry,
    patience: Duration,
    failed: Mutex<Option<Instant>>,
}

impl OpenFile {
    /// A file of a version. A step of a read waits for its bytes for `patience`.
    pub(super) fn new(
        version: Arc<ReadVersion>,
        (shard, entry): (ShardIndex, FileEntry),
        patience: Duration,
    ) -> Self {
        Self {
            source: Arc::new(Source {
                version,
                shard,
                entry,
                patience,
                failed: Mutex::default(),
            }),
            cursors: Mutex::default(),
        }
    }

    /// Reads at most `len` bytes from `offset` on; less only at the end of the file. The answer comes
    /// from a task of the runtime.
    pub(super) fn read(&self, runtime: &Handle, (offset, len): (u64, u32), answer: Answer) {
        let end = offset
            .saturating_add(u64::from(len))
            .min(self.source.entry.size());
        let mut read = Read {
            range: offset..end.max(offset),
            answer,
        };
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cursors.iter().position(|cursor| cursor.next == offset) {
            let mut cursor = cursors.remove(at);
            cursor.next = end;
            match cursor.reads.try_send(read) {
                Ok(()) => return cursors.push(cursor),
                // It ended with an error, or is behind: this read begins anew.
                Err(error) => read = error.into_inner(),
            }
        }
        if cursors.len() >= CURSORS_MAX {
            cursors.remove(0);
        }
        let (reads, waiting) = mpsc::channel(READS_WAITING_MAX);
        let next = read.range.end;
        if reads.try_send(read).is_ok() {
            runtime.spawn(self.source.clone().serve(waiting));
            cursors.push(Cursor { next, reads });
        }
    }
}

impl Source {
    /// Answers reads that follow each other. The first one costs no more than its bytes; from the second on
    /// they are read ahead.
    async fn serve(self: Arc<Self>, mut reads: mpsc::Receiver<Read>) {
        let (mut is_first, mut ahead) = (true, None);
        while let Some(Read { range, answer }) = reads.recv().await {
            let given = match is_first {
                true => self.steps(range.clone()).take(&range).await,
                false => {
                    let steps = || self.steps(range.start..self.entry.size());
                    ahead.get_or_insert_with(steps).take(&range).await
                }
            };
            is_first = false;
            let fault = given.as_ref().err().cloned();
            answer(given);
            let Some(fault) = fault else { continue };
            self.tell(&fault, range.end);
            reads.close();
            while let Ok(Read { answer, .. }) = reads.try_recv() {
                answer(Err(fault.clone()));
            }
        }
    }

    fn steps(&self, range: Range<u64>) -> Steps {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = match failed {
            Some(at) if at.elapsed() < SOON => BRIEF.min(self.patience),
            Some(_) | None => self.patience,
        };
        let reader = self.version.reader(self.shard, &self.entry);
        Steps {
            stream: Box::pin(reader.read(range, patience, self.patience)),
            rest: Bytes::new(),
        }
    }

    fn tell(&self, fault: &ReadFault, end: u64) {
        let path = self.entry.path();
        tracing::warn!(%path, before = end, %fault, "a read of the mount failed");
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// What is read in order, cut as it is asked for.
struct Steps {
    stream: Pin<Box<dyn Stream<Item = Given> + Send>>,
    rest: Bytes,
}

impl Steps {
    /// The bytes of `range`, which begins where the last one ended. They are copied only if they lie in
    /// several steps.
    async fn take(&mut self, range: &Range<u64>) -> Given {
        let len = usize::try_from(range.end - range.start).map_err(|_| ReadFault::Failed)?;
        if self.rest.is_empty() && len > 0 {
            self.rest = self.next().await?;
        }
        if self.rest.len() >= len {
            return Ok(self.rest.split_to(len));
        }
        let mut taken = Vec::with_capacity(len);
        loop {
            let part = self.rest.split_to(self.rest.len().min(len - taken.len()));
            taken.extend_from_slice(&part);
            if taken.len() == len {
                return Ok(Bytes::from(taken));
            }
            self.rest = self.next().await?;
        }
    }

    async fn next(&mut self) -> Given {
        self.stream.next().await.unwrap_or(Err(ReadFault::Failed))
    }
}
