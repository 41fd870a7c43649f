//! Compacting segments: the bytes of records that are needed no more are given back to the disk.
//!
//! The index says which entries are needed. While a run of segments is written again nothing is lost, whenever the
//! process dies: before the new file takes the place of the old ones, the index is made to cover nothing from there
//! on, so the next start reads them again. Source: `specs/storage.md`, section *Compaction*.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
    sync::{PoisonError, atomic::Ordering},
};

use opendag_protocol::RecordId;

use super::{
    catalogue::{Lies, hash},
    index::Table,
    open::{Store, StoreError, lock},
    segment::{Closed, EntryKind, Position, REWRITTEN_BYTES_MAX, Rewritten, Segments},
};

/// The part of the limit that may be needless before segments are written again.
const NEEDLESS_PART: u64 = 8;
/// Less than this is not worth it.
const NEEDLESS_BYTES_MIN: u64 = 64 * 1024;
/// Of a segment, in percent: so much of it is needed that it is left as it is.
const GOOD_PERCENT: u64 = 90;
/// Segments that become one.
const RUN_MAX: usize = 16;
/// Runs that are written in one go.
const RUNS_MAX: usize = 4096;

/// Records that are needed, and how long they are, by where they lie.
type Needed = HashMap<Position, (RecordId, u32)>;

impl Store {
    pub(crate) fn live_bytes(&self) -> u64 {
        self.inner.live.load(Ordering::Relaxed)
    }

    /// Writes segments again while too many of their bytes are needless. Others get a turn to write between two runs.
    pub(crate) fn compact(&self) -> Result<(), StoreError> {
        let needless_max = (self.inner.limit / NEEDLESS_PART).max(NEEDLESS_BYTES_MIN);
        let mut from = 0;
        for _ in 0..RUNS_MAX {
            let mut segments = lock(&self.inner.segments);
            let size = segments
                .closed()?
                .iter()
                .map(|closed| closed.bytes)
                .sum::<u64>()
                .saturating_add(segments.position().offset);
            let needless = size.saturating_sub(self.live_bytes());
            if self.inner.index.is_incomplete() || (from == 0 && needless <= needless_max) {
                return Ok(());
            }
            segments.close_current()?;
            let Some(run) = self.worst_run(&segments.closed()?, from)? else {
                return Ok(());
            };
            from = run.end().saturating_add(1);
            self.rewrite(&mut segments, run)?;
        }
        Ok(())
    }

    /// The first run of segments, from that number on, that are better written again.
    fn worst_run(
        &self,
        closed: &[Closed],
        from: u32,
    ) -> Result<Option<RangeInclusive<u32>>, StoreError> {
        let needed = self.needed_bytes()?;
        let needed_in = |one: &Closed| needed.get(&one.number).copied().unwrap_or(0);
        let is_good =
            |one: &Closed| needed_in(one) >= one.bytes / 100 * GOOD_PERCENT && one.bytes > 0;
        let mut later = closed
            .iter()
            .filter(|one| one.number >= from)
            .skip_while(|one| is_good(one))
            .peekable();
        let Some(first) = later.next() else {
            return Ok(None);
        };
        let (mut last, mut sum) = (first.number, needed_in(first));
        for next in later.take(RUN_MAX - 1) {
            sum = sum.saturating_add(needed_in(next));
            if sum > REWRITTEN_BYTES_MAX || is_good(next) {
                break;
            }
            last = next.number;
        }
        Ok(Some(first.number..=last))
    }

    /// Bytes of records that are needed in each segment.
    fn needed_bytes(&self) -> Result<BTreeMap<u32, u64>, StoreError> {
        let mut needed = BTreeMap::new();
        for row in self.inner.index.rows(Table::Records, &[]) {
            let (_, value) = row?;
            if let Some(lies) = Lies::decode(&value) {
                let bytes: &mut u64 = needed.entry(lies.at.segment).or_default();
                *bytes = bytes.saturating_add(lies.bytes());
            }
        }
        Ok(needed)
    }

    fn rewrite(&self, segments: &mut Segments, run: RangeInclusive<u32>) -> Result<(), StoreError> {
        let needed = self.needed_in(&run)?;
        let Some(rewritten) = self.written_again(segments, run, &needed)? else {
            return Ok(());
        };
        let moving = self.inner.moving.write();
        let _moving = moving.unwrap_or_else(PoisonError::into_inner);
        rewritten.take_place()?;
        self.point_to(segments, &rewritten, &needed)
    }

    /// Writes a run again, durably. From then on a start reads these segments again, whichever of them it finds.
    fn written_again(
        &self,
        segments: &Segments,
        run: RangeInclusive<u32>,
        needed: &Needed,
    ) -> Result<Option<Rewritten>, StoreError> {
        let first = Position {
            segment: *run.start(),
            offset: 0,
        };
        let rewritten = segments.rewrite(run, |at, kind| {
            kind != EntryKind::Record || needed.contains_key(&at)
        })?;
        if rewritten.is_some() {
            self.inner.index.set_covers(first)?;
            self.inner.index.flush()?;
        }
        Ok(rewritten)
    }

    /// Notes in the index where the entries lie now.
    fn point_to(
        &self,
        segments: &Segments,
        rewritten: &Rewritten,
        needed: &Needed,
    ) -> Result<(), StoreError> {
        for (from, to) in &rewritten.moved {
            if let Some((id, len)) = needed.get(from) {
                self.put_record(id, Lies { at: *to, len: *len })?;
            }
        }
        self.inner.index.set_covers(segments.position())?;
        Ok(self.inner.index.flush()?)
    }

    /// The records that are needed in a run of segments, by where they lie.
    fn needed_in(&self, run: &RangeInclusive<u32>) -> Result<Needed, StoreError> {
        let mut needed = Needed::new();
        for row in self.inner.index.rows(Table::Records, &[]) {
            let (id, value) = row?;
            let (Some(id), Some(lies)) = (hash(&id), Lies::decode(&value)) else {
                return Err(self.inner.index.damaged().into());
            };
            if run.contains(&lies.at.segment) {
                needed.insert(lies.at, (RecordId::from_hash(id), lies.len));
            }
        }
        Ok(needed)
    }
}

#[cfg(test)]
mod tests;
