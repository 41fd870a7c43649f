//! The simulated network: events in virtual time.
//!
//! A node sends one part at a time, to its peers in turn; a part takes the sender's link, then the
//! way, then the receiver's link. A lost packet comes a round trip later and holds up what follows
//! it from the same sender.

use std::rc::Rc;

use anyhow::{Context, Result, bail};
use opendag_protocol::fetch::{End, Holdings, Input, Item, PeerKey, RequestId};

use super::{
    SimOptions,
    data::Data,
    event::{Agenda, Event},
    fetcher::{Act, Fetcher},
    node::{Character, Node},
    random::Random,
    upload::Part,
    watch::Watch,
};

/// Chunk groups that are sent, and told, at once.
const PART_GROUPS: u64 = 4;
/// Bytes of a packet: what is lost at once.
const PACKET_BYTES: u64 = 1400;
/// News are gathered for so long, as a node does.
const GATHER_US: u64 = 300_000;

/// The network. Nodes with a fetch come first.
#[derive(Debug)]
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) fetchers: Vec<Fetcher>,
    pub(super) watch: Watch,
    pub(super) now_us: u64,
    pub(super) happened: u64,
    data: Rc<Data>,
    agenda: Agenda,
    random: Random,
    /// Of a million packets so many are lost.
    loss_ppm: u64,
    /// Do fetchers tell what they have?
    tells: bool,
    running: usize,
}

impl World {
    pub(super) fn new(
        options: &SimOptions,
        data: Rc<Data>,
        nodes: Vec<Node>,
        fetchers: Vec<Fetcher>,
        random: Random,
    ) -> Self {
        Self {
            running: fetchers.len(),
            nodes,
            fetchers,
            watch: Watch::new(),
            now_us: 0,
            happened: 0,
            data,
            agenda: Agenda::default(),
            random,
            loss_ppm: options.loss_ppm,
            tells: options.tells,
        }
    }

    /// A node comes at a time, and leaves at another.
    pub(super) fn visit(&mut self, node: u32, joins_us: u64, leaves_us: Option<u64>) {
        self.at(joins_us, Event::Join(node));
        if let Some(leaves_us) = leaves_us {
            self.at(leaves_us, Event::Leave(node));
        }
    }

    /// Bytes of one copy.
    pub(super) fn bytes(&self) -> u64 {
        self.data.bytes()
    }

    /// Runs until all fetches are complete.
    ///
    /// # Errors
    /// An invariant broke, or a fetch is not complete at `until_us`.
    pub(super) fn run(&mut self, until_us: u64) -> Result<()> {
        while self.running > 0 {
            let Some((at_us, event)) = self.agenda.next().filter(|(at, _)| *at <= until_us) else {
                let stalled = self.fetchers.iter().find(|f| f.completed_us.is_none());
                let why = stalled.map(|fetcher| fetcher.stalled(self.now_us));
                bail!(
                    "{} fetches do not end; at {} ms: {}",
                    self.running,
                    self.now_us / 1000,
                    why.unwrap_or_default()
                );
            };
            self.now_us = at_us;
            self.happened += 1;
            self.step(event)
                .with_context(|| format!("at {} us", self.now_us))?;
        }
        Ok(())
    }

