//! The node: one data directory, one store, one network, and the tasks that serve others.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use libp2p::{Multiaddr, PeerId, identity::ed25519};
use opendag_protocol::{
    DatasetId, Hash, ManifestId,
    key::SecretKey,
    wire::{BoundedBytes, BoundedVec},
};
use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    announce,
    catalogue::{self, Catalogue},
    config::Config,
    croissant::Documents,
    denylists::{self, Denylists},
    fault::Fault,
    flow::Flow,
    follow::{self, Follows},
    gateway::Listeners,
    holdings::Sessions,
    members::Members,
    metrics::Metrics,
    mount::Mounts,
    net::{HeadValidator, Inbound, KeyDenier, Net, NetConfig, NetError, PeerAddr},
    ops::Event,
    owners::renew::Waiting,
    place::Places,
    read::{Cache, Readers},
    retain::{self, Mirrors, Quota},
    search::Search,
    serve::{self, Slots},
    store::{DataDir, DataDirError, Keys, Store, StoreError},
};

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It runs on and serves: it is on the network from the start and helps to run the DHT.
    Daemon,
    /// It lasts as long as one command: it goes on the network when it must.
    Command,
}

/// How to start a node.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// What it is for.
    pub role: Role,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network does not start.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl NodeError {
    /// Who is to blame.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Local
    }
}

/// A running node; clones share it. [`Node::shutdown`] ends it in order; dropped, it just stops.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
}

/// What all parts of a node share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) data_dir: DataDir,
    pub(crate) config: Config,
    pub(crate) role: Role,
    pub(crate) store: Store,
    pub(crate) sessions: Sessions,
    pub(crate) readers: Readers,
    pub(crate) listeners: Listeners,
    pub(crate) documents: Documents,
    pub(crate) denylists: Arc<Denylists>,
    pub(crate) follows: Follows,
    pub(crate) places: Places,
    pub(crate) slots: Slots,
    pub(crate) upload: Flow,
    pub(crate) download: Flow,
    pub(crate) metrics: Metrics,
    pub(crate) members: Members,
    pub(crate) mounts: Mounts,
    pub(crate) catalogue: Catalogue,
    pub(crate) quota: Quota,
    pub(crate) mirrors: Mirrors,
    pub(crate) renewals: Waiting,
    pub(crate) running: Running,
    pub(crate) search: Search,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    net: OnceCell<Net>,
    peer: PeerId,
    key_seed: zeroize::Zeroizing<[u8; 32]>,
}

impl Node {
    /// Opens the data directory and starts what the role needs.
    ///
    /// # Errors
    /// [`NodeError`]; a second process on one data directory gets [`DataDirError::Locked`].
    pub async fn start(options: NodeOptions) -> Result<Self, NodeError> {
        let data_dir = DataDir::open(&options.data_dir)?;
        let store = Store::open_within(&data_dir, options.config.catalogue_limit).await?;
        let key_seed = data_dir.identity()?;
        let config = options.config;
        let quota = Quota::open(&data_dir, config.quota)?;
        let mirrors = Mirrors::open(&data_dir)?;
        let cache = Cache::new(store.clone(), data_dir.cache_path(), config.cache_limit);
        let denylists = Arc::new(Denylists::open(&data_dir, &store)?);
        let follows = Follows::open(&data_dir)?;
        let shared = Arc::new(Shared {
            peer: peer_id_of(&key_seed)?,
            places: Places::new(store.clone()),
            upload: Flow::new(config.upload_limit),
            download: Flow::new(config.download_limit),
            data_dir,
            config,
            role: options.role,
            readers: Readers::new(cache),
            listeners: Listeners::default(),
            documents: Documents::default(),
            denylists,
            follows,
            store,
            sessions: Sessions::default(),
            slots: Slots::default(),
            metrics: Metrics::default(),
            members: Members::default(),
            mounts: Mounts::default(),
            catalogue: Catalogue::default(),
            quota,
            mirrors,
            renewals: Waiting::default(),
            running: Running::default(),
            search: Search::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            net: OnceCell::new(),
            key_seed,
        });
        if options.role == Role::Daemon {
            let (stop, settling) = (shared.stop.clone(), shared.clone());
            let settle = async move { retain::settle(&settling).await };
            shared.tasks.spawn(stop.run_until_cancelled_owned(settle));
            shared.net().await?;
            shared.search.start(&shared);
            let mirror = retain::mirror::run(shared.clone());
            let stop = shared.stop.clone();
            shared.tasks.spawn(stop.run_until_cancelled_owned(mirror));
        }
        Ok(Self { shared })
    }

