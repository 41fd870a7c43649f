//! The DHT: who provides what, and the newest heads.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol as Name,
    core::Endpoint,
    kad::{
        self, GetProvidersOk, GetRecordOk, InboundRequest, Mode, ProviderRecord, QueryId,
        QueryResult, Quorum, Record, RecordKey, StoreInserts, store::RecordStore as _,
    },
    swarm::{ConnectionId, NetworkBehaviour},
};
use opendag_protocol::Hash;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

use super::{
    NetConfig, PeerAddr,
    counters::count,
    kad_store::{KadStore, Kept},
    limits::{
        ADDRESSES_PER_PEER_MAX, ADDRESSES_PER_PROVIDER_MAX, ANNOUNCE_ROUND, ANNOUNCED_AT_ONCE,
        ANNOUNCEMENTS_PER_ROUND, KAD_PUTS_PER_ROUND, QUERY_TIMEOUT,
    },
    pending::{Entry, Reply, Waiting},
    task::Task,
};

/// How long others keep what we announce, unless it is announced again.
const TTL: Duration = Duration::from_secs(48 * 60 * 60);
/// How often our provider records are announced again.
const PROVIDE_AGAIN: Duration = Duration::from_secs(12 * 60 * 60);
/// How often our heads are put again.
const PUT_AGAIN: Duration = Duration::from_secs(12 * 60 * 60);
/// How often heads of others are passed on to nodes that joined since.
const REPLICATE: Duration = Duration::from_secs(6 * 60 * 60);
/// One request to one node.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The DHT as this network runs it.
pub(super) type Behaviour = kad::Behaviour<KadStore>;

pub(super) fn build(config: &NetConfig, local: PeerId) -> Option<Behaviour> {
    if !config.dht {
        return None;
    }
    let mut kad = kad::Config::new(protocol_name(&config.network)?);
    kad.set_query_timeout(QUERY_TIMEOUT)
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_record_ttl(Some(TTL))
        .set_provider_record_ttl(Some(TTL))
        .set_provider_publication_interval(Some(PROVIDE_AGAIN))
        .set_publication_interval(Some(PUT_AGAIN))
        .set_replication_interval(Some(REPLICATE))
        .set_caching(kad::Caching::Disabled)
        .set_substreams_timeout(REQUEST_TIMEOUT);
    let store = KadStore::new(
        local,
        config.validate_head.clone(),
        config.denies_key.clone(),
    );
    let mut behaviour = kad::Behaviour::with_config(local, store, kad);
    behaviour.set_mode(Some(if config.dht_server {
        Mode::Server
    } else {
        Mode::Client
    }));
    Some(behaviour)
}

/// `/opendag/<net>/kad/1`
pub(super) fn protocol_name(network: &str) -> Option<Name> {
    Name::try_from_owned(format!("/opendag/{network}/kad/1")).ok()
}

/// What we announce, and how many nodes could be told the last time.
///
/// A node that starts announces before it knows anybody, and the regular interval is hours away. So
/// an announcement is made again each time that the routing table has doubled, until it knows as
/// many nodes as keep a key.
#[derive(Debug, Default)]
pub(super) struct Announced {
    provided: BTreeMap<Hash, usize>,
    heads: BTreeMap<Hash, (Vec<u8>, usize)>,
    next_round: Option<Instant>,
    /// Puts by strangers since the last round.
    puts: usize,
    /// Own announcements that did not wait for a round, since the last one.
    at_once: usize,
}

impl Announced {
    /// May an announcement go out now?
    fn takes_one_more(&mut self) -> bool {
        self.at_once = self.at_once.saturating_add(1);
        self.at_once <= ANNOUNCED_AT_ONCE
    }
}

/// A question for the DHT.
#[derive(Debug)]
pub(super) enum DhtCommand {
    Provide(Hash),
    StopProviding(Hash),
    Providers {
        key: Hash,
        found: mpsc::Sender<PeerAddr>,
        permit: OwnedSemaphorePermit,
    },
    PutHead {
        key: Hash,
        value: Vec<u8>,
    },
    Heads {
        key: Hash,
        reply: oneshot::Sender<Vec<Vec<u8>>>,
        permit: OwnedSemaphorePermit,
    },
}

