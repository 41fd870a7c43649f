//! The fetch scheduler: which part of which shard is asked of which peer.
//!
//! A state machine without I/O, in the shape of quinn-proto: the caller feeds [`Input`]s with the
//! time, drains [`Fetch::poll`], and calls [`Fetch::handle_timeout`] at [`Fetch::deadline`].
//! Rarest first, down to pieces, then in order inside a shard; small shards travel many in one request, a
//! large one in runs of pieces from many peers. The window of a peer follows its measured rate and
//! delay, all windows together stay below [`FetchConfig::in_flight_bytes_max`].
//! Specified in `specs/fetching.md`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    score::Offence,
    table::ShardIndex,
    time::Time,
    wire::{GroupRange, GroupRanges},
};

mod assign;
mod audit;
mod bits;
mod claims;
mod config;
mod endgame;
mod ends;
mod large;
mod pace;
mod peers;
mod progress;
mod queue;
mod readers;
mod requests;
mod shard;
mod shards;
#[cfg(test)]
mod tests;
mod wanted;

pub use audit::Broken;
pub use config::FetchConfig;
pub use progress::{PeerBytes, Progress, Why};

use peers::Peers;
use requests::Request;
use shards::{Shards, Slot};

/// A peer, as the caller numbers them. One peer keeps its key for the whole fetch, also when it
/// leaves and comes back: what it did wrong is remembered under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u32);

/// A request of this fetch, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A shard to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSpec {
    /// Its number in the version.
    pub shard: ShardIndex,
    /// Its bytes. A shard of 0 bytes is done at once: whether its hash is that of nothing is for
    /// the caller to check.
    pub size: u64,
    /// Groups that are here already, verified. Ignored for a small shard unless it is whole.
    pub have: GroupRanges,
}

/// What a peer says it holds. Claims add up; they end with [`Holdings::Nothing`], with the peer, or
/// where it lacks the thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holdings {
    /// What it said before does not hold any more.
    Nothing,
    /// All shards of the version.
    Complete,
    /// Whole shards: bit `i % 8`, counted from the least significant, of byte `i / 8` is shard
    /// `first + i`.
    Shards {
        /// The shard of the first bit.
        first: ShardIndex,
        /// The bits.
        bits: Vec<u8>,
    },
    /// Some groups of a shard.
    Partial {
        /// The shard.
        shard: ShardIndex,
        /// Its groups.
        ranges: GroupRanges,
    },
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer answered all items, each with its bytes or with "not found".
    Done,
    /// It did not answer in time.
    Timeout,
    /// It has too much to do.
    Busy,
    /// The stream or connection broke, or the peer refused.
    Closed,
    /// It sent bytes that do not have the hash that was asked for.
    WrongBytes,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A peer can be asked. Nothing is known of what it holds.
    PeerJoined {
        /// The peer.
        peer: PeerKey,
    },
    /// A peer cannot be asked any more; its requests have ended, no [`Input::Ended`] is needed.
    PeerLeft {
        /// The peer.
        peer: PeerKey,
    },
    /// A peer told what it holds, or what it holds by now.
    Holdings {
        /// The peer.
        peer: PeerKey,
        /// What it said.
        update: Holdings,
    },
    /// Groups of an item arrived, were verified and, in a large shard, written.
    ///
    /// Tell it as it goes, at least once a second while bytes arrive, or say [`Input::Alive`]: it
    /// is what keeps a slow peer from timing out. What is told after the request's end counts too.
    Verified {
        /// The request.
        request: RequestId,
        /// The item's shard.
        shard: ShardIndex,
        /// The groups.
        groups: GroupRange,
        /// Bytes that were received for them, proofs included.
        bytes: u64,
    },
    /// A request goes on: bytes verified that cannot be told yet, because they wait for a batch or
    /// for disk room. Keeps the peer from timing out, but not past the request's deadline.
    Alive {
        /// The request.
        request: RequestId,
    },
    /// The peer said that it does not hold the item.
    ItemMissing {
        /// The request.
        request: RequestId,
        /// The item's shard.
        shard: ShardIndex,
    },
    /// The end of a request, exactly one for each that was not cancelled.
    Ended {
        /// The request.
        request: RequestId,
        /// How.
        end: End,
    },
    /// A reader waits for these groups: ask for them next, and where they are on their way from a
    /// peer that is late with them, ask another as well.
    Prioritise {
        /// The shard.
        shard: ShardIndex,
        /// The groups.
        groups: GroupRange,
    },
    /// No reader waits for these groups any more, which one did. On demand, what of them was not asked
    /// for yet is not asked for; of two readers of one range the other must say again that it waits.
    Unwanted {
        /// The shard.
        shard: ShardIndex,
        /// The groups.
        groups: GroupRange,
    },
    /// On demand only: one more shard, of which peers claim nothing yet by itself. Their claims are to
    /// be told again.
    Add(ShardSpec),
    /// Groups that were here are lost: fetch them again. A small shard is lost as a whole.
    LocalLost {
        /// The shard.
        shard: ShardIndex,
        /// The groups.
        groups: GroupRange,
    },
}

/// One run of chunk groups of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The shard.
    pub shard: ShardIndex,
    /// The groups; never open.
    pub groups: GroupRange,
}

