//! Gossip of heads: validated by the node before anybody else gets them.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use libp2p::{
    PeerId,
    gossipsub::{
        self, ConfigBuilder, IdentTopic, IdentityTransform, MessageAcceptance, MessageAuthenticity,
        MessageId, PeerScoreParams, PeerScoreThresholds, PublishError, TopicScoreParams,
        ValidationMode, WhitelistSubscriptionFilter,
    },
};
use opendag_protocol::{Hash, limits::HEAD_BYTES_MAX};
use tokio::time::Instant;

use super::{
    NetError, NetEvent,
    addresses::Scope,
    counters::count,
    limits::{EVENTS_FOR_PEERS, GOSSIP_PER_SECOND_MAX, GOSSIP_UNSENT_MAX},
    task::Task,
};

/// Gossip with the one topic that this network has.
pub(super) type Behaviour = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// How many heartbeats (seconds) a message waits for its verdict: long enough to fetch the owner
/// record that a head needs.
const VERDICT_HEARTBEATS: usize = 30;
/// Time after which an identical message would be taken for a new one.
const DUPLICATE_TIME: Duration = Duration::from_secs(5 * 60);
/// Score of a peer per forged message, squared: three of them and it is not listened to any more.
const FORGED_WEIGHT: f64 = -10.0;
/// The memory of forged messages halves in about 10 minutes of one-second steps.
const FORGED_DECAY: f64 = 0.9988;

/// What the node thinks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good: pass it on.
    Accept,
    /// It is of no use (known, stale, not to be judged): keep it, blame nobody.
    Ignore,
    /// It is forged or malformed: blame the sender.
    Reject,
}

/// Names a message that waits for its verdict, which must come within 30 seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipId {
    message: MessageId,
    from: PeerId,
}

/// `opendag/<net>/heads/1`
pub(super) fn topic(network: &str) -> IdentTopic {
    IdentTopic::new(format!("opendag/{network}/heads/1"))
}

pub(super) fn build(network: &str, scope: Scope) -> Result<Behaviour, NetError> {
    let topic = topic(network);
    let config = ConfigBuilder::default()
        .protocol_id_prefix(format!("/opendag/{network}/meshsub"))
        .validate_messages()
        // Heads are signed by their publishers: who passes them on is nobody's business.
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| MessageId::new(Hash::of(&message.data).as_bytes()))
        .duplicate_cache_time(DUPLICATE_TIME)
        .history_length(VERDICT_HEARTBEATS)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .build()
        .map_err(|error| setup(Box::new(error)))?;
    let filter = WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
    let anonymous = MessageAuthenticity::Anonymous;
    let mut behaviour = Behaviour::new_with_subscription_filter(anonymous, config, filter)
        .map_err(|error| setup(error.into()))?;
    let mut params = PeerScoreParams::default();
    params.topics.insert(topic.hash(), topic_score());
    if scope == Scope::Loopback {
        // All nodes share one IP address.
        params.ip_colocation_factor_weight = 0.0;
    }
    behaviour
        .with_peer_score(params, PeerScoreThresholds::default())
        .map_err(|error| setup(error.into()))?;
    behaviour
        .subscribe(&topic)
        .map_err(|error| setup(Box::new(error)))?;
    Ok(behaviour)
}

fn setup(source: Box<dyn std::error::Error + Send + Sync>) -> NetError {
    NetError::Setup {
        part: "gossip",
        source,
    }
}

/// Heads are rare: silence is no fault, so only what is bad counts.
fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 3600.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.99,
        first_message_deliveries_cap: 100.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: FORGED_WEIGHT,
        invalid_message_deliveries_decay: FORGED_DECAY,
        ..TopicScoreParams::default()
    }
}

/// Own heads that found no peer yet.
#[derive(Debug, Default)]
pub(super) struct Unsent(VecDeque<Vec<u8>>);

/// How many messages a peer sent in the current second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    since: Instant,
    messages: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            messages: 0,
        }
    }

    /// Counts one more; false if it is one too many.
    fn allows(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        self.messages = self.messages.saturating_add(1);
        self.messages <= GOSSIP_PER_SECOND_MAX
    }
}

impl Task {
    pub(super) fn gossip_head(&mut self, bytes: Vec<u8>) {
        let topic = topic(&self.network).hash();
        match self
            .swarm
            .behaviour_mut()
            .gossip
            .publish(topic, bytes.clone())
        {
            Ok(_) => count(&self.counters.gossip_published),
            Err(PublishError::Duplicate) => {}
            Err(error) => {
                tracing::debug!(%error, "a head waits for peers");
                let unsent = &mut self.unsent.0;
                unsent.push_back(bytes);
                if unsent.len() > GOSSIP_UNSENT_MAX {
                    unsent.pop_front();
                }
            }
        }
    }

    pub(super) fn verdict(&mut self, id: &GossipId, verdict: Verdict) {
        let counters = &self.counters;
        let (acceptance, counter) = match verdict {
            Verdict::Accept => (MessageAcceptance::Accept, &counters.gossip_accepted),
            Verdict::Ignore => (MessageAcceptance::Ignore, &counters.gossip_ignored),
            Verdict::Reject => (MessageAcceptance::Reject, &counters.gossip_rejected),
        };
        count(counter);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        // False: the verdict came too late, and the message is gone.
        let in_time = gossip.report_message_validation_result(&id.message, &id.from, acceptance);
        if in_time && verdict == Verdict::Accept {
            count(&counters.gossip_forwarded);
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                let id = GossipId {
                    message: message_id,
                    from: propagation_source,
                };
                self.on_message(id, message.data);
            }
            gossipsub::Event::Subscribed { .. } => {
                for bytes in std::mem::take(&mut self.unsent.0) {
                    self.gossip_head(bytes);
                }
            }
            gossipsub::Event::Unsubscribed { .. }
            | gossipsub::Event::GossipsubNotSupported { .. }
            | gossipsub::Event::SlowPeer { .. } => {}
        }
    }

    fn on_message(&mut self, id: GossipId, bytes: Vec<u8>) {
        count(&self.counters.gossip_received);
        if bytes.len() > HEAD_BYTES_MAX {
            self.verdict(&id, Verdict::Reject);
            return;
        }
        let allowed = self
            .peers
            .get_mut(&id.from)
            .is_none_or(|peer| peer.gossip.allows());
        // Some room stays free for what the node must not miss.
        if !allowed || self.events.capacity() <= EVENTS_FOR_PEERS {
            count(&self.counters.gossip_dropped);
            self.verdict(&id, Verdict::Ignore);
            return;
        }
        let from = id.from;
        self.emit(NetEvent::Gossip { id, from, bytes });
    }
}