fn record_key(hash: &Hash) -> RecordKey {
    RecordKey::new(hash.as_bytes())
}

impl Task {
    fn kad(&mut self) -> Option<&mut Behaviour> {
        self.swarm.behaviour_mut().kad.as_mut()
    }

    pub(super) fn on_dht_command(&mut self, command: DhtCommand) {
        match command {
            DhtCommand::Provide(key) => self.provide(key),
            DhtCommand::StopProviding(key) => {
                self.announced.provided.remove(&key);
                if let Some(kad) = self.kad() {
                    kad.stop_providing(&record_key(&key));
                }
            }
            DhtCommand::PutHead { key, value } => self.put_head(key, value),
            DhtCommand::Providers { key, found, permit } => {
                count(&self.counters.dht_provider_queries);
                let Some(kad) = self.kad() else { return };
                let query = kad.get_providers(record_key(&key));
                let reply = Reply::Providers {
                    found,
                    seen: BTreeSet::new(),
                };
                self.wait_for_query(query, reply, permit);
            }
            DhtCommand::Heads { key, reply, permit } => {
                count(&self.counters.dht_head_queries);
                let Some(kad) = self.kad() else {
                    let _ = reply.send(Vec::new());
                    return;
                };
                let query = kad.get_record(record_key(&key));
                self.wait_for_query(
                    query,
                    Reply::Heads {
                        found: Vec::new(),
                        reply,
                    },
                    permit,
                );
            }
        }
    }

    fn wait_for_query(&mut self, query: QueryId, reply: Reply, permit: OwnedSemaphorePermit) {
        let entry = Entry::new(reply, QUERY_TIMEOUT, Some(permit));
        self.pending.add(Waiting::Query(query), entry);
    }

    fn provide(&mut self, key: Hash) {
        if self.announced.provided.contains_key(&key) {
            return;
        }
        // Beyond a few at once they wait for their round.
        if !self.announced.takes_one_more() {
            self.announced.provided.insert(key, 0);
            return;
        }
        self.provide_now(key);
    }

    fn provide_now(&mut self, key: Hash) {
        count(&self.counters.dht_announcements);
        let routing = self.routing_peers();
        self.announced.provided.insert(key, routing);
        if let Some(kad) = self.kad()
            && let Err(error) = kad.start_providing(record_key(&key))
        {
            tracing::debug!(%key, %error, "cannot announce in the DHT");
        }
    }

    fn put_head(&mut self, key: Hash, value: Vec<u8>) {
        let known = self.announced.heads.get(&key);
        if known.is_some_and(|(known, _)| *known == value) {
            return;
        }
        if !self.announced.takes_one_more() {
            self.announced.heads.insert(key, (value, 0));
            return;
        }
        self.put_head_now(key, value);
    }

    fn put_head_now(&mut self, key: Hash, value: Vec<u8>) {
        count(&self.counters.dht_head_puts);
        let routing = self.routing_peers();
        self.announced.heads.insert(key, (value.clone(), routing));
        let record = Record::new(record_key(&key), value);
        if let Some(kad) = self.kad()
            && let Err(error) = kad.put_record(record, Quorum::One)
        {
            tracing::debug!(%key, %error, "cannot put a head into the DHT");
        }
    }

    /// Nodes of the DHT that we know.
    pub(super) fn routing_peers(&mut self) -> usize {
        self.kad().map_or(0, |kad| {
            kad.kbuckets().map(|bucket| bucket.num_entries()).sum()
        })
    }

    /// What is kept here for the DHT.
    pub(super) fn kept(&mut self) -> Kept {
        let kept = self.kad().map(|kad| kad.store_mut().kept());
        kept.unwrap_or_default()
    }

