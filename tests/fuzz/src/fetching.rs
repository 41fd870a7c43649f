//! A fetch that is driven by arbitrary inputs and checked from outside after each.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use arbitrary::Arbitrary;
use opendag_protocol::{
    Time,
    fetch::{
        End, Fetch, FetchConfig, Holdings, Input, Item, Output, PeerKey, RequestId, ShardSpec,
    },
    table::ShardIndex,
    wire::{GroupRange, GroupRanges, groups_in},
};

const MIB: u64 = 1 << 20;

/// Sizes of the shards: none, small ones, the limit of small ones, large ones.
const SIZES: [u64; 7] = [0, 1, 100_000, MIB, MIB + 1, 3 * MIB + 1, 9 * MIB];

/// Numbers of shards that inputs name: the last is of none.
const SHARDS: u32 = 8;

/// Peers that inputs name.
const PEERS: u32 = 5;

/// Steps of one run.
const STEPS_MAX: usize = 200;

/// Where a run begins, and what happens.
#[derive(Debug, Arbitrary)]
pub struct Run {
    in_flight_mib: u8,
    seed: u8,
    have: Vec<(u8, Range)>,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
struct Range {
    first: u16,
    count: u16,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Join {
        peer: u8,
    },
    Leave {
        peer: u8,
    },
    Claim {
        peer: u8,
        claim: Claim,
    },
    /// Part of an open request arrives: from the start, or all of it.
    Arrive {
        open: u8,
        item: u8,
        groups: Option<u8>,
    },
    Alive {
        open: u8,
    },
    Lack {
        open: u8,
        item: u8,
    },
    End {
        open: u8,
        end: Ending,
    },
    /// What belongs to no item that was asked for.
    Stray {
        request: u8,
        shard: u8,
        range: Range,
        bytes: u32,
    },
    StrayEnd {
        request: u8,
        end: Ending,
    },
    Prioritise {
        shard: u8,
        range: Range,
    },
    Unwant {
        shard: u8,
        range: Range,
    },
    Lose {
        shard: u8,
        range: Range,
    },
    Wait {
        ms: u16,
    },
}

#[derive(Debug, Arbitrary)]
enum Claim {
    Nothing,
    Complete,
    Shards { first: u32, bits: [u8; 3] },
    Partial { shard: u8, ranges: [Range; 2] },
    Hostile { shard: u32, first: u64, count: u64 },
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Ending {
    Done,
    Timeout,
    Busy,
    Closed,
    WrongBytes,
}

/// A fetch, and what was seen of it.
pub struct Driver {
    fetch: Fetch,
    now: Time,
    in_flight_bytes_max: u64,
    /// Requests without an end.
    open: BTreeMap<RequestId, (PeerKey, Vec<Item>)>,
    seen: BTreeSet<RequestId>,
    /// Peers that may be asked.
    here: BTreeSet<PeerKey>,
    banned: BTreeSet<PeerKey>,
    done: BTreeSet<ShardIndex>,
}

impl Driver {
    /// A fetch that has gone through a run.
    ///
    /// # Panics
    /// If the fetch broke a rule.
    pub fn after(run: &Run) -> Self {
        let in_flight_bytes_max = u64::from(run.in_flight_mib % 9).max(1) * MIB;
        let config = FetchConfig {
            in_flight_bytes_max,
            seed: run.seed.into(),
            ..FetchConfig::default()
        };
        let shards = (0_u32..).zip(SIZES).map(|(number, size)| {
            let of_shard = |entry: &&(u8, Range)| u32::from(entry.0) % SHARDS == number;
            let have = run
                .have
                .iter()
                .take(10)
                .filter(of_shard)
                .map(|(_, range)| range.groups());
            let have: GroupRanges = have.collect();
            ShardSpec {
                shard: ShardIndex(number),
                size,
                have: have.within(groups_in(size)),
            }
        });
        let mut driver = Self {
            fetch: Fetch::new(config, shards),
            now: Time::ZERO,
            in_flight_bytes_max,
            open: BTreeMap::new(),
            seen: BTreeSet::new(),
            here: BTreeSet::new(),
            banned: BTreeSet::new(),
            done: BTreeSet::new(),
        };
        driver.drain();
        for step in run.steps.iter().take(STEPS_MAX) {
            driver.step(step);
        }
        driver
    }

