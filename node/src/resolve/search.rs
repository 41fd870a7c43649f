//! Asking the network for the records of a link, and for newer ones while the first are used already.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use libp2p::PeerId;
use opendag_protocol::{DatasetId, ManifestId, RecordId, record::SignedRecord};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{ResolveError, Version, Wish, local, owned::Publisher};
use crate::{
    ask::{self, AskError},
    fault::with_causes,
    find::{Finder, connected},
    net::Net,
    node::Shared,
    report::Reporter,
};

/// Peers that are asked for records at once, at first. So often one more: whoever does not answer must not keep others
/// from being asked.
const ASKED_AT_ONCE: usize = 8;
const ONE_MORE_EVERY: Duration = Duration::from_millis(100);
/// And at last: each answer may take 4 MiB.
const ASKED_MAX: usize = 64;
/// Peers that did not answer and are counted.
const SILENT_MAX: usize = 1024;
/// After the first answer others may know a newer version: so long is waited for them.
const NEWER_WAIT: Duration = Duration::from_millis(700);
/// The same when all peers that were found, and the DHT, have answered, but some may still be found.
const ALL_ANSWERED_WAIT: Duration = Duration::from_millis(250);
/// A peer on the local network answers within this from the start of the search, or is taken not to be there.
const LAN_WAIT: Duration = Duration::from_millis(250);
/// A dataset that is known here is looked up for so long before what is known is taken.
const KNOWN_WAIT: Duration = Duration::from_secs(4);

type Answer = (PeerId, Result<Vec<SignedRecord>, AskError>);

/// A search for one link. Dropping it ends it; what was learned stays.
///
/// Who has a version from [`Search::found`] may begin to use it, and ask [`Search::newer`] meanwhile whether there is
/// a newer one.
pub(crate) struct Search {
    shared: Arc<Shared>,
    net: Net,
    id: RecordId,
    hints: usize,
    publisher: Option<Publisher>,
    within: Duration,
    finder: Finder,
    asking: JoinSet<Answer>,
    /// The look into the DHT.
    heads: JoinSet<Vec<Vec<u8>>>,
    start: Instant,
    deadline: Instant,
    asked: BTreeSet<PeerId>,
    /// Peers that did not answer.
    silent: BTreeSet<PeerId>,
    /// Peers that know the link, the first to answer first.
    answered: Vec<PeerId>,
    refused: Option<String>,
    /// Was any version found?
    found: bool,
    /// Nothing more is waited for.
    settled: bool,
}