    fn step(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Join(node) => self.join(node),
            Event::Leave(node) => self.leave(node),
            Event::Asked { from, to, request } => self.asked(from, to, request),
            Event::Dropped { from, to, request } => {
                self.node(from)?.upload.drop_request(to, request);
                Ok(())
            }
            Event::Sent(node) => self.send(node),
            Event::Arrive { from, to, part } => self.arrive(from, to, part),
            Event::Deliver { to, part } => self.deliver(to, part),
            Event::End { to, request, end } => self.end(to, request, end),
            Event::Missing { to, request, shard } => {
                if self.fetcher(to)?.ledger.missing(request, shard) {
                    return self.input(to, Input::ItemMissing { request, shard });
                }
                Ok(())
            }
            Event::Tell(node) => self.tell(node),
            Event::News { from, to, news } => self.news(from, to, &news),
            Event::Timer(node) => self.timer(node),
        }
    }

    fn join(&mut self, node: u32) -> Result<()> {
        self.node(node)?.here = true;
        let news = if self.is_fetcher(node) {
            None
        } else {
            {
                let data = self.data.clone();
                Some(self.node(node)?.holds.told(&data))
            }
        };
        for to in self.others(node) {
            self.fetcher(to)?.ledger.joined(node);
            self.input(
                to,
                Input::PeerJoined {
                    peer: PeerKey(node),
                },
            )?;
            if let Some(news) = &news {
                let news = news.clone();
                let at = self.now_us + self.way_us(node, to)?;
                self.at(
                    at,
                    Event::News {
                        from: node,
                        to,
                        news,
                    },
                );
            }
        }
        Ok(())
    }

    fn leave(&mut self, node: u32) -> Result<()> {
        let gone = self.node(node)?;
        gone.here = false;
        gone.upload.clear();
        for to in self.others(node) {
            self.fetcher(to)?.ledger.left(node);
            self.input(
                to,
                Input::PeerLeft {
                    peer: PeerKey(node),
                },
            )?;
        }
        Ok(())
    }

    fn asked(&mut self, from: u32, to: u32, request: RequestId) -> Result<()> {
        let Some(open) = self.fetcher(to)?.ledger.open(request) else {
            return Ok(());
        };
        let (mut items, way_us) = (open.items.clone(), self.way_us(from, to)?);
        let back_us = self.now_us + way_us;
        let end = |end| Event::End { to, request, end };
        let node = self.node(from)?;
        if !node.here {
            return Ok(());
        }
        match node.character {
            Character::Boaster => {
                for Item { shard, .. } in items {
                    self.at(back_us, Event::Missing { to, request, shard });
                }
                self.at(back_us, end(End::Done));
                return Ok(());
            }
            Character::Busy => {
                self.at(back_us, end(End::Busy));
                return Ok(());
            }
            Character::Skipper => {
                self.at(back_us, end(End::Done));
                return Ok(());
            }
            Character::Honest
            | Character::Liar(_)
            | Character::Staller(_)
            | Character::Trickler(_)
            | Character::Breaker(_) => {}
        }
        let (held, missing): (Vec<Item>, Vec<Item>) =
            items.drain(..).partition(|item| self.holds(from, *item));
        for Item { shard, .. } in missing {
            self.at(back_us, Event::Missing { to, request, shard });
        }
        let node = self.node(from)?;
        node.upload.push(to, request, &held);
        if node.upload.sending {
            return Ok(());
        }
        self.send(from)
    }

    fn holds(&self, node: u32, item: Item) -> bool {
        let at = usize::try_from(node).unwrap_or(usize::MAX);
        let groups = item.groups;
        match self.fetchers.get(at) {
            Some(fetcher) => fetcher.has(item.shard.0, groups),
            None => self
                .nodes
                .get(at)
                .is_some_and(|node| node.holds.has(item.shard.0, groups)),
        }
    }

    /// A node sends its next part.
    fn send(&mut self, from: u32) -> Result<()> {
        let node = self.node(from)?;
        let groups_max = if matches!(node.character, Character::Trickler(_)) {
            1
        } else {
            PART_GROUPS
        };
        let Some((to, mut part)) = node.upload.next(groups_max) else {
            node.upload.sending = false;
            return Ok(());
        };
        node.upload.sending = true;
        let Some(item) = part.item else {
            return self.pass(from, to, part, 0);
        };
        let bytes = self.data.bytes_of(item);
        let lost = self.lost(bytes);
        let node = self.node(from)?;
        let before = node.sent_groups;
        node.sent_groups += item.groups.count;
        node.sent_bytes += bytes;
        let mut us = (bytes + lost * PACKET_BYTES) * 1_000_000 / node.up;
        match node.character {
            Character::Liar(n) => part.right = before + item.groups.count <= n,
            // It keeps the line, and sends nothing more.
            Character::Staller(n) if before >= n => return Ok(()),
            Character::Trickler(seconds) => us = seconds * 1_000_000 * item.groups.count,
            Character::Breaker(n) if before >= n => {
                node.sent_groups = 0;
                node.upload.drop_request(to, part.request);
                let (request, end) = (part.request, End::Closed);
                let at = self.now_us + us + self.way_us(from, to)?;
                self.at(at, Event::End { to, request, end });
                self.at(self.now_us + us, Event::Sent(from));
                return Ok(());
            }
            Character::Honest
            | Character::Boaster
            | Character::Staller(_)
            | Character::Busy
            | Character::Skipper
            | Character::Breaker(_) => {}
        }
        let late_us = if lost > 0 {
            2 * self.way_us(from, to)?
        } else {
            0
        };
        self.at(self.now_us + us, Event::Sent(from));
        self.travel(from, to, part, us + late_us)
    }

    /// Sends what takes no time of the sender's link, and then the next.
    fn pass(&mut self, from: u32, to: u32, part: Part, us: u64) -> Result<()> {
        self.at(self.now_us, Event::Sent(from));
        self.travel(from, to, part, us)
    }

    fn travel(&mut self, from: u32, to: u32, part: Part, us: u64) -> Result<()> {
        let at = self.now_us + us + self.way_us(from, to)?;
        let arrives = self.node(from)?.arrives_us.entry(to).or_default();
        *arrives = at.max(*arrives);
        let at = *arrives;
        self.at(at, Event::Arrive { from, to, part });
        Ok(())
    }

    fn lost(&mut self, bytes: u64) -> u64 {
        let packets = if self.loss_ppm > 0 {
            bytes.div_ceil(PACKET_BYTES)
        } else {
            0
        };
        let lost = (0..packets).filter(|_| self.random.happens(self.loss_ppm));
        u64::try_from(lost.count()).unwrap_or(u64::MAX)
    }

    fn arrive(&mut self, from: u32, to: u32, part: Part) -> Result<()> {
        if !self.node(from)?.here {
            return Ok(());
        }
        let bytes = part.item.map_or(0, |item| self.data.bytes_of(item));
        let now_us = self.now_us;
        let node = self.node(to)?;
        node.down_free_us = node.down_free_us.max(now_us) + bytes * 1_000_000 / node.down;
        let at = node.down_free_us;
        self.at(at, Event::Deliver { to, part });
        Ok(())
    }

    fn deliver(&mut self, to: u32, part: Part) -> Result<()> {
        let request = part.request;
        let Some(item) = part.item else {
            return self.end(to, request, End::Done);
        };
        if !part.right {
            return self.end(to, request, End::WrongBytes);
        }
        let now_us = self.now_us;
        let fetcher = self.fetcher(to)?;
        if fetcher.ledger.open(request).is_none() {
            return Ok(());
        }
        let input = fetcher.came(request, item);
        if fetcher.has_news() && !fetcher.gathers {
            fetcher.gathers = true;
            self.at(now_us + GATHER_US, Event::Tell(to));
        }
        self.input(to, input)
    }

    fn end(&mut self, to: u32, request: RequestId, end: End) -> Result<()> {
        if self.fetcher(to)?.ledger.ended(request).is_none() {
            return Ok(());
        }
        self.input(to, Input::Ended { request, end })
    }

    fn tell(&mut self, node: u32) -> Result<()> {
        let fetcher = self.fetcher(node)?;
        fetcher.gathers = false;
        let news = fetcher.take_news();
        if !self.tells {
            return Ok(());
        }
        for to in self.others(node) {
            let news = news.clone();
            let at = self.now_us + self.way_us(node, to)?;
            self.at(
                at,
                Event::News {
                    from: node,
                    to,
                    news,
                },
            );
        }
        Ok(())
    }

    fn news(&mut self, from: u32, to: u32, news: &[Holdings]) -> Result<()> {
        if !self.node(from)?.here {
            return Ok(());
        }
        for update in news {
            let (peer, update) = (PeerKey(from), update.clone());
            self.input(to, Input::Holdings { peer, update })?;
        }
        Ok(())
    }

    fn timer(&mut self, node: u32) -> Result<()> {
        let now_us = self.now_us;
        let fetcher = self.fetcher(node)?;
        if fetcher.timer_us != Some(now_us) {
            return Ok(());
        }
        fetcher.timer_us = None;
        let (fetcher, watch) = self.fetcher_and_watch(node)?;
        let acts = fetcher.timeout(now_us, watch)?;
        self.act(node, &acts)
    }

    fn input(&mut self, to: u32, input: Input) -> Result<()> {
        let now_us = self.now_us;
        let (fetcher, watch) = self.fetcher_and_watch(to)?;
        if fetcher.completed_us.is_some() {
            return Ok(());
        }
        let acts = fetcher.input(now_us, input, watch)?;
        self.act(to, &acts)
    }

    /// Does what a fetcher decided.
    fn act(&mut self, to: u32, acts: &[Act]) -> Result<()> {
        for act in acts {
            match *act {
                Act::Ask { peer, request } => {
                    let at = self.now_us + self.way_us(to, peer)?;
                    self.at(
                        at,
                        Event::Asked {
                            from: peer,
                            to,
                            request,
                        },
                    );
                }
                Act::Drop { peer, request } => {
                    let at = self.now_us + self.way_us(to, peer)?;
                    self.at(
                        at,
                        Event::Dropped {
                            from: peer,
                            to,
                            request,
                        },
                    );
                }
                Act::Ban { peer } => {
                    let node = self.node(peer)?;
                    if node.is_honest() {
                        bail!("node {peer} is honest and banned");
                    }
                }
            }
        }
        let now_us = self.now_us;
        let fetcher = self.fetcher(to)?;
        if fetcher.completed_us.is_some() {
            let ended = !std::mem::replace(&mut fetcher.ended, true);
            self.running -= usize::from(ended);
            return Ok(());
        }
        if let Some(at) = fetcher.deadline_us().map(|at| at.max(now_us))
            && fetcher.timer_us.is_none_or(|set| at < set)
        {
            fetcher.timer_us = Some(at);
            self.at(at, Event::Timer(to));
        }
        Ok(())
    }

    fn at(&mut self, at_us: u64, event: Event) {
        self.agenda.note(at_us, event);
    }

    /// From one node to another.
    fn way_us(&self, a: u32, b: u32) -> Result<u64> {
        let delay = |node: u32| {
            let node = self.nodes.get(usize::try_from(node)?);
            Ok::<_, anyhow::Error>(node.context("there is no such node")?.delay_us)
        };
        Ok(delay(a)? + delay(b)?)
    }

    fn is_fetcher(&self, node: u32) -> bool {
        usize::try_from(node).is_ok_and(|node| node < self.fetchers.len())
    }

    /// The fetchers besides a node.
    fn others(&self, node: u32) -> impl Iterator<Item = u32> + use<> {
        let fetchers = u32::try_from(self.fetchers.len()).unwrap_or(u32::MAX);
        (0..fetchers).filter(move |to| *to != node)
    }

    fn node(&mut self, node: u32) -> Result<&mut Node> {
        let found = self.nodes.get_mut(usize::try_from(node)?);
        found.context("there is no such node")
    }

    fn fetcher(&mut self, node: u32) -> Result<&mut Fetcher> {
        self.fetcher_and_watch(node).map(|(fetcher, _)| fetcher)
    }

    fn fetcher_and_watch(&mut self, node: u32) -> Result<(&mut Fetcher, &mut Watch)> {
        let found = self.fetchers.get_mut(usize::try_from(node)?);
        Ok((found.context("only fetchers are told")?, &mut self.watch))
    }
}
