//! Gossip of heads: validated by the node before anybody else gets them.

use std::{
    collections::{HashSet, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use libp2p::{
    PeerId,
    gossipsub::{
        self, ConfigBuilder, DataTransform, IdentTopic, IdentityTransform, Message,
        MessageAcceptance, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
        PublishError, RawMessage, TopicHash, TopicScoreParams, ValidationMode,
        WhitelistSubscriptionFilter,
    },
};
use opendag_protocol::{Hash, limits::HEAD_BYTES_MAX};
use tokio::time::Instant;

use super::{
    NetError, NetEvent,
    addresses::Scope,
    counters::{Counters, count},
    limits::{
        BAN_TIME, EVENTS_FOR_PEERS, FORGED_MESSAGES_MAX, GOSSIP_IDS_TOLD_MAX, GOSSIP_OVER_FORGIVEN,
        GOSSIP_OVER_MAX, GOSSIP_PER_SECOND_MAX, GOSSIP_UNSENT_MAX,
    },
    task::Task,
};

/// Gossip with the one topic that this network has.
pub(super) type Behaviour = gossipsub::Behaviour<OneTopic, WhitelistSubscriptionFilter>;

/// Lets nothing in that is said on another topic: it would lie in memory and wait for a verdict that
/// nobody gives.
#[derive(Clone, Debug)]
pub(super) struct OneTopic {
    topic: TopicHash,
    counters: Arc<Counters>,
}

impl DataTransform for OneTopic {
    fn inbound_transform(&self, message: RawMessage) -> io::Result<Message> {
        count(&self.counters.gossip_copies);
        if message.topic != self.topic {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        IdentityTransform.inbound_transform(message)
    }

    fn outbound_transform(&self, topic: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        IdentityTransform.outbound_transform(topic, data)
    }
}

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

pub(super) fn build(
    network: &str,
    scope: Scope,
    counters: Arc<Counters>,
) -> Result<Behaviour, NetError> {
    let topic = topic(network);
    let config = ConfigBuilder::default()
        .protocol_id_prefix(format!("/opendag/{network}/meshsub"))
        .validate_messages()
        // Heads are signed by their publishers: who passes them on is nobody's business.
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| MessageId::new(Hash::of(&message.data).as_bytes()))
        .duplicate_cache_time(DUPLICATE_TIME)
        .history_length(VERDICT_HEARTBEATS)
        .max_control_messages_sent(GOSSIP_IDS_TOLD_MAX)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .build()
        .map_err(|error| setup(Box::new(error)))?;
    let filter = WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
    let anonymous = MessageAuthenticity::Anonymous;
    let transform = OneTopic {
        topic: topic.hash(),
        counters,
    };
    let mut behaviour =
        Behaviour::new_with_subscription_filter_and_transform(anonymous, config, filter, transform)
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

/// How a peer behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    since: Instant,
    /// Messages in the current second.
    messages: u32,
    /// Messages that were too many, of which some are forgiven each second.
    over: u32,
    /// Forged messages.
    forged: u32,
}

impl Manners {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            messages: 0,
            over: 0,
            forged: 0,
        }
    }

    /// Counts one more message; false if it is one too many.
    fn allows(&mut self) -> bool {
        let seconds = self.since.elapsed().as_secs();
        if seconds > 0 {
            let forgiven = u32::try_from(seconds).map_or(u32::MAX, |seconds| {
                seconds.saturating_mul(GOSSIP_OVER_FORGIVEN)
            });
            self.over = self.over.saturating_sub(forgiven);
            (self.since, self.messages) = (Instant::now(), 0);
        }
        self.messages = self.messages.saturating_add(1);
        let allowed = self.messages <= GOSSIP_PER_SECOND_MAX;
        self.over = self.over.saturating_add(u32::from(!allowed));
        allowed
    }

    /// Is nothing to be heard from it any more?
    fn is_intolerable(&self) -> bool {
        self.over > GOSSIP_OVER_MAX || self.forged >= FORGED_MESSAGES_MAX
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
        if verdict == Verdict::Reject
            && let Some(peer) = self.peers.get_mut(&id.from)
        {
            peer.manners.forged = peer.manners.forged.saturating_add(1);
            self.part_with_the_intolerable(id.from);
        }
    }

    /// Bans a peer whose manners are past bearing: whatever it sends costs memory and time to turn down.
    fn part_with_the_intolerable(&mut self, peer: PeerId) {
        if self
            .peers
            .get(&peer)
            .is_some_and(|state| state.manners.is_intolerable())
        {
            tracing::debug!(%peer, "banned for its gossip");
            self.ban(peer, BAN_TIME);
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
            .is_none_or(|peer| peer.manners.allows());
        // Some room stays free for what the node must not miss.
        if !allowed || self.events.capacity() <= EVENTS_FOR_PEERS {
            count(&self.counters.gossip_dropped);
            self.verdict(&id, Verdict::Ignore);
            self.part_with_the_intolerable(id.from);
            return;
        }
        let from = id.from;
        self.emit(NetEvent::Gossip { id, from, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p6_s10_what_is_said_on_another_topic_is_not_kept() {
        let message = |name: &str| RawMessage {
            source: None,
            data: vec![7],
            sequence_number: None,
            topic: IdentTopic::new(name).hash(),
            signature: None,
            key: None,
            validated: false,
        };
        let only = OneTopic {
            topic: topic("test").hash(),
            counters: Arc::default(),
        };
        assert!(only.inbound_transform(message("another")).is_err());
        assert!(
            only.inbound_transform(message("opendag/test/heads/1"))
                .is_ok()
        );
    }

    #[test]
    fn p6_s10_a_flooder_is_borne_for_a_while_only() {
        let mut manners = Manners::new();
        let allowed = (0..1100).filter(|_| manners.allows()).count();
        assert_eq!(allowed, 100);
        assert!(!manners.is_intolerable(), "a burst is borne");
        manners.allows();
        assert!(manners.is_intolerable());
        let mut forger = Manners::new();
        forger.forged = FORGED_MESSAGES_MAX;
        assert!(forger.is_intolerable());
    }
}
