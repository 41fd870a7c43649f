//! Assembling: drafts get the spans that arrive, are checked as a whole, and are handed to the writer.
//!
//! Everything here blocks, but for what the session asks between its events.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opendag_protocol::{
    DatasetPath,
    chunkmap::{Chunk, ChunkMap},
    fetch::{Holdings, Item, PeerKey, ShardSpec},
    table::ShardIndex,
    wire::groups_in,
};
use tokio_util::sync::CancellationToken;

use super::{
    bases::Bases,
    chunks::Chunks,
    draft::{Draft, Finished},
    spans::{Span, Spans},
    transfer::SpanOrder,
};
use crate::{
    disk::DiskError,
    fetch::{
        request::Arrived,
        table::Wanted,
        writer::{WriteError, Writer},
    },
};

/// Files that are worth assembling, with what was found of them on this node.
#[derive(Debug, Default)]
pub(in crate::fetch) struct Found {
    /// Sorted by number.
    pub(super) files: Vec<(Wanted, ChunkMap)>,
    pub(super) chunks: Chunks,
    pub(super) bases: Bases,
}

/// Files that are put together now.
#[derive(Debug)]
pub(in crate::fetch) struct Assembly {
    writer: Arc<Writer>,
    drafts: Vec<Draft>,
    spans: Spans,
    state: Mutex<State>,
}

/// Invariant: `lacking` of a draft counts its spans that are not in `claimed` or are still being written.
#[derive(Debug)]
struct State {
    /// By draft: spans that are not written yet.
    lacking: Vec<usize>,
    /// By draft: how it ended.
    ends: Vec<Option<Ended>>,
    /// By span: has somebody begun to write it? A span is never written twice, since its file may be placed by then.
    claimed: Vec<bool>,
    /// By draft: was something written that is not durable?
    dirty: Vec<bool>,
    /// Who sent a span that is not what the map says.
    accused: BTreeMap<ShardIndex, PeerKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It is what the table says, and with the writer.
    Adopted,
    /// The map was wrong, or the disk lost it: it is fetched in the ordinary way.
    GivenUp,
}

impl Assembly {
    /// Begins drafts and copies what is here. Answers also the shards that were placed meanwhile.
    pub(in crate::fetch) fn begin(
        writer: Arc<Writer>,
        found: Found,
        cancel: &CancellationToken,
    ) -> Result<(Self, Vec<ShardIndex>), WriteError> {
        let Found {
            files,
            chunks,
            mut bases,
        } = found;
        let mut assembly = Self {
            writer,
            drafts: Vec::with_capacity(files.len()),
            spans: Spans::default(),
            state: Mutex::new(State {
                lacking: Vec::with_capacity(files.len()),
                ends: vec![None; files.len()],
                claimed: Vec::new(),
                dirty: vec![false; files.len()],
                accused: BTreeMap::new(),
            }),
        };
        let mut placed = Vec::new();
        for (at, (wanted, map)) in files.into_iter().enumerate() {
            let shard = wanted.shard;
            let draft = Draft::open(assembly.writer.target(), wanted, map)?;
            let filled = draft.fill(&chunks, &mut bases, cancel);
            let here = filled.map_err(|error| assembly.disk(&draft, error))?;
            let missing = draft.map.with_offsets().zip(&here).enumerate();
            let missing = missing.filter(|(_, (_, here))| !**here);
            let missing = missing.map(|(at, ((start, chunk), _))| (at, start, chunk));
            let lacking = assembly.spans.add(shard, missing);
            assembly.drafts.push(draft);
            assembly.state().lacking.push(lacking);
            if lacking == 0 {
                assembly.finish(at)?;
                if assembly.writer.is_due() {
                    placed.extend(assembly.writer.sync()?);
                }
            }
        }
        assembly.state().claimed = vec![false; assembly.spans.len()];
        placed.extend(assembly.writer.sync()?);
        Ok((assembly, placed))
    }

    /// Bytes that have to come from peers.
    pub(in crate::fetch) fn missing_bytes(&self) -> u64 {
        self.spans.bytes()
    }

    /// Bytes of all its files.
    pub(in crate::fetch) fn bytes(&self) -> u64 {
        let sizes = self.drafts.iter().map(|draft| draft.wanted.entry.size());
        sizes.sum()
    }

    /// What the scheduler is given.
    pub(in crate::fetch) fn specs(&self) -> Vec<ShardSpec> {
        self.spans.specs().collect()
    }

    /// What a peer said of shards, said of spans.
    pub(in crate::fetch) fn translate(&self, said: &Holdings) -> Vec<Holdings> {
        self.spans.translate(said)
    }

    /// The order for an item of the scheduler; `None` if its file was given up.
    pub(in crate::fetch) fn order(&self, item: Item) -> Option<SpanOrder> {
        let span = self.spans.get(item.shard)?;
        let draft = self.drafts.get(span.draft)?;
        let ended = self.state().ends.get(span.draft).copied().flatten();
        let chunks = chunks_of(draft, span);
        (ended.is_none()).then(|| SpanOrder {
            item,
            hash: draft.wanted.entry.hash(),
            bytes: span.bytes,
            chunks: chunks.to_vec(),
        })
    }