    /// One honest peer with everything comes, fails twice, and then answers all that it is asked.
    ///
    /// # Panics
    /// If the fetch does not come to its end, or breaks a rule.
    pub fn finish_with_one_honest_peer(&mut self) {
        let honest = PeerKey(PEERS);
        self.input(Input::PeerJoined { peer: honest });
        self.input(Input::Holdings {
            peer: honest,
            update: Holdings::Complete,
        });
        let mut fails = 2;
        for _ in 0..10_000 {
            while let Some((id, items)) = self.asked_of(honest) {
                // It rests now: only its own timer brings it back.
                if fails > 0 {
                    fails -= 1;
                    let end = End::Busy;
                    self.input(Input::Ended { request: id, end });
                    continue;
                }
                for Item { shard, groups } in items {
                    self.input(Input::Verified {
                        request: id,
                        shard,
                        groups,
                        bytes: 1,
                    });
                }
                self.input(Input::Ended {
                    request: id,
                    end: End::Done,
                });
            }
            if self.fetch.is_complete() {
                return;
            }
            let next = self
                .fetch
                .deadline()
                .expect("a fetch that is not complete waits for something");
            self.now = self.now.max(next);
            self.fetch.handle_timeout(self.now);
            self.drain();
        }
        panic!(
            "{:?}, {:?}",
            self.fetch.progress(),
            self.fetch.stalled(self.now)
        );
    }

    fn asked_of(&self, honest: PeerKey) -> Option<(RequestId, Vec<Item>)> {
        let mut open = self.open.iter();
        open.find(|(_, (peer, _))| *peer == honest)
            .map(|(id, (_, items))| (*id, items.clone()))
    }

    fn step(&mut self, step: &Step) {
        let input = match step {
            Step::Join { peer } => Input::PeerJoined {
                peer: peer_key(*peer),
            },
            Step::Leave { peer } => Input::PeerLeft {
                peer: peer_key(*peer),
            },
            Step::Claim { peer, claim } => Input::Holdings {
                peer: peer_key(*peer),
                update: claim.holdings(),
            },
            Step::Arrive { open, item, groups } => {
                let Some((
                    request,
                    Item {
                        shard,
                        groups: asked,
                    },
                )) = self.pick(*open, *item)
                else {
                    return;
                };
                let count =
                    groups.map_or(asked.count, |part| u64::from(part).clamp(1, asked.count));
                let groups = GroupRange {
                    first: asked.first,
                    count,
                };
                Input::Verified {
                    request,
                    shard,
                    groups,
                    bytes: count * 16_384,
                }
            }
            Step::Alive { open } => {
                let Some((request, _)) = self.pick(*open, 0) else {
                    return;
                };
                Input::Alive { request }
            }
            Step::Lack { open, item } => {
                let Some((request, Item { shard, .. })) = self.pick(*open, *item) else {
                    return;
                };
                Input::ItemMissing { request, shard }
            }
            Step::End { open, end } => {
                let Some((request, _)) = self.pick(*open, 0) else {
                    return;
                };
                Input::Ended {
                    request,
                    end: end.end(),
                }
            }
            Step::Stray {
                request,
                shard,
                range,
                bytes,
            } => Input::Verified {
                request: RequestId((*request).into()),
                shard: shard_index(*shard),
                groups: range.groups(),
                bytes: (*bytes).into(),
            },
            Step::StrayEnd { request, end } => Input::Ended {
                request: RequestId((*request).into()),
                end: end.end(),
            },
            Step::Prioritise { shard, range } => Input::Prioritise {
                shard: shard_index(*shard),
                groups: range.groups(),
            },
            Step::Unwant { shard, range } => Input::Unwanted {
                shard: shard_index(*shard),
                groups: range.groups(),
            },
            Step::Lose { shard, range } => Input::LocalLost {
                shard: shard_index(*shard),
                groups: range.groups(),
            },
            Step::Wait { ms } => {
                self.now = self.now + Duration::from_millis((*ms).into());
                self.fetch.handle_timeout(self.now);
                return self.drain();
            }
        };
        self.input(input);
    }

    /// An item of an open request.
    fn pick(&self, open: u8, item: u8) -> Option<(RequestId, Item)> {
        let at = usize::from(open) % self.open.len().max(1);
        let (id, (_, items)) = self.open.iter().nth(at)?;
        items
            .get(usize::from(item) % items.len())
            .map(|item| (*id, *item))
    }

