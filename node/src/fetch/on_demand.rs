//! Fetching what readers wait for of one version, into the cache: what readers see of it. The [`task`] runs
//! for as long as anybody reads.

mod task;

use std::sync::Arc;

use libp2p::PeerId;
use opendag_protocol::{Hash, ManifestId, table::ShardIndex, wire::GroupRange};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use self::task::Task;
use super::{swarm::Swarm, table::Source};
use crate::{find::Finder, net::Net, node::Shared, read::CachedFile};

/// What readers want and is not handled yet: full means that readers wait.
const WANTS_WAITING_MAX: usize = 256;

/// A task that fetches for readers. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct OnDemand {
    wants: mpsc::Sender<Want>,
    waits_for: watch::Receiver<Option<String>>,
    descriptions: Source,
    _task: JoinSet<()>,
}

/// What the task tells others.
#[derive(Debug)]
struct Tell {
    /// What is waited for; `None`: something moves, or nothing is wanted.
    waits_for: watch::Sender<Option<String>>,
    /// Who may give descriptions: peers that are told of at the start, and those that said what they hold.
    peers: watch::Sender<Vec<PeerId>>,
}

/// What a reader says.
#[derive(Debug)]
enum Want {
    Read {
        reader: u64,
        shard: ShardIndex,
        file: Arc<CachedFile>,
        groups: GroupRange,
    },
    Leave {
        reader: u64,
    },
}

impl OnDemand {
    /// Joins the swarm of a version. `peers` are asked for descriptions before anybody said what it holds.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        net: &Net,
        manifest: ManifestId,
        (keys, peers): (Vec<Hash>, Vec<PeerId>),
    ) -> Self {
        let (wants, wanted) = mpsc::channel(WANTS_WAITING_MAX);
        let (tell_waits_for, waits_for) = watch::channel(None);
        let (tell_peers, peers) = watch::channel(peers);
        let tell = Tell {
            waits_for: tell_waits_for,
            peers: tell_peers,
        };
        let finder = Finder::start(net.clone(), keys, Vec::new());
        let swarm = Swarm::start(shared, net, manifest, finder);
        let task = Task::new(shared.clone(), net.clone(), manifest, (swarm, tell));
        let mut tasks = JoinSet::new();
        let stop = shared.stop.clone();
        tasks.spawn(async move {
            stop.run_until_cancelled(task.run(wanted)).await;
        });
        Self {
            wants,
            waits_for,
            descriptions: Source::for_readers(shared, net, peers),
            _task: tasks,
        }
    }

    /// A reader waits for groups of a file, and no more for what it waited for before.
    pub(crate) async fn want(
        &self,
        reader: u64,
        (shard, file): (ShardIndex, &Arc<CachedFile>),
        groups: GroupRange,
    ) {
        let file = file.clone();
        // Without the task nothing will come, which the reader's deadline tells.
        let _ = self
            .wants
            .send(Want::Read {
                reader,
                shard,
                file,
                groups,
            })
            .await;
    }

    /// A reader went away.
    pub(crate) fn leave(&self, reader: u64) {
        if let Err(mpsc::error::TrySendError::Full(leave)) =
            self.wants.try_send(Want::Leave { reader })
        {
            let wants = self.wants.clone();
            tokio::spawn(async move { wants.send(leave).await });
        }
    }

    /// What is waited for; `None`: something moves.
    pub(crate) fn waits_for(&self) -> Option<String> {
        self.waits_for.borrow().clone()
    }

    /// Where descriptions of the version come from.
    pub(crate) fn descriptions(&self) -> Source {
        self.descriptions.clone()
    }
}