    /// Who and where this node is, as [`Event::Ready`]. The daemon adds where its listeners are.
    pub async fn ready(&self) -> Event {
        let addresses = self.shared.addresses().await;
        Event::Ready {
            peer: self.shared.peer.to_string(),
            addresses,
            api: None,
            gateway: None,
            s3: None,
        }
    }

    /// Ends running operations and tasks, and the network. What was acknowledged is durable already.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        if let Some(net) = self.shared.net.get() {
            net.shutdown().await;
        }
        let shared = self.shared.clone();
        // A task that dies here costs what was read last.
        let _ = tokio::task::spawn_blocking(move || shared.readers.save()).await;
        if let Err(error) = self.shared.store.shutdown().await {
            tracing::warn!(%error, "the store did not close in order");
        }
    }
}

impl Shared {
    /// The network; it starts at the first call.
    pub(crate) async fn net(self: &Arc<Self>) -> Result<Net, NetError> {
        self.net.get_or_try_init(|| self.start_net()).await.cloned()
    }

    /// The network, if it runs.
    pub(crate) fn running_net(&self) -> Option<&Net> {
        self.net.get()
    }

    async fn start_net(self: &Arc<Self>) -> Result<Net, NetError> {
        if let Err(error) = self.heed().await {
            tracing::warn!(%error, "what is denied here cannot be read");
        }
        let (net, inbound) = Net::start(NetConfig {
            keypair_seed: *self.key_seed,
            network: self.config.network.clone(),
            listen: self.config.listen.clone(),
            bootstrap: self.config.bootstrap.clone(),
            dht: self.config.dht,
            dht_server: self.role == Role::Daemon,
            mdns: self.config.mdns,
            validate_head: self.head_validator(),
            denies_key: self.key_denier(),
        })
        .await?;
        let Inbound { streams, events } = inbound;
        catalogue::start(self, &net);
        let (stop, shared) = (self.stop.clone(), self.clone());
        self.tasks
            .spawn(stop.run_until_cancelled_owned(serve::run(shared, streams)));
        let (stop, shared, handle) = (self.stop.clone(), self.clone(), net.clone());
        self.tasks
            .spawn(stop.run_until_cancelled_owned(catalogue::listen(shared, handle, events)));
        let (stop, shared) = (self.stop.clone(), self.clone());
        self.tasks
            .spawn(stop.run_until_cancelled_owned(denylists::watch(shared)));
        if self.role == Role::Daemon {
            let (stop, shared) = (self.stop.clone(), self.clone());
            self.tasks
                .spawn(stop.run_until_cancelled_owned(follow::run(shared)));
            let (stop, shared, handle) = (self.stop.clone(), self.clone(), net.clone());
            self.tasks
                .spawn(stop.run_until_cancelled_owned(announce::keep_announced(shared, handle)));
        }
        Ok(net)
    }

    fn head_validator(&self) -> HeadValidator {
        let (store, denylists) = (self.store.clone(), self.denylists.clone());
        Arc::new(move |key, value| {
            // What is denied here is not kept for others either.
            let dataset = DatasetId::from_hash(Hash::from_bytes(key.try_into().ok()?));
            let denied = denylists.denies_dataset(&store, dataset);
            let rank = || announce::rank_head(&store, key, value);
            (!denied).then(rank).flatten()
        })
    }