/// Why a request is not wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelCause {
    /// The peer was too slow: note [`Offence::Timeout`] in its score.
    Timeout,
    /// Another peer was faster.
    Superseded,
    /// The peer is banned.
    Banned,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask a peer.
    Request {
        /// Names it in later inputs.
        request: RequestId,
        /// Whom to ask.
        peer: PeerKey,
        /// For what; at least one.
        items: Vec<Item>,
        /// When it is cancelled at the latest, however steadily bytes arrive.
        deadline: Time,
    },
    /// Drop a request. It has ended: later inputs for it are ignored.
    Cancel {
        /// The request.
        request: RequestId,
        /// Why.
        cause: CancelCause,
    },
    /// All groups of a shard are here. Comes once, also for shards that were whole at the start;
    /// once more after [`Input::LocalLost`].
    ShardDone {
        /// The shard.
        shard: ShardIndex,
    },
    /// Ask a peer nothing more in this fetch.
    Ban {
        /// The peer.
        peer: PeerKey,
        /// What it did.
        offence: Offence,
    },
    /// All shards are here. Comes once more if shards were lost and came back.
    Completed,
}

/// A timer that is handled so late tells that this node was stopped or overloaded.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// A timer of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Has the peer stalled, or has it rested enough?
    Peer(PeerKey),
    /// Is the request past its deadline?
    Request(RequestId),
    /// Is there anything to ask twice?
    Endgame,
    /// Is there anything for peers that were idle?
    Idle,
    /// Is a reader waiting for a slow peer?
    Readers,
}

/// The scheduler of one fetch.
///
/// Invariants: bytes in flight never exceed the limit; each request has one end; a piece that is
/// missing is either wanted or in a request; the sums of peers and requests agree.
#[derive(Debug)]
pub struct Fetch {
    config: FetchConfig,
    shards: Shards,
    peers: Peers,
    requests: BTreeMap<RequestId, Request>,
    requests_made: u64,
    timers: BTreeSet<(Time, Timer)>,
    /// When it was last called.
    called_at: Time,
    endgame_at: Option<Time>,
    idle_at: Option<Time>,
    readers_at: Option<Time>,
    /// What readers wait for.
    readers: VecDeque<(Slot, GroupRange)>,
    completed: bool,
    received_bytes: u64,
    wasted_bytes: u64,
    steps: u64,
    outputs: VecDeque<Output>,
}

impl Fetch {
    /// A fetch of these shards, in any order; of two with one number the first counts.
    #[must_use]
    pub fn new(config: FetchConfig, shards: impl IntoIterator<Item = ShardSpec>) -> Self {
        let config = config.normalised();
        let mut fetch = Self {
            shards: Shards::new(&config, shards),
            peers: Peers::new(&config),
            requests: BTreeMap::new(),
            requests_made: 0,
            timers: BTreeSet::new(),
            called_at: Time::ZERO,
            endgame_at: None,
            idle_at: None,
            readers_at: None,
            readers: VecDeque::new(),
            completed: false,
            received_bytes: 0,
            wasted_bytes: 0,
            steps: 0,
            outputs: VecDeque::new(),
            config,
        };
        for slot in fetch.shards.slots() {
            if fetch.shards.is_done(slot) {
                fetch.tell_done(slot);
            }
        }
        fetch.tell_completed();
        fetch
    }

    /// Takes in what happened. Unknown peers, ended requests and repeated words do nothing.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.wake_up(now);
        match input {
            Input::PeerJoined { peer } => self.peers.join(now, peer),
            Input::PeerLeft { peer } => self.peer_left(peer),
            Input::Holdings { peer, update } => self.peers.claim(peer, &update, &mut self.shards),
            Input::Verified {
                request,
                shard,
                groups,
                bytes,
            } => {
                self.verified(now, request, Item { shard, groups }, bytes);
            }
            Input::Alive { request } => self.alive(now, request),
            Input::ItemMissing { request, shard } => self.item_missing(now, request, shard),
            Input::Ended { request, end } => self.ended(now, request, end),
            Input::Prioritise { shard, groups } => self.prioritise(now, shard, groups),
            Input::Unwanted { shard, groups } => self.unwanted(shard, groups),
            Input::Add(spec) => self.add(&spec),
            Input::LocalLost { shard, groups } => self.local_lost(shard, groups),
        }
        self.fill(now);
        self.check();
    }

    fn add(&mut self, spec: &ShardSpec) {
        if self.config.on_demand
            && let Some(slot) = self.shards.add(&self.config, spec)
            && self.shards.is_done(slot)
        {
            self.tell_done(slot);
        }
    }

    /// Is this shard one of those that it fetches?
    #[must_use]
    pub fn has_shard(&self, shard: ShardIndex) -> bool {
        self.shards.slot_of(shard).is_some()
    }

    /// On demand: is there no room for another shard? Then a new fetch goes on.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.shards.is_full()
    }

    /// The next thing to do; `None` until the next input or timeout.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Fetch::handle_timeout`]; `None`: not before the next input.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due. Too early or too often does nothing.
    pub fn handle_timeout(&mut self, now: Time) {
        self.wake_up(now);
        while let Some(&(at, timer)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Peer(peer) => self.peer_timer(now, peer),
                Timer::Request(request) => self.request_timer(now, request),
                Timer::Endgame => self.endgame(now),
                Timer::Idle => self.idle_timer(),
                Timer::Readers => self.readers_timer(now),
            }
        }
        self.fill(now);
        self.check();
    }

    /// Notices when this node itself stood still: a timer is overdue, and nothing was taken in since.
    /// Then peers are not to blame for their silence.
    fn wake_up(&mut self, now: Time) {
        let due = self.deadline().map_or(now, |due| due.max(self.called_at));
        if now.since(due) >= OVERSLEPT {
            self.peers.excuse(now);
        }
        self.called_at = self.called_at.max(now);
    }

    /// Elementary steps of work so far: how the cost of decisions is tested.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}
