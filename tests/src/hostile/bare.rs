//! A libp2p peer without limits and manners: it says what it is told to, as fast as it can.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol as Name, Swarm, SwarmBuilder,
    gossipsub::{
        self, AllowAllSubscriptionFilter, ConfigBuilder, Event as GossipEvent, IdentTopic,
        IdentityTransform, MessageAuthenticity, MessageId, ValidationMode,
    },
    identify,
    identity::Keypair,
    kad::{self, Mode, StoreInserts, store::MemoryStore, store::MemoryStoreConfig},
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle, dial_opts::DialOpts},
    tcp, yamux,
};
use opendag_protocol::Hash;
use tokio::{
    runtime::{Handle, Runtime},
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long anything may take that the other side has to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// Orders that wait.
const ORDERS: usize = 64;
/// Streams that stay open while nothing is said.
const IDLE: Duration = Duration::from_secs(600);
/// The largest message that it sends: more than anybody takes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What it takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Gossip, as the protocol wants it: equal messages have one id.
    Gossip,
    /// Gossip signed by random authors with random numbers: equal messages have many ids.
    SignedGossip,
    /// The DHT, and gossip.
    Dht,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    gossip: gossipsub::Behaviour<IdentityTransform, AllowAllSubscriptionFilter>,
    kad: Toggle<kad::Behaviour<MemoryStore>>,
}

type Order = Box<dyn FnOnce(&mut Swarm<Behaviour>) + Send>;

/// See the module. It ends when dropped, or with its runtime.
pub struct Bare {
    handle: Handle,
    orders: mpsc::Sender<Order>,
    heard: Arc<Heard>,
    peer: PeerId,
    address: Multiaddr,
    topic: IdentTopic,
}

/// What it heard.
#[derive(Default)]
struct Heard {
    state: Mutex<State>,
    more: tokio::sync::Notify,
}

#[derive(Default)]
struct State {
    /// Messages, and how often they came. (Copies that gossipsub sorts out do not count.)
    messages: BTreeMap<Vec<u8>, u32>,
    connected: BTreeMap<PeerId, u32>,
    subscribed: BTreeMap<PeerId, u32>,
    identified: BTreeMap<PeerId, u32>,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until(&self, what: &str, is: impl Fn(&State) -> bool) -> Result<()> {
        let wait = async {
            loop {
                let more = self.more.notified();
                if is(&self.lock()) {
                    return;
                }
                // Whoever comes between the look and the wait is seen at the next tick.
                let _ = timeout(Duration::from_millis(50), more).await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .with_context(|| format!("{what}: not within {} s", PATIENCE.as_secs()))
    }
}

/// A key that follows from a number.
#[must_use]
pub fn keypair(number: u32) -> Keypair {
    let mut seed = *Hash::of(&number.to_le_bytes()).as_bytes();
    // 32 bytes are always a key.
    Keypair::ed25519_from_bytes(&mut seed).unwrap_or_else(|_| Keypair::generate_ed25519())
}

fn gossip(
    network: &str,
    part: Part,
) -> Result<gossipsub::Behaviour<IdentityTransform, AllowAllSubscriptionFilter>> {
    let mut config = ConfigBuilder::default();
    config
        .protocol_id_prefix(format!("/opendag/{network}/meshsub"))
        .max_transmit_size(MESSAGE_BYTES_MAX)
        .connection_handler_queue_len(100_000)
        .flood_publish(true);
    let who = match part {
        Part::Gossip | Part::Dht => {
            config
                .validation_mode(ValidationMode::Anonymous)
                .message_id_fn(|message| MessageId::new(Hash::of(&message.data).as_bytes()));
            MessageAuthenticity::Anonymous
        }
        Part::SignedGossip => {
            config.validation_mode(ValidationMode::Permissive);
            MessageAuthenticity::RandomAuthor
        }
    };
    gossipsub::Behaviour::new_with_subscription_filter(
        who,
        config.build()?,
        AllowAllSubscriptionFilter {},
    )
    .map_err(anyhow::Error::msg)
}

fn behaviour(key: &Keypair, network: &str, part: Part) -> Result<Behaviour> {
    let local = key.public().to_peer_id();
    let version = format!("opendag/{network}/1");
    let identify = identify::Config::new(version, key.public())
        // A thousand addresses would not fit.
        .with_push_listen_addr_updates(false);
    let name = Name::try_from_owned(format!("/opendag/{network}/kad/1"))?;
    let mut config = kad::Config::new(name);
    // What it is told it does not keep, so that what honest nodes announce is lost here.
    config.set_record_filtering(StoreInserts::FilterBoth);
    let store = MemoryStore::with_config(
        local,
        MemoryStoreConfig {
            max_provided_keys: usize::MAX,
            max_providers_per_key: usize::MAX,
            ..MemoryStoreConfig::default()
        },
    );
    let mut kad = kad::Behaviour::with_config(local, store, config);
    kad.set_mode(Some(Mode::Server));
    Ok(Behaviour {
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::default(),
        gossip: gossip(network, part)?,
        kad: Toggle::from((part == Part::Dht).then_some(kad)),
    })
}

impl Bare {
    /// Starts it on a runtime that others may share.
    pub fn start(runtime: &Runtime, network: &str, number: u32, part: Part) -> Result<Self> {
        let key = keypair(number);
        let peer = key.public().to_peer_id();
        let prologue = format!("opendag/{network}/1").into_bytes();
        let _inside = runtime.enter();
        let behaviour = behaviour(&key, network, part)?;
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(
                tcp::Config::new().nodelay(true),
                move |key: &Keypair| {
                    noise::Config::new(key).map(|noise| noise.with_prologue(prologue))
                },
                yamux::Config::default,
            )?
            .with_behaviour(|_| behaviour)?
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
            .build();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
        let topic = IdentTopic::new(format!("opendag/{network}/heads/1"));
        swarm.behaviour_mut().gossip.subscribe(&topic)?;
        let (orders, mut given) = mpsc::channel::<Order>(ORDERS);
        let (listening, address) = oneshot::channel();
        let heard = Arc::new(Heard::default());
        let told = Arc::clone(&heard);
        runtime.spawn(async move {
            let mut listening = Some(listening);
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => {
                        if let SwarmEvent::NewListenAddr { address, .. } = &event
                            && let Some(listening) = listening.take()
                        {
                            let _ = listening.send(address.clone());
                        }
                        note(&told, event);
                    }
                    order = given.recv() => match order {
                        Some(order) => order(&mut swarm),
                        None => return,
                    },
                }
            }
        });
        let address = runtime.block_on(timeout(PATIENCE, address))??;
        Ok(Self {
            handle: runtime.handle().clone(),
            orders,
            heard,
            peer,
            address: address
                .with_p2p(peer)
                .map_err(|_| anyhow::anyhow!("an address"))?,
            topic,
        })
    }

