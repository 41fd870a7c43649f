//! A deterministic network in virtual time: peers with a rate, a delay and a character.
//!
//! The simulator keeps its own account of what was asked for and what arrived, and checks the
//! scheduler's words against it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::*;
use crate::{fetch::queue::spread, wire::groups_in};

/// How a peer behaves.
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
    /// Breaks the stream from its n-th chunk group on.
    Breaker(u64),
}

/// A peer and the link to it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) character: Character,
    pub(super) bytes_per_s: u64,
    /// One way.
    pub(super) delay_us: u64,
    /// What each item costs it.
    pub(super) item_us: u64,
    /// In 1,000 parts so many are sent again.
    pub(super) loss: u64,
    pub(super) joins_at_ms: u64,
    pub(super) leaves_at_ms: Option<u64>,
    /// `None`: all.
    pub(super) holds: Option<BTreeSet<u32>>,
}

/// What a peer is at.
#[derive(Debug, Default)]
struct Work {
    sent_groups: u64,
    sending: bool,
    queue: VecDeque<Part>,
}

impl Node {
    pub(super) fn new(bytes_per_s: u64, delay_ms: u64) -> Self {
        Self {
            character: Character::Honest,
            bytes_per_s,
            delay_us: delay_ms * 1000,
            item_us: 0,
            loss: 0,
            joins_at_ms: 0,
            leaves_at_ms: None,
            holds: None,
        }
    }

    pub(super) fn is(mut self, character: Character) -> Self {
        self.character = character;
        self
    }
}

/// Part of an item on its way, or the end of a request.
#[derive(Clone, Copy, Debug)]
enum Part {
    Groups {
        request: RequestId,
        item: Item,
        first_of_item: bool,
    },
    End {
        request: RequestId,
    },
}

impl Part {
    fn request(&self) -> RequestId {
        match self {
            Self::Groups { request, .. } | Self::End { request } => *request,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Join(u32),
    Leave(u32),
    /// A request reaches its peer.
    Asked(u32, RequestId),
    /// A peer has sent a part and can send the next.
    Send(u32),
    /// A part reaches us.
    Arrive(u32, Part, bool),
    /// A part is verified and written.
    Handle(u32, Part, bool),
    /// A request ends in another way.
    End(RequestId, End),
    Missing(RequestId, ShardIndex),
}

/// What came of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) completed_ms: Option<u64>,
    pub(super) requests: u64,
    pub(super) items: u64,
    /// Bytes of groups that arrived and were right, without proofs.
    pub(super) arrived: u64,
    /// Bytes that each peer gave first.
    pub(super) given: BTreeMap<u32, u64>,
    pub(super) in_flight_peak: u64,
    pub(super) banned: BTreeSet<u32>,
    pub(super) wrong_groups: BTreeMap<u32, u64>,
    pub(super) asked_bytes: BTreeMap<u32, u64>,
}

pub(super) struct Sim {
    pub(super) fetch: Fetch,
    pub(super) nodes: Vec<Node>,
    work: Vec<Work>,
    pub(super) report: Report,
    /// What we can verify and write.
    pub(super) own_bytes_per_s: u64,
    /// Groups that one `Verified` tells of at most.
    pub(super) part_groups: u64,
    /// Is a liar told as a broken stream? Only for negative controls.
    pub(super) hide_lies: bool,
    sizes: BTreeMap<u32, u64>,
    now_us: u64,
    own_free_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    requests: BTreeMap<RequestId, (u32, Vec<Item>)>,
    outstanding: BTreeMap<RequestId, u64>,
    missing: BTreeMap<u32, GroupRanges>,
    seed: u64,
}

impl Sim {
    pub(super) fn new(config: FetchConfig, sizes: &[u64], nodes: Vec<Node>) -> Self {
        let sizes: BTreeMap<u32, u64> = (0u32..).zip(sizes.iter().copied()).collect();
        let specs = sizes.iter().map(|(n, size)| ShardSpec {
            shard: ShardIndex(*n),
            size: *size,
            have: GroupRanges::new(),
        });
        let seed = config.seed;
        let mut sim = Self {
            fetch: Fetch::new(config, specs),
            report: Report::default(),
            own_bytes_per_s: 1 << 40,
            part_groups: 4,
            hide_lies: false,
            missing: sizes
                .iter()
                .map(|(n, size)| (*n, GroupRanges::full(groups_in(*size))))
                .collect(),
            sizes,
            now_us: 0,
            own_free_us: 0,
            events: BTreeMap::new(),
            scheduled: 0,
            requests: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            nodes: Vec::new(),
            work: Vec::new(),
            seed,
        };
        for node in nodes {
            sim.add(node);
        }
        sim
    }

