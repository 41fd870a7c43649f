//! The peers that are asked for one description, side by side.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use libp2p::PeerId;
use opendag_protocol::BlobId;
use tokio::task::{AbortHandle, JoinSet};

use crate::{
    ask::{self, AskError},
    net::Net,
};

/// Questions for one description. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Asked {
    net: Net,
    id: BlobId,
    asking: JoinSet<(PeerId, Result<Vec<u8>, AskError>)>,
    questions: BTreeMap<PeerId, Question>,
}

#[derive(Debug)]
struct Question {
    /// Bytes that came, of use or not.
    received: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Question {
    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Asked {
    /// For this description nobody was asked yet.
    pub(super) fn new(net: Net, id: BlobId) -> Self {
        Self {
            net,
            id,
            asking: JoinSet::new(),
            questions: BTreeMap::new(),
        }
    }

    pub(super) fn ask(&mut self, peer: PeerId) {
        let received = Arc::new(AtomicU64::new(0));
        let (net, id, counted) = (self.net.clone(), self.id, Arc::clone(&received));
        let ask = async move { (peer, ask::blob(&net, peer, id, counted).await) };
        let task = self.asking.spawn(ask);
        self.questions.insert(peer, Question { received, task });
    }

    /// Was this peer asked?
    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.questions.contains_key(peer)
    }

    /// How many have not answered yet.
    pub(super) fn open(&self) -> usize {
        self.asking.len()
    }

    /// Bytes that came from all of them.
    pub(super) fn received(&self) -> u64 {
        self.questions.values().map(Question::received).sum()
    }

    /// The next answer; `None` if none is to come. Safe to cancel.
    pub(super) async fn answer(&mut self) -> Option<(PeerId, Result<Vec<u8>, AskError>)> {
        loop {
            // Else it was given up.
            if let Ok(answer) = self.asking.join_next().await? {
                return Some(answer);
            }
        }
    }

    /// Gives up those that are not `here` any more and sent nothing yet: others are asked in their place.
    pub(super) fn keep(&self, here: &[PeerId]) {
        for (peer, question) in &self.questions {
            if question.received() == 0 && !here.contains(peer) {
                question.task.abort();
            }
        }
    }

    /// All may be asked again.
    pub(super) fn forget(&mut self) {
        self.questions.clear();
    }
}