    /// Payload bytes of an item.
    pub(in crate::fetch) fn payload_bytes(&self, item: Item) -> u64 {
        let span = self.spans.get(item.shard);
        let size = span.map_or(0, |span| u64::from(span.bytes.length()));
        let bytes = item.groups.within(groups_in(size));
        bytes.map_or(0, |groups| {
            let bytes = groups.bytes(size);
            bytes.end - bytes.start
        })
    }

    /// The path of the file of a span.
    pub(in crate::fetch) fn path(&self, number: ShardIndex) -> Option<&DatasetPath> {
        let draft = self.drafts.get(self.spans.get(number)?.draft)?;
        Some(draft.wanted.entry.path())
    }

    /// Writes checked spans, or waits until there is room for more that is not durable yet.
    pub(super) fn write(&self, spans: Vec<(Arrived, Vec<u8>)>) -> Result<Vec<Arrived>, WriteError> {
        self.writer.wait_for_room()?;
        let mut written = Vec::with_capacity(spans.len());
        for (arrived, bytes) in spans {
            let number = arrived.item.shard;
            if let Some(span) = self.spans.get(number)
                && let Some(draft) = self.drafts.get(span.draft)
                && self.claim(number, span)
            {
                draft
                    .write(span.bytes.start(), &bytes)
                    .map_err(|error| self.disk(draft, error))?;
                self.writer.count_dirty(bytes.len());
                if self.is_last(span.draft) {
                    self.finish(span.draft)?;
                }
            }
            written.push(arrived);
        }
        Ok(written)
    }

    /// Is this the first time that the span comes, and its file still wanted?
    fn claim(&self, number: ShardIndex, span: &Span) -> bool {
        let mut state = self.state();
        let is_open = matches!(state.ends.get(span.draft), Some(None));
        if let Some(dirty) = state.dirty.get_mut(span.draft) {
            *dirty |= is_open;
        }
        let at = usize::try_from(number.0).unwrap_or(usize::MAX);
        let claimed = state.claimed.get_mut(at);
        is_open && claimed.is_some_and(|claimed| !std::mem::replace(claimed, true))
    }

    /// A span was written: was it the last one of its draft?
    fn is_last(&self, draft: usize) -> bool {
        let mut state = self.state();
        let Some(lacking) = state.lacking.get_mut(draft) else {
            return false;
        };
        *lacking = lacking.saturating_sub(1);
        *lacking == 0
    }

    /// All chunks are there: the file is hashed as a whole and handed to the writer, or given up.
    fn finish(&self, at: usize) -> Result<(), WriteError> {
        let Some(draft) = self.drafts.get(at) else {
            return Ok(());
        };
        let finished = draft.finish().map_err(|error| self.disk(draft, error))?;
        let adopted = match finished {
            Finished::Memory(bytes) => self.writer.adopt_bytes(&draft.wanted, &bytes)?,
            Finished::Disk { name, file } => self.writer.adopt_file(&draft.wanted, name, file)?,
        };
        if !adopted {
            tracing::debug!(path = %draft.wanted.entry.path(), "the chunks of a file are not the file");
        }
        let end = if adopted {
            Ended::Adopted
        } else {
            Ended::GivenUp
        };
        self.end(at, end);
        Ok(())
    }

    fn end(&self, draft: usize, end: Ended) {
        if let Some(ended) = self.state().ends.get_mut(draft) {
            *ended = Some(end);
        }
    }

    /// A peer sent something else for a span than the map says. If it is not the first, the map is not believed
    /// any more: its file goes the ordinary way, with proofs.
    pub(in crate::fetch) fn accuse(&self, number: ShardIndex, peer: PeerKey) {
        let Some(span) = self.spans.get(number) else {
            return;
        };
        let first = *self.state().accused.entry(number).or_insert(peer);
        if first != peer {
            self.give_up(span.draft);
        }
    }

    fn give_up(&self, at: usize) {
        let is_open = matches!(self.state().ends.get(at), Some(None));
        if let Some(draft) = self.drafts.get(at).filter(|_| is_open) {
            self.end(at, Ended::GivenUp);
            draft.abandon(self.writer.target());
        }
    }

    /// Makes durable what was written to large drafts. One that the disk lost is given up.
    pub(in crate::fetch) fn sync(&self) {
        let dirty = {
            let mut state = self.state();
            let none = vec![false; state.dirty.len()];
            std::mem::replace(&mut state.dirty, none)
        };
        for (at, draft) in self.drafts.iter().enumerate() {
            if dirty.get(at) == Some(&true) && draft.sync().is_err() {
                self.give_up(at);
            }
        }
    }

    /// Ends it. What is not whole is given up.
    pub(in crate::fetch) fn close(&self) {
        (0..self.drafts.len()).for_each(|at| self.give_up(at));
    }

    /// Bytes of the files that were not assembled in the end.
    pub(in crate::fetch) fn given_up_bytes(&self) -> u64 {
        let state = self.state();
        let given_up = self.drafts.iter().zip(&state.ends);
        given_up
            .filter(|(_, end)| **end != Some(Ended::Adopted))
            .map(|(draft, _)| draft.wanted.entry.size())
            .sum()
    }

    fn disk(&self, draft: &Draft, error: io::Error) -> WriteError {
        let path = draft.wanted.entry.path();
        let shown = self.writer.target().path().join(path.as_str());
        DiskError::io("write", &shown)(error).into()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn chunks_of<'a>(draft: &'a Draft, span: &Span) -> &'a [Chunk] {
    let chunks = draft.map.chunks();
    chunks
        .get(span.chunk..span.chunk + span.chunks)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