    pub(super) fn add(&mut self, node: Node) {
        let n = u32::try_from(self.nodes.len()).unwrap();
        self.at(node.joins_at_ms * 1000, Event::Join(n));
        if let Some(leaves) = node.leaves_at_ms {
            self.at(leaves * 1000, Event::Leave(n));
        }
        self.nodes.push(node);
        self.work.push(Work::default());
    }

    /// A node that left comes back.
    pub(super) fn rejoin(&mut self, n: u32, at_ms: u64) {
        self.at(at_ms * 1000, Event::Join(n));
    }

    pub(super) fn now(&self) -> Time {
        Time::from_millis(self.now_us / 1000)
    }

    /// Runs until all is here, or until `until_ms`.
    pub(super) fn run(&mut self, until_ms: u64) -> &Report {
        self.drain();
        while self.report.completed_ms.is_none() {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let timer = self
                .fetch
                .deadline()
                .map(|at| (at.as_millis() * 1000).max(self.now_us));
            let Some(next) = event.into_iter().chain(timer).min() else {
                break;
            };
            if next > until_ms * 1000 {
                break;
            }
            self.now_us = next;
            if event == Some(next) {
                let (_, event) = self.events.pop_first().unwrap();
                self.step(event);
            } else {
                self.fetch.handle_timeout(self.now());
            }
            self.drain();
        }
        &self.report
    }

    /// Is a shard whole here?
    pub(super) fn has(&self, shard: u32) -> bool {
        self.missing[&shard].is_empty()
    }

    fn at(&mut self, us: u64, event: Event) {
        self.scheduled += 1;
        self.events
            .insert((us.max(self.now_us), self.scheduled), event);
    }

    fn after(&mut self, us: u64, event: Event) {
        self.at(self.now_us + us, event);
    }

    fn tell(&mut self, input: Input) {
        self.fetch
            .handle(Time::from_millis(self.now_us / 1000), input);
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Join(n) => self.join(n),
            Event::Leave(n) => {
                self.requests.retain(|id, (peer, _)| {
                    let stays = *peer != n;
                    if !stays {
                        self.outstanding.remove(id);
                    }
                    stays
                });
                self.work[n as usize].queue.clear();
                self.tell(Input::PeerLeft { peer: PeerKey(n) });
            }
            Event::Asked(n, request) => self.asked(n, request),
            Event::Send(n) => self.send(n),
            Event::Arrive(n, part, right) => self.arrive(n, part, right),
            Event::Handle(n, part, right) => self.arrived(n, part, right),
            Event::End(request, end) => self.end(request, end),
            Event::Missing(request, shard) => self.missing_item(request, shard),
        }
    }

    fn missing_item(&mut self, request: RequestId, shard: ShardIndex) {
        let Some((_, items)) = self.requests.get_mut(&request) else {
            return;
        };
        let missing: Vec<Item> = items.extract_if(.., |item| item.shard == shard).collect();
        let bytes: u64 = missing.iter().map(|item| self.bytes(*item)).sum();
        *self.outstanding.get_mut(&request).unwrap() -= bytes;
        self.tell(Input::ItemMissing { request, shard });
    }

    fn join(&mut self, n: u32) {
        let peer = PeerKey(n);
        self.tell(Input::PeerJoined { peer });
        let Some(holds) = self.nodes[n as usize].holds.clone() else {
            self.tell(Input::Holdings {
                peer,
                update: Holdings::Complete,
            });
            return;
        };
        let bytes = self.sizes.len().div_ceil(8);
        let mut bits = vec![0u8; bytes];
        for shard in holds {
            bits[shard as usize / 8] |= 1 << (shard % 8);
        }
        for (i, bits) in bits.chunks(8192).enumerate() {
            let first = ShardIndex(u32::try_from(i * 8192 * 8).unwrap());
            self.tell(Input::Holdings {
                peer,
                update: Holdings::Shards {
                    first,
                    bits: bits.to_vec(),
                },
            });
        }
    }

