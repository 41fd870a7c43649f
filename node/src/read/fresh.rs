//! Verified bytes that just came from a peer and go on to readers out of memory: nobody reads them back
//! from the disk and hashes them once more.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::body::Bytes;
use opendag_protocol::{limits::CHUNK_GROUP_BYTES, wire::GroupRange};

use crate::store::Piece;

/// The memory for fresh pieces of all files, and how much of it is taken. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Room {
    bytes_max: u64,
    taken: Arc<AtomicU64>,
}

/// A piece that takes room until nobody holds any of its bytes.
#[derive(Debug)]
pub(super) struct Fresh {
    piece: Piece,
    /// What it takes; 0: there was no room, and it is not kept.
    taken: u64,
    room: Room,
}

/// The fresh pieces of a file, by their first group.
#[derive(Debug)]
pub(super) struct FreshPieces {
    pieces: Mutex<BTreeMap<u64, Arc<Fresh>>>,
    room: Room,
}

/// Lets bytes of a piece leave without a copy.
struct Owner(Arc<Fresh>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.piece.bytes()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

impl Fresh {
    /// The piece itself.
    pub(super) fn piece(&self) -> &Piece {
        &self.piece
    }
}

impl FreshPieces {
    pub(super) fn new(room: Room) -> Self {
        Self {
            pieces: Mutex::default(),
            room,
        }
    }

    /// Takes a piece, and keeps it for readers if somebody `wants` it and there is room.
    pub(super) fn add(&self, piece: Piece, wants: impl FnOnce(GroupRange) -> bool) -> Arc<Fresh> {
        let bytes = u64::try_from(piece.bytes().len()).unwrap_or(u64::MAX);
        let groups = piece.groups().filter(|groups| wants(*groups));
        let taken = if groups.is_some() && self.room.take(bytes) {
            bytes
        } else {
            0
        };
        let fresh = Arc::new(Fresh {
            piece,
            taken,
            room: self.room.clone(),
        });
        if let Some(groups) = groups.filter(|_| taken > 0) {
            self.lock().insert(groups.first, fresh.clone());
        }
        fresh
    }

    /// The bytes of `range` from its start on, as far as one piece reaches.
    pub(super) fn bytes(&self, range: &Range<u64>) -> Option<Bytes> {
        let group = range.start / CHUNK_GROUP_BYTES;
        let (first, fresh) = {
            let pieces = self.lock();
            let (first, fresh) = pieces.range(..=group).next_back()?;
            (*first, fresh.clone())
        };
        let skip = range.start - first.checked_mul(CHUNK_GROUP_BYTES)?;
        let len = u64::try_from(fresh.piece.bytes().len()).ok()?;
        let end = len.min(skip.checked_add(range.end.checked_sub(range.start)?)?);
        (skip < end).then_some(())?;
        let (skip, end) = (usize::try_from(skip).ok()?, usize::try_from(end).ok()?);
        Some(Bytes::from_owner(Owner(fresh)).slice(skip..end))
    }

    /// Forgets pieces that nobody `wants` any more.
    pub(super) fn retain(&self, wants: impl Fn(GroupRange) -> bool) {
        let mut pieces = self.lock();
        pieces.retain(|_, fresh| fresh.piece.groups().is_some_and(&wants));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Fresh>>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// For so many bytes.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            taken: Arc::default(),
        }
    }

    /// Takes room if there is enough.
    fn take(&self, bytes: u64) -> bool {
        let more = |taken: u64| {
            taken
                .checked_add(bytes)
                .filter(|all| *all <= self.bytes_max)
        };
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        self.taken.fetch_update(set, get, more).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{bytes, piece};

    const GROUP: u64 = CHUNK_GROUP_BYTES;

    fn groups(first: u64, count: u64) -> GroupRange {
        GroupRange { first, count }
    }

    #[test]
    fn bytes_go_out_as_far_as_a_piece_reaches_and_no_copy_is_made() {
        let blob = bytes(100 * 16 * 1024 - 7, 1);
        let fresh = FreshPieces::new(Room::new(u64::MAX));
        drop(fresh.add(piece(&blob, groups(10, 5)), |_| true));
        drop(fresh.add(piece(&blob, groups(95, 5)), |_| true));
        let at = |from: u64| usize::try_from(from).unwrap();
        for (range, end) in [
            (10 * GROUP..11 * GROUP, 11 * GROUP),
            (12 * GROUP + 3..90 * GROUP, 15 * GROUP),
            (99 * GROUP..100 * GROUP, 100 * GROUP - 7),
        ] {
            let found = fresh.bytes(&range).unwrap();
            assert_eq!(found, blob[at(range.start)..at(end)], "{range:?}");
        }
        for range in [0..GROUP, 10 * GROUP - 1..11 * GROUP, 15 * GROUP..16 * GROUP] {
            assert_eq!(fresh.bytes(&range), None, "{range:?}");
        }
        fresh.retain(|piece| piece.first > 10);
        assert_eq!(fresh.bytes(&(10 * GROUP..11 * GROUP)), None);
    }

    #[test]
    fn pieces_take_room_until_nobody_holds_their_bytes() {
        let blob = bytes(100 * 16 * 1024, 2);
        let fresh = FreshPieces::new(Room::new(10 * GROUP));
        let here = |first: u64| fresh.bytes(&(first * GROUP..(first + 1) * GROUP));
        let add = |first: u64| drop(fresh.add(piece(&blob, groups(first, 5)), |_| true));
        add(0);
        add(5);
        add(10);
        assert!(here(0).is_some() && here(5).is_some());
        assert_eq!(here(10), None, "there is no room");
        let out = here(0);
        fresh.retain(|_| false);
        assert_eq!(here(0), None);
        add(10);
        add(15);
        assert!(
            here(10).is_some() && here(15).is_none(),
            "a reader has the rest"
        );
        drop(out);
        add(15);
        assert!(here(15).is_some());
    }

    #[test]
    fn what_nobody_wants_is_not_kept() {
        let blob = bytes(100 * 16 * 1024, 3);
        let fresh = FreshPieces::new(Room::new(u64::MAX));
        let passed = fresh.add(piece(&blob, groups(0, 5)), |_| false);
        assert_eq!(passed.piece().groups(), Some(groups(0, 5)));
        assert_eq!(fresh.bytes(&(0..GROUP)), None);
    }
}