    /// Announces again what too few nodes were told.
    pub(super) fn on_kad_tick(&mut self, now: Instant) {
        if self.announced.next_round.is_some_and(|next| now < next) {
            return;
        }
        self.announced.next_round = Some(now + ANNOUNCE_ROUND);
        self.announced.puts = 0;
        self.announced.at_once = 0;
        let routing = self.routing_peers();
        let enough = kad::K_VALUE.get();
        let due = |told: usize| told < enough && routing > told && routing >= told * 2;
        let provided = self
            .announced
            .provided
            .iter()
            .filter(|(_, told)| due(**told))
            .map(|(key, _)| *key);
        let heads = self
            .announced
            .heads
            .iter()
            .filter(|(_, (_, told))| due(*told));
        let heads = heads.map(|(key, (value, _))| (*key, value.clone()));
        // Half of the round is theirs; what they leave is for the others.
        let heads: Vec<_> = heads.take(ANNOUNCEMENTS_PER_ROUND / 2).collect();
        let provided: Vec<_> = provided
            .take(ANNOUNCEMENTS_PER_ROUND - heads.len())
            .collect();
        for key in provided {
            self.provide_now(key);
        }
        for (key, value) in heads {
            self.put_head_now(key, value);
        }
        if let Some(kad) = self.kad() {
            kad.store_mut().sweep();
        }
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request } => self.on_kad_request(request),
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                self.on_kad_progress(id, result);
                if step.last {
                    self.finish(&Waiting::Query(id));
                }
            }
            _ => {}
        }
    }

    fn on_kad_request(&mut self, request: InboundRequest) {
        match request {
            InboundRequest::AddProvider {
                record: Some(record),
            } => self.on_add_provider(record),
            InboundRequest::PutRecord {
                record: Some(record),
                ..
            } => {
                self.announced.puts += 1;
                if self.announced.puts > KAD_PUTS_PER_ROUND {
                    count(&self.counters.kad_refused);
                    return;
                }
                let stored = self.kad().map(|kad| kad.store_mut().put(record));
                if let Some(Err(error)) = stored {
                    count(&self.counters.kad_refused);
                    tracing::debug!(%error, "refused a value for the DHT");
                }
            }
            _ => {}
        }
    }

    /// A provider rarely knows where it can be reached; we know what it told identify.
    fn on_add_provider(&mut self, mut record: ProviderRecord) {
        for addr in self.book.all(&record.provider) {
            if !record.addresses.contains(addr) {
                record.addresses.push(addr.clone());
            }
        }
        record.addresses.truncate(ADDRESSES_PER_PROVIDER_MAX);
        let stored = self.kad().map(|kad| kad.store_mut().add_provider(record));
        if let Some(Err(error)) = stored {
            count(&self.counters.kad_refused);
            tracing::debug!(%error, "refused a provider record for the DHT");
        }
    }

    fn on_kad_progress(&mut self, id: QueryId, result: QueryResult) {
        match result {
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                for peer in providers {
                    self.on_provider(id, peer);
                }
            }
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                let record = found.record;
                let valid = (self.validate)(record.key.as_ref(), &record.value).is_some();
                if valid && self.pending.heads(&Waiting::Query(id), &record.value) {
                    self.finish_query(id);
                }
            }
            _ => {}
        }
    }

    fn on_provider(&mut self, id: QueryId, peer: PeerId) {
        if peer == *self.swarm.local_peer_id() {
            return;
        }
        for addr in self.kad_addresses(peer).iter().rev() {
            self.book.add(peer, addr);
        }
        let addrs = self.book.get(&peer, &self.policy);
        if self
            .pending
            .providers(&Waiting::Query(id), &PeerAddr { peer, addrs })
        {
            self.finish_query(id);
        }
    }

    /// The addresses that running queries and the routing table know of `peer`.
    fn kad_addresses(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        // Kademlia has no getter for them, but it answers to whoever is about to dial. The id of the
        // connection is not looked at.
        let connection = ConnectionId::new_unchecked(0);
        let Some(kad) = self.kad() else {
            return Vec::new();
        };
        let known =
            kad.handle_pending_outbound_connection(connection, Some(peer), &[], Endpoint::Dialer);
        let mut known = known.unwrap_or_default();
        known.truncate(ADDRESSES_PER_PEER_MAX);
        known
    }

    fn finish_query(&mut self, id: QueryId) {
        if let Some(kad) = self.kad()
            && let Some(mut query) = kad.query_mut(&id)
        {
            query.finish();
        }
        self.finish(&Waiting::Query(id));
    }
}