    fn asked(&mut self, n: u32, request: RequestId) {
        let Some((_, items)) = self.requests.get(&request).cloned() else {
            return;
        };
        let node = &self.nodes[n as usize];
        let delay = node.delay_us;
        match node.character {
            Character::Boaster => {
                for item in items {
                    self.after(delay, Event::Missing(request, item.shard));
                }
                self.after(delay, Event::End(request, End::Done));
                return;
            }
            Character::Busy => return self.after(delay, Event::End(request, End::Busy)),
            Character::Skipper => return self.after(delay, Event::End(request, End::Done)),
            _ => {}
        }
        let work = &mut self.work[n as usize];
        for item in items {
            let (mut first, end) = (item.groups.first, item.groups.end());
            while first < end {
                let groups = GroupRange {
                    first,
                    count: self.part_groups.min(end - first),
                };
                let first_of_item = first == item.groups.first;
                let item = Item {
                    shard: item.shard,
                    groups,
                };
                work.queue.push_back(Part::Groups {
                    request,
                    item,
                    first_of_item,
                });
                first = groups.end();
            }
        }
        work.queue.push_back(Part::End { request });
        if !work.sending {
            self.send(n);
        }
    }

    /// A peer sends its next part.
    fn send(&mut self, n: u32) {
        let seed = spread(self.seed ^ self.scheduled) % 1000;
        let (requests, sizes) = (&self.requests, &self.sizes);
        let (node, work) = (&self.nodes[n as usize], &mut self.work[n as usize]);
        work.sending = false;
        while work
            .queue
            .front()
            .is_some_and(|part| !requests.contains_key(&part.request()))
        {
            work.queue.pop_front();
        }
        if matches!(node.character, Character::Staller(n) if work.sent_groups >= n) {
            return;
        }
        let Some(part) = work.queue.pop_front() else {
            return;
        };
        let (mut us, mut right) = (0, true);
        if let Part::Groups {
            item,
            first_of_item,
            request,
        } = part
        {
            let bytes = item.groups.bytes(sizes[&item.shard.0]);
            us = (bytes.end - bytes.start) * 1_000_000 / node.bytes_per_s;
            us += if first_of_item { node.item_us } else { 0 };
            us += if seed < node.loss {
                200_000 + 2 * node.delay_us
            } else {
                0
            };
            let sent = work.sent_groups;
            work.sent_groups += item.groups.count;
            match node.character {
                Character::Liar(n) => right = sent + item.groups.count <= n,
                Character::Trickler(seconds) => us = seconds * 1_000_000 * item.groups.count,
                Character::Breaker(n) if sent >= n => {
                    work.sent_groups = 0;
                    return self.after(us, Event::End(request, End::Closed));
                }
                _ => {}
            }
        }
        work.sending = true;
        let delay = node.delay_us;
        self.after(us + delay, Event::Arrive(n, part, right));
        self.after(us, Event::Send(n));
    }

    fn arrive(&mut self, n: u32, part: Part, right: bool) {
        let bytes = match part {
            Part::Groups { item, .. } => self.bytes(item),
            Part::End { .. } => 0,
        };
        self.own_free_us =
            self.own_free_us.max(self.now_us) + bytes * 1_000_000 / self.own_bytes_per_s;
        self.at(self.own_free_us, Event::Handle(n, part, right));
    }

    fn arrived(&mut self, n: u32, part: Part, right: bool) {
        let request = part.request();
        if !self.requests.contains_key(&request) {
            return;
        }
        match part {
            Part::End { request } => self.end(request, End::Done),
            Part::Groups { request, item, .. } if !right => {
                *self.report.wrong_groups.entry(n).or_default() += item.groups.count;
                let end = if self.hide_lies {
                    End::Closed
                } else {
                    End::WrongBytes
                };
                self.end(request, end);
            }
            Part::Groups { request, item, .. } => {
                let bytes = self.bytes(item);
                *self.outstanding.get_mut(&request).unwrap() -= bytes;
                self.report.arrived += bytes;
                let missing = self.missing.get_mut(&item.shard.0).unwrap();
                let new = missing
                    .intersect(&item.groups.into())
                    .len_bytes(self.sizes[&item.shard.0]);
                missing.remove(item.groups);
                *self.report.given.entry(n).or_default() += new;
                let Item { shard, groups } = item;
                self.tell(Input::Verified {
                    request,
                    shard,
                    groups,
                    bytes,
                });
            }
        }
    }