    fn key_denier(&self) -> KeyDenier {
        let denylists = self.denylists.clone();
        Arc::new(move |key| {
            let key = key.try_into().map(Hash::from_bytes);
            key.is_ok_and(|key| denylists.denies_key(key))
        })
    }

    /// This node's id.
    pub(crate) fn peer_id(&self) -> PeerId {
        self.peer
    }

    /// Where this node listens, with `/p2p/<peer>`; nothing without a network.
    pub(crate) async fn addresses(&self) -> Vec<String> {
        match self.net.get() {
            Some(net) => net
                .listen_addrs()
                .await
                .iter()
                .map(ToString::to_string)
                .collect(),
            None => Vec::new(),
        }
    }

    /// The key by which other nodes know this one.
    pub(crate) fn node_key(&self) -> SecretKey {
        SecretKey::from_bytes(&self.key_seed)
    }

    /// The publisher keys of this node.
    pub(crate) fn keys(&self) -> Keys {
        self.data_dir.keys()
    }

    /// Where a mirrored version lies.
    pub(crate) fn mirror_folder(&self, manifest: ManifestId) -> PathBuf {
        self.data_dir.copies_path().join(manifest.to_string())
    }

    /// A number that differs from node to node: where a fetch starts among equals.
    pub(crate) fn seed(&self) -> u64 {
        let hash = opendag_protocol::Hash::of(&self.peer.to_bytes());
        hash.as_bytes()
            .iter()
            .take(8)
            .fold(0, |seed, byte| seed << 8 | u64::from(*byte))
    }

    /// A peer of a swarm as the wire carries it.
    pub(crate) fn wire_address(known: &PeerAddr) -> Option<opendag_protocol::wire::PeerAddr> {
        let addresses = known.addrs.iter();
        let mut addresses =
            addresses.filter_map(|address| BoundedBytes::try_from(address.to_vec()).ok());
        let peer = BoundedBytes::try_from(known.peer.to_bytes()).ok()?;
        Some(opendag_protocol::wire::PeerAddr {
            peer,
            addresses: BoundedVec::take_from(&mut addresses),
        })
    }

    /// A peer that the wire named; `None` if it is none, or this node.
    pub(crate) fn peer_address(
        &self,
        named: &opendag_protocol::wire::PeerAddr,
    ) -> Option<PeerAddr> {
        let peer = PeerId::from_bytes(&named.peer)
            .ok()
            .filter(|peer| *peer != self.peer)?;
        let parse = |bytes: &BoundedBytes<_>| Multiaddr::try_from(bytes.to_vec()).ok();
        let addrs = named.addresses.iter().filter_map(parse).collect();
        Some(PeerAddr { peer, addrs })
    }
}

/// The operations that run now, a sentence each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<Mutex<BTreeMap<u64, String>>>);

impl Running {
    /// An operation runs until the answer is dropped.
    pub(crate) fn begin(&self, what: String) -> RunningGuard {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = running.last_key_value().map_or(0, |(id, _)| id + 1);
        running.insert(id, what);
        RunningGuard {
            running: self.clone(),
            id,
        }
    }

    /// All that runs.
    pub(crate) fn list(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}

/// See [`Running::begin`].
#[derive(Debug)]
pub(crate) struct RunningGuard {
    running: Running,
    id: u64,
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.running
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

/// The id that belongs to a node's key.
fn peer_id_of(seed: &[u8; 32]) -> Result<PeerId, NetError> {
    let mut seed = zeroize::Zeroizing::new(*seed);
    let secret = ed25519::SecretKey::try_from_bytes(seed.as_mut())
        .map_err(|error| NetError::Key(Box::new(error)))?;
    let keypair = ed25519::Keypair::from(secret);
    Ok(libp2p::identity::PublicKey::from(keypair.public()).to_peer_id())
}
