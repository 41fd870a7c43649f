//! A node of the simulated network: its link, what it holds, and how it behaves.

use std::{collections::BTreeMap, rc::Rc};

use opendag_protocol::{
    fetch::Holdings,
    table::ShardIndex,
    wire::{GroupRange, GroupRanges},
};

use super::{data::Data, upload::Upload};

/// How a node behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Character {
    Honest,
    /// Sends wrong bytes from its n-th chunk group on.
    Liar(u64),
    /// Claims what it does not have.
    Boaster,
    /// Sends nothing from its n-th chunk group on, and never ends a request.
    Staller(u64),
    /// One chunk group in so many seconds.
    Trickler(u64),
    /// Has always too much to do.
    Busy,
    /// Ends requests as if answered, without answering.
    Skipper,
    /// Breaks the stream at each n-th chunk group.
    Breaker(u64),
}

/// Who is not honest, in turn.
pub(super) const EVIL: [Character; 9] = [
    Character::Liar(10),
    Character::Staller(20),
    Character::Boaster,
    Character::Liar(0),
    Character::Trickler(3),
    Character::Busy,
    Character::Breaker(20),
    Character::Staller(0),
    Character::Skipper,
];

/// What a node without a fetch of its own holds.
#[derive(Clone, Debug)]
pub(super) enum Holds {
    All,
    Parts(BTreeMap<u32, GroupRanges>),
}

/// One node and its link.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) character: Character,
    pub(super) holds: Holds,
    /// What its link carries, in bytes a second.
    pub(super) up: u64,
    pub(super) down: u64,
    /// Its part of the way to another node, one way.
    pub(super) delay_us: u64,
    /// Is it there?
    pub(super) here: bool,
    pub(super) upload: Upload,
    pub(super) sent_bytes: u64,
    pub(super) sent_groups: u64,
    /// When what was sent to it so far has passed its link.
    pub(super) down_free_us: u64,
    /// When what was sent to each peer so far arrives: bytes never overtake each other.
    pub(super) arrives_us: BTreeMap<u32, u64>,
}

impl Node {
    pub(super) fn new(up: u64, down: u64, delay_us: u64) -> Self {
        Self {
            character: Character::Honest,
            holds: Holds::All,
            up,
            down,
            delay_us,
            here: true,
            upload: Upload::default(),
            sent_bytes: 0,
            sent_groups: 0,
            down_free_us: 0,
            arrives_us: BTreeMap::new(),
        }
    }

    pub(super) const fn is_honest(&self) -> bool {
        matches!(self.character, Character::Honest)
    }
}

impl Holds {
    /// Stretches of pieces, counted over all shards; a small shard only as a whole.
    pub(super) fn stretches(data: &Data, stretches: &[(u64, u64)]) -> Self {
        let mut parts: BTreeMap<u32, GroupRanges> = BTreeMap::new();
        for (first, count) in stretches {
            let mut piece = *first;
            let end = first.saturating_add(*count).min(data.pieces());
            while piece < end {
                let (shard, inside) = data.place(piece);
                let here = (data.pieces_of(shard) - inside).min(end - piece);
                let piece_groups = data.piece_groups();
                let range = GroupRange {
                    first: inside * piece_groups,
                    count: here * piece_groups,
                };
                if let Some(range) = range.within(data.groups(shard)) {
                    parts.entry(shard).or_default().insert(range);
                }
                piece += here.max(1);
            }
        }
        parts.retain(|shard, ranges| {
            !data.is_small(*shard) || ranges.is_complete(data.groups(*shard))
        });
        Self::Parts(parts)
    }

    /// What of a range is here.
    pub(super) fn has(&self, shard: u32, groups: GroupRange) -> bool {
        match self {
            Self::All => true,
            Self::Parts(parts) => parts
                .get(&shard)
                .is_some_and(|ranges| ranges.contains_all(groups)),
        }
    }

    /// As it is told.
    pub(super) fn told(&self, data: &Data) -> Rc<[Holdings]> {
        match self {
            Self::All => Rc::new([Holdings::Complete]),
            Self::Parts(parts) => told(data, parts.iter()).into(),
        }
    }
}

/// What is held of shards, as it is told: whole ones as bits, others as ranges.
pub(super) fn told<'a>(
    data: &Data,
    parts: impl Iterator<Item = (&'a u32, &'a GroupRanges)>,
) -> Vec<Holdings> {
    let (mut whole, mut updates) = (Vec::new(), Vec::new());
    for (shard, ranges) in parts {
        if ranges.is_complete(data.groups(*shard)) {
            whole.push(*shard);
        } else if !data.is_small(*shard) {
            updates.push(Holdings::Partial {
                shard: ShardIndex(*shard),
                ranges: ranges.clone(),
            });
        }
    }
    for run in whole.chunk_by(|a, b| b - a < 4096) {
        let Some((first, last)) = run.first().zip(run.last()) else {
            continue;
        };
        let mut bits = vec![0u8; usize::try_from((last - first) / 8 + 1).unwrap_or(0)];
        for shard in run {
            let at = usize::try_from((shard - first) / 8).unwrap_or(0);
            if let Some(byte) = bits.get_mut(at) {
                *byte |= 1 << ((shard - first) % 8);
            }
        }
        updates.push(Holdings::Shards {
            first: ShardIndex(*first),
            bits,
        });
    }
    updates
}