impl Search {
    /// Begins to look for what a wish means.
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        net: &Net,
        wish: &Wish,
        within: Duration,
        report: &Reporter,
    ) -> Result<Self, ResolveError> {
        let known = local(shared, wish.id)?;
        let exact = |version: &Version| RecordId::from(version.id) == wish.id;
        let settled = known.as_ref().is_some_and(exact);
        let (keys, hints) = if settled {
            (Vec::new(), Vec::new())
        } else {
            report.waiting("resolve", "peers that know the link").await;
            (vec![wish.id.hash()], wish.hints.clone())
        };
        let mut heads = JoinSet::new();
        if !settled {
            let (net, dataset) = (net.clone(), DatasetId::from(wish.id));
            heads.spawn(async move { net.get_heads(dataset).await });
        }
        let wait = if known.is_some() {
            KNOWN_WAIT.min(within)
        } else {
            within
        };
        let start = Instant::now();
        Ok(Self {
            shared: shared.clone(),
            net: net.clone(),
            id: wish.id,
            hints: wish.hints.len(),
            publisher: wish.publisher.clone(),
            within,
            finder: Finder::start(net.clone(), keys, hints),
            asking: JoinSet::new(),
            heads,
            start,
            deadline: start + wait,
            asked: BTreeSet::new(),
            silent: BTreeSet::new(),
            answered: Vec::new(),
            refused: None,
            found: settled,
            settled,
        })
    }

    /// The version, as soon as somebody told of one, or at the end of the search the one that is known here.
    pub(crate) async fn found(&mut self) -> Result<Version, ResolveError> {
        loop {
            let version = self.local()?;
            if let Some(version) = version.filter(|_| self.settled || !self.answered.is_empty()) {
                return Ok(version);
            }
            if !self.step().await? {
                break;
            }
        }
        let looked = self.looked().await;
        self.local()?.ok_or(ResolveError::NotFound {
            id: self.id,
            within: self.within,
            looked,
        })
    }

    /// The version that is known here. Refuses what is not the publisher's who was meant.
    fn local(&self) -> Result<Option<Version>, ResolveError> {
        let version = local(&self.shared, self.id)?;
        if let (Some(version), Some(publisher)) = (&version, &self.publisher) {
            publisher.check(&version.state)?;
        }
        Ok(version)
    }

    /// Another version than this, as soon as there is one; `None` when those who may know one have been heard, or
    /// were waited for long enough. Safe to cancel.
    pub(crate) async fn newer(
        &mut self,
        than: ManifestId,
    ) -> Result<Option<Version>, ResolveError> {
        loop {
            let version = self.local()?;
            if let Some(version) = version.filter(|version| version.id != than) {
                return Ok(Some(version));
            }
            if !self.step().await? {
                return Ok(None);
            }
        }
    }

    /// The newest version instead of this one.
    pub(crate) async fn newest(&mut self, mut version: Version) -> Result<Version, ResolveError> {
        while let Some(newer) = self.newer(version.id).await? {
            version = newer;
        }
        Ok(version)
    }

    /// The network that is searched.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Peers that know the link: they are likely to have what the version describes.
    pub(crate) fn answered(&self) -> &[PeerId] {
        &self.answered
    }

    /// Takes in what comes next; false when the search has ended. Safe to cancel.
    async fn step(&mut self) -> Result<bool, ResolveError> {
        if self.settled {
            return Ok(false);
        }
        let looked = self.finder.looked().clone();
        let may_ask = self.asking.len() < self.asked_at_once();
        tokio::select! {
            Some(peer) = self.finder.next(), if may_ask => {
                if self.asked.insert(peer) {
                    let (net, id) = (self.net.clone(), self.id);
                    self.asking.spawn(async move { (peer, ask::record(&net, peer, id).await) });
                }
            }
            Some(answer) = self.asking.join_next() => {
                if let Ok((peer, answer)) = answer {
                    self.answer(peer, answer);
                }
            }
            Some(found) = self.heads.join_next() => {
                for head in found.unwrap_or_default() {
                    self.learn(SignedRecord::decode(&head).ok());
                }
            }
            () = looked.cancelled(), if !looked.is_cancelled() => {}
            () = sleep(ONE_MORE_EVERY), if !may_ask && self.asking.len() < ASKED_MAX => {}
            () = sleep_until(self.deadline) => self.settled = true,
        }
        let found = self.local()?;
        let exact = found
            .as_ref()
            .is_some_and(|version| RecordId::from(version.id) == self.id);
        self.settled |= exact;
        self.found |= found.is_some();
        self.shorten();
        Ok(true)
    }

    /// How many peers may be asked at one time by now.
    fn asked_at_once(&self) -> usize {
        let more = self.start.elapsed().as_millis() / ONE_MORE_EVERY.as_millis();
        let more = usize::try_from(more).unwrap_or(usize::MAX);
        ASKED_AT_ONCE.saturating_add(more).min(ASKED_MAX)
    }

    /// How long others are waited for once a version is known: one of them may know a newer one.
    ///
    /// An answer of which nothing is valid does not cut short the wait for a better one.
    fn shorten(&mut self) {
        if !self.found || self.answered.is_empty() {
            return;
        }
        let now = Instant::now();
        self.deadline = self.deadline.min(now + NEWER_WAIT);
        if !self.asking.is_empty() || !self.heads.is_empty() {
            return;
        }
        if !self.finder.looked().is_cancelled() || !self.finder.is_empty() {
            self.deadline = self.deadline.min(now + ALL_ANSWERED_WAIT);
        } else if self.net.looks_on_lan() {
            self.deadline = self.deadline.min(self.start + LAN_WAIT);
        } else {
            self.settled = true;
        }
    }

    fn answer(&mut self, peer: PeerId, answer: Result<Vec<SignedRecord>, AskError>) {
        match answer {
            Ok(records) => {
                self.answered.push(peer);
                for record in records {
                    self.learn(Some(record));
                }
            }
            Err(error) => {
                self.asked.remove(&peer);
                if error.is_silence() && self.silent.len() < SILENT_MAX {
                    self.silent.insert(peer);
                }
                tracing::debug!(%peer, %error, "a peer does not know the link");
            }
        }
    }

    fn learn(&mut self, record: Option<SignedRecord>) {
        let Some(record) = record else { return };
        if let Err(error) = self.shared.learn(&record) {
            tracing::debug!(record = %record.id(), %error, "a record is refused");
            self.refused = Some(with_causes(&error));
        }
    }

    async fn looked(&self) -> String {
        let config = &self.shared.config;
        let dht = if config.dht { ", the DHT" } else { "" };
        let lan = if config.mdns {
            ", the local network"
        } else {
            ""
        };
        let answered = |peer: &&PeerId| !self.answered.contains(peer);
        let waiting = self.asked.iter().filter(answered);
        let silent = match waiting.chain(&self.silent).collect::<BTreeSet<_>>().len() {
            0 => String::new(),
            1 => "; one of them did not answer".to_owned(),
            silent => format!("; {silent} of them did not answer"),
        };
        let refused = self
            .refused
            .as_ref()
            .map(|why| format!("; a record was refused: {why}"))
            .unwrap_or_default();
        format!(
            "{} named peers, {} connected peers{dht}{lan}{silent}{refused}",
            self.hints,
            connected(&self.net).await.len()
        )
    }
}