    fn input(&mut self, input: Input) {
        match &input {
            Input::PeerJoined { peer } => drop(self.here.insert(*peer)),
            Input::PeerLeft { peer } => {
                self.here.remove(peer);
                self.open.retain(|_, (asked, _)| asked != peer);
            }
            Input::Ended { request, .. } => drop(self.open.remove(request)),
            Input::LocalLost { shard, .. } => drop(self.done.remove(shard)),
            Input::Holdings { .. }
            | Input::Verified { .. }
            | Input::Alive { .. }
            | Input::ItemMissing { .. }
            | Input::Prioritise { .. }
            | Input::Unwanted { .. }
            | Input::Add(_) => {}
        }
        self.fetch.handle(self.now, input);
        self.drain();
    }

    /// Takes what is to be done, and checks it and the state after it.
    fn drain(&mut self) {
        while let Some(output) = self.fetch.poll() {
            match output {
                Output::Request {
                    request,
                    peer,
                    items,
                    deadline,
                } => {
                    assert!(self.seen.insert(request), "{request:?} is used twice");
                    assert!(self.here.contains(&peer) && !self.banned.contains(&peer));
                    assert!(!items.is_empty() && deadline > self.now);
                    items.iter().for_each(check_item);
                    self.open.insert(request, (peer, items));
                }
                Output::Cancel { request, .. } => {
                    assert!(
                        self.open.remove(&request).is_some(),
                        "{request:?} ends twice"
                    );
                }
                Output::ShardDone { shard } => {
                    assert!(self.done.insert(shard), "{shard} is done twice")
                }
                Output::Ban { peer, .. } => drop(self.banned.insert(peer)),
                Output::Completed => assert!(self.fetch.is_complete()),
            }
        }
        let progress = self.fetch.progress();
        assert!(progress.in_flight_bytes <= self.in_flight_bytes_max);
        assert!(progress.in_flight_bytes == 0 || !self.open.is_empty());
        assert!(progress.bytes_done <= progress.bytes_total);
        assert!(progress.shards_done <= progress.shards_total);
        assert_eq!(
            self.fetch.is_complete(),
            progress.shards_done == progress.shards_total
        );
        assert!(!self.fetch.is_complete() || progress.bytes_done == progress.bytes_total);
        assert!(
            self.open
                .values()
                .all(|(peer, _)| !self.banned.contains(peer))
        );
        let _ = self.fetch.stalled(self.now);
        if let Err(broken) = self.fetch.audit() {
            panic!("{broken}");
        }
    }
}

/// Within its shard, and not open.
fn check_item(item: &Item) {
    let size = usize::try_from(item.shard.0)
        .ok()
        .and_then(|shard| SIZES.get(shard));
    let groups = groups_in(*size.expect("only shards of the fetch are asked for"));
    assert!(
        item.groups.count > 0 && item.groups.end() <= groups,
        "{item:?}"
    );
}

impl Range {
    fn groups(self) -> GroupRange {
        GroupRange {
            first: u64::from(self.first % 700),
            count: u64::from(self.count % 700),
        }
    }
}

impl Claim {
    fn holdings(&self) -> Holdings {
        match self {
            Self::Nothing => Holdings::Nothing,
            Self::Complete => Holdings::Complete,
            Self::Shards { first, bits } => Holdings::Shards {
                // Mostly shards that there are, sometimes the last numbers.
                first: ShardIndex(if *first < u32::MAX - 99 {
                    *first % SHARDS
                } else {
                    *first
                }),
                bits: bits.to_vec(),
            },
            Self::Partial { shard, ranges } => Holdings::Partial {
                shard: shard_index(*shard),
                ranges: ranges.iter().map(|range| range.groups()).collect(),
            },
            Self::Hostile {
                shard,
                first,
                count,
            } => {
                // What a message may hold.
                let is_valid = first
                    .checked_add((*count).max(1))
                    .is_some_and(|end| end < u64::MAX);
                let range = GroupRange {
                    first: *first,
                    count: *count,
                };
                Holdings::Partial {
                    shard: ShardIndex(*shard),
                    ranges: is_valid.then_some(range).into_iter().collect(),
                }
            }
        }
    }
}

impl Ending {
    fn end(self) -> End {
        match self {
            Self::Done => End::Done,
            Self::Timeout => End::Timeout,
            Self::Busy => End::Busy,
            Self::Closed => End::Closed,
            Self::WrongBytes => End::WrongBytes,
        }
    }
}

fn peer_key(number: u8) -> PeerKey {
    PeerKey(u32::from(number) % PEERS)
}

fn shard_index(number: u8) -> ShardIndex {
    ShardIndex(u32::from(number) % SHARDS)
}