    fn end(&mut self, request: RequestId, end: End) {
        if self.requests.remove(&request).is_some() {
            self.outstanding.remove(&request);
            self.tell(Input::Ended { request, end });
        }
    }

    fn bytes(&self, item: Item) -> u64 {
        let bytes = item.groups.bytes(self.sizes[&item.shard.0]);
        bytes.end - bytes.start
    }

    /// Does what the scheduler says, and checks it.
    fn drain(&mut self) {
        while let Some(output) = self.fetch.poll() {
            match output {
                Output::Request {
                    request,
                    peer,
                    items,
                    deadline,
                } => self.request(request, peer, items, deadline),
                Output::Cancel { request, .. } => {
                    assert!(
                        self.requests.remove(&request).is_some(),
                        "{request:?} has ended already"
                    );
                    self.outstanding.remove(&request);
                }
                Output::ShardDone { shard } => {
                    assert!(self.missing[&shard.0].is_empty(), "{shard:?} is not whole");
                }
                Output::Ban { peer, .. } => {
                    assert!(self.report.banned.insert(peer.0), "banned twice");
                }
                Output::Completed => {
                    assert!(self.missing.values().all(GroupRanges::is_empty));
                    assert_eq!(
                        self.fetch.progress().bytes_done,
                        self.sizes.values().sum::<u64>()
                    );
                    self.report.completed_ms = Some(self.now_us / 1000);
                }
            }
        }
        let in_flight = self.outstanding.values().sum();
        self.report.in_flight_peak = self.report.in_flight_peak.max(in_flight);
        assert_eq!(self.fetch.progress().in_flight_bytes, in_flight);
    }

    fn request(&mut self, request: RequestId, peer: PeerKey, items: Vec<Item>, deadline: Time) {
        assert!(!items.is_empty() && items.len() <= 512);
        assert!(!self.report.banned.contains(&peer.0), "asks a banned peer");
        assert!(deadline > self.now());
        for item in &items {
            assert!(
                item.groups.count > 0 && item.groups.end() <= groups_in(self.sizes[&item.shard.0])
            );
            if let Some(holds) = &self.nodes[peer.0 as usize].holds {
                assert!(
                    holds.contains(&item.shard.0),
                    "asks for what the peer never claimed"
                );
            }
            if self.sizes[&item.shard.0] > 1 << 20 {
                let missing = &self.missing[&item.shard.0];
                assert!(missing.contains_all(item.groups), "asks for what is here");
            }
        }
        let bytes: u64 = items.iter().map(|item| self.bytes(*item)).sum();
        self.report.requests += 1;
        self.report.items += u64::try_from(items.len()).unwrap();
        *self.report.asked_bytes.entry(peer.0).or_default() += bytes;
        self.outstanding.insert(request, bytes);
        assert!(
            self.requests.insert(request, (peer.0, items)).is_none(),
            "an id used twice"
        );
        let delay = self.nodes[peer.0 as usize].delay_us;
        self.after(delay, Event::Asked(peer.0, request));
    }
}

/// Bytes of a mebibyte.
pub(super) const MIB: u64 = 1 << 20;

/// Files like those of a large documentation tree: many small, few of some MiB.
pub(super) fn tree(files: u64) -> Vec<u64> {
    (0..files)
        .map(|n| match spread(n) % 1000 {
            0 => 3 * MIB,
            1..=9 => 400_000 + spread(n) % 600_000,
            10..=99 => 20_000 + spread(n) % 60_000,
            _ => spread(n) % 8_000,
        })
        .collect()
}

/// A fetch that must end well before `until_ms`.
pub(super) fn complete(sizes: &[u64], nodes: Vec<Node>, until_ms: u64) -> Sim {
    let mut sim = Sim::new(FetchConfig::default(), sizes, nodes);
    sim.run(until_ms);
    assert!(
        sim.report.completed_ms.is_some(),
        "not complete at {until_ms} ms: {:?}, {:?}",
        sim.fetch.progress(),
        sim.fetch.stalled(sim.now())
    );
    sim
}