    /// Its id.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Its address, with `/p2p/…`.
    #[must_use]
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Has its swarm do something, and answers with what that gave.
    fn order<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Swarm<Behaviour>) -> T + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let order: Order = Box::new(move |swarm| {
            let _ = reply.send(what(swarm));
        });
        self.handle.block_on(async {
            self.orders.send(order).await.ok().context("it has ended")?;
            Ok(timeout(PATIENCE, answer).await??)
        })
    }

    /// Connects to a node, and waits until both have said who they are and what they listen to.
    pub fn join(&self, address: &str) -> Result<PeerId> {
        let address: Multiaddr = address.parse()?;
        let peer = peer_of(&address)?;
        self.order(move |swarm| {
            if let Some(kad) = swarm.behaviour_mut().kad.as_mut() {
                kad.add_address(&peer, address.clone());
            }
            swarm.dial(DialOpts::peer_id(peer).addresses(vec![address]).build())
        })??;
        let joined = self.heard.until("a bare peer connects", |state| {
            state.subscribed.contains_key(&peer) && state.identified.contains_key(&peer)
        });
        self.handle.block_on(joined)?;
        Ok(peer)
    }

    /// Is it connected to this peer?
    #[must_use]
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.heard.lock().connected.contains_key(peer)
    }

    /// Waits until a node has shut the door.
    pub fn wait_until_thrown_out(&self, by: &PeerId) -> Result<()> {
        let out = self.heard.until("the peer is still connected", |state| {
            !state.connected.contains_key(by)
        });
        self.handle.block_on(out)
    }

    /// Says something to everybody who listens. False: it was not sent.
    pub fn say(&self, bytes: Vec<u8>) -> Result<bool> {
        let topic = self.topic.clone();
        self.order(move |swarm| swarm.behaviour_mut().gossip.publish(topic, bytes).is_ok())
    }

    /// Says all of these at once, on the topic or another; how many were sent.
    pub fn say_all(&self, topic: Option<&str>, all: Vec<Vec<u8>>) -> Result<usize> {
        let topic = topic.map_or_else(|| self.topic.clone(), IdentTopic::new);
        self.order(move |swarm| {
            let gossip = &mut swarm.behaviour_mut().gossip;
            let said = all
                .into_iter()
                .map(|bytes| gossip.publish(topic.hash(), bytes));
            said.filter(Result::is_ok).count()
        })
    }

    /// Subscribes to topics that nobody knows.
    pub fn subscribe_all(&self, topics: usize) -> Result<()> {
        self.order(move |swarm| {
            for number in 0..topics {
                let topic = IdentTopic::new(format!("{number}"));
                swarm.behaviour_mut().gossip.subscribe(&topic)?;
            }
            anyhow::Ok(())
        })?
    }

    /// Did it hear this?
    #[must_use]
    pub fn has_heard(&self, bytes: &[u8]) -> bool {
        self.heard.lock().messages.contains_key(bytes)
    }

    /// Waits until it hears this.
    pub fn wait_until_heard(&self, bytes: &[u8]) -> Result<()> {
        let heard = self
            .heard
            .until("a message", |state| state.messages.contains_key(bytes));
        self.handle.block_on(heard)
    }

    /// All that it heard.
    #[must_use]
    pub fn all_heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().messages.keys().cloned().collect()
    }

    /// Has its part of the DHT do something.
    fn in_dht<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut kad::Behaviour<MemoryStore>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.order(move |swarm| {
            let kad = swarm.behaviour_mut().kad.as_mut();
            what(kad.context("it takes no part in the DHT")?)
        })?
    }

    /// Says that it provides these.
    pub fn provide(&self, keys: Vec<Hash>) -> Result<()> {
        self.in_dht(move |kad| {
            for key in keys {
                kad.start_providing(kad::RecordKey::new(key.as_bytes()))?;
            }
            Ok(())
        })
    }

    /// Says that it can be reached at these.
    pub fn pretend(&self, addresses: Vec<Multiaddr>) -> Result<()> {
        self.order(move |swarm| {
            for address in addresses {
                swarm.add_external_address(address);
            }
        })
    }

    /// Puts a value that nobody asked for.
    pub fn put(&self, key: Hash, value: Vec<u8>) -> Result<()> {
        self.in_dht(move |kad| {
            let record = kad::Record::new(kad::RecordKey::new(key.as_bytes()), value);
            kad.put_record(record, kad::Quorum::One)?;
            Ok(())
        })
    }

    /// Answers whoever asks for these keys that these peers provide them, and nobody else does; and
    /// knows no other nodes than these.
    pub fn lie(&self, keys: Vec<Hash>, friends: Vec<(PeerId, Multiaddr)>) -> Result<()> {
        self.in_dht(move |kad| {
            for (peer, address) in &friends {
                kad.add_address(peer, address.clone());
            }
            for key in keys {
                for (peer, address) in &friends {
                    let record = kad::ProviderRecord::new(
                        kad::RecordKey::new(key.as_bytes()),
                        *peer,
                        vec![address.clone()],
                    );
                    kad::store::RecordStore::add_provider(kad.store_mut(), record)?;
                }
            }
            Ok(())
        })
    }
}

/// The peer that an address ends with.
pub fn peer_of(address: &Multiaddr) -> Result<PeerId> {
    let last = address.iter().last();
    match last {
        Some(libp2p::multiaddr::Protocol::P2p(peer)) => Ok(peer),
        _ => anyhow::bail!("{address} names no peer"),
    }
}

fn note(heard: &Heard, event: SwarmEvent<BehaviourEvent>) {
    let mut state = heard.lock();
    match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } => {
            *state.connected.entry(peer_id).or_default() += 1;
        }
        SwarmEvent::ConnectionClosed {
            peer_id,
            num_established: 0,
            ..
        } => {
            state.connected.remove(&peer_id);
        }
        SwarmEvent::Behaviour(BehaviourEvent::Gossip(GossipEvent::Message { message, .. })) => {
            *state.messages.entry(message.data).or_default() += 1;
        }
        SwarmEvent::Behaviour(BehaviourEvent::Gossip(GossipEvent::Subscribed {
            peer_id, ..
        })) => {
            *state.subscribed.entry(peer_id).or_default() += 1;
        }
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
            peer_id,
            ..
        })) => {
            *state.identified.entry(peer_id).or_default() += 1;
        }
        _ => return,
    }
    drop(state);
    heard.more.notify_waiters();
}
