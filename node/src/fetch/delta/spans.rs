//! Spans: runs of chunks that have to come from peers. To the scheduler they are small shards.

use opendag_protocol::{
    chunkmap::Chunk,
    fetch::{Holdings, ShardSpec},
    limits::SPAN_BYTES_MAX,
    table::ShardIndex,
    wire::{ByteSpan, GroupRanges, HoldingsUpdate, shards_in},
};

/// A run of neighbouring chunks of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Which file, by its place in the list of drafts.
    pub(super) draft: usize,
    /// The first of its chunks.
    pub(super) chunk: usize,
    /// How many.
    pub(super) chunks: usize,
    /// Where in the file.
    pub(super) bytes: ByteSpan,
}

/// All spans of some files, by their numbers in the scheduler.
///
/// Invariant: sorted by file, and the files by the numbers of their shards.
#[derive(Debug, Default)]
pub(super) struct Spans {
    list: Vec<Span>,
    /// The shard of each file and its first span.
    files: Vec<(ShardIndex, usize)>,
}

impl Spans {
    /// Adds the next file with its missing chunks, which come in order. Answers how many spans it has.
    pub(super) fn add(
        &mut self,
        shard: ShardIndex,
        missing: impl Iterator<Item = (usize, u64, Chunk)>,
    ) -> usize {
        let draft = self.files.len();
        let first = self.list.len();
        self.files.push((shard, first));
        for (chunk, start, Chunk { length, .. }) in missing {
            if let Some(last) = self.list.get_mut(first..).and_then(<[_]>::last_mut)
                && last.bytes.end() == start
                && let Some(longer) = longer(last.bytes, length)
            {
                last.bytes = longer;
                last.chunks += 1;
            } else if let Some(bytes) = ByteSpan::new(start, length) {
                self.list.push(Span {
                    draft,
                    chunk,
                    chunks: 1,
                    bytes,
                });
            }
        }
        self.list.len() - first
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// A span by its number.
    pub(super) fn get(&self, number: ShardIndex) -> Option<&Span> {
        self.list.get(usize::try_from(number.0).ok()?)
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> u64 {
        let lengths = self.list.iter().map(|span| span.bytes.length());
        lengths.map(u64::from).sum()
    }

    /// What the scheduler is given.
    pub(super) fn specs(&self) -> impl Iterator<Item = ShardSpec> + '_ {
        (0..).zip(&self.list).map(|(number, span)| ShardSpec {
            shard: ShardIndex(number),
            size: u64::from(span.bytes.length()),
            have: GroupRanges::new(),
        })
    }

    /// What a peer said of shards, said of spans.
    pub(super) fn translate(&self, said: &Holdings) -> Vec<Holdings> {
        match said {
            Holdings::Nothing | Holdings::Complete => vec![said.clone()],
            Holdings::Shards { first, bits } => {
                let held = shards_in(*first, bits).flat_map(|shard| self.of_shard(shard));
                claims(held)
            }
            Holdings::Partial { shard, ranges } => {
                let here = |number: &u32| {
                    let span = self.get(ShardIndex(*number));
                    span.is_some_and(|span| ranges.contains_all(span.bytes.groups()))
                };
                claims(self.of_shard(*shard).filter(here))
            }
        }
    }

    /// The numbers of a file's spans.
    fn of_shard(&self, shard: ShardIndex) -> std::ops::Range<u32> {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let Ok(at) = self.files.binary_search_by_key(&shard, |(shard, _)| *shard) else {
            return 0..0;
        };
        let start = self.files.get(at).map_or(0, |(_, first)| *first);
        let next = self.files.get(at + 1);
        let end = next.map_or(self.list.len(), |(_, first)| *first);
        number(start)..number(end)
    }
}

/// A span with so many bytes more, if it may be that long.
fn longer(span: ByteSpan, bytes: u32) -> Option<ByteSpan> {
    let length = span.length().checked_add(bytes)?;
    (length <= SPAN_BYTES_MAX)
        .then(|| ByteSpan::new(span.start(), length))
        .flatten()
}

fn claims(numbers: impl Iterator<Item = u32>) -> Vec<Holdings> {
    let updates = HoldingsUpdate::shards(numbers.map(ShardIndex));
    updates
        .filter_map(|update| match update {
            HoldingsUpdate::Shards { first, bits } => Some(Holdings::Shards {
                first,
                bits: bits.into_vec(),
            }),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
