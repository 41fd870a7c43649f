//! What a node answers.

use std::{collections::BTreeMap, path::PathBuf};

use opendag_protocol::{DatasetId, Hash, ManifestId, RecordId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DenylistInfo, DiffInfo, DraftInfo, FollowInfo, FoundInfo, FreedInfo, HeadInfo, ImportedInfo,
    LineageInfo, LockedInfo, MirrorInfo, OwnersInfo, PinInfo, QuotaInfo, ReceiptInfo, ReviewInfo,
    Shell, SourcesInfo, VersionInfo,
};

/// How far a long operation is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// `resolve`, `scan`, `hash`, `describe`, `plan`, `fetch`, `place`, `verify`.
    pub phase: String,
    /// Files done in this phase.
    pub files: u64,
    /// Files in all, 0 while unknown.
    pub files_total: u64,
    /// Bytes done in this phase, those that were here already included.
    pub bytes: u64,
    /// Bytes in all, 0 while unknown.
    pub bytes_total: u64,
    /// Bytes received from peers, verified or not.
    pub received_bytes: u64,
    /// Bytes a second, over the last seconds.
    pub bytes_per_second: u64,
    /// Seconds left at that speed; `None` while unknown.
    pub seconds_left: Option<u64>,
    /// Peers that serve us now.
    pub peers: u32,
    /// What it waits for, when nothing moves.
    pub waiting_for: Option<String>,
}

/// Bytes that came from one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerShare {
    /// The peer's id.
    pub peer: String,
    /// Verified bytes that it gave.
    pub bytes: u64,
}

/// A file of a version as `show --files` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileInfo {
    /// Path in the dataset.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3.
    pub blake3: Hash,
}

/// What is wrong with a shard on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BadShard {
    /// Its version.
    pub manifest: ManifestId,
    /// Its file on disk.
    pub path: PathBuf,
    /// `missing`, `changed` or `unreadable: …`.
    pub problem: String,
    /// Was it fetched again and put right?
    pub repaired: bool,
}

/// A peer as `peers` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerInfo {
    /// Its id.
    pub peer: String,
    /// Addresses of its connections.
    pub addresses: Vec<String>,
    /// Its agent string, escaped.
    pub agent: Option<String>,
    /// Round trip, as ping measured it.
    pub rtt_ms: Option<u64>,
}

/// Key of a publisher as `key list` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyInfo {
    /// Local name.
    pub name: String,
    /// Public key, as text.
    pub public: String,
}

/// A name for a publisher as `alias list` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AliasInfo {
    /// The name.
    pub name: String,
    /// The publisher's public key, as text.
    pub key: String,
}

/// What a node tells about an operation. As JSON: `{"event":"…",…}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The daemon listens.
    Ready {
        /// Its id.
        peer: String,
        /// Its addresses, each with `/p2p/<peer>`.
        addresses: Vec<String>,
        /// URL of the local API.
        api: Option<String>,
        /// URL of the gateway.
        gateway: Option<String>,
        /// URL of the S3 listener.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        s3: Option<String>,
    },
    /// How far it is.
    Progress(Progress),
    /// Something that the user should know and that does not stop the operation.
    Warning {
        /// A sentence.
        message: String,
    },
    /// A peer gave wrong bytes and is banned for this fetch, or did not give what it said that it has.
    BadPeer {
        /// The peer's id.
        peer: String,
        /// The shard's path in the dataset.
        path: String,
        /// What it did.
        reason: String,
    },
    /// A card was written into a folder that is being published.
    Card {
        /// Where.
        path: PathBuf,
        /// What can be loaded by it; none if it leaves that to clients.
        configs: Vec<String>,
        /// What it says.
        text: String,
    },
    /// A version was published.
    Published {
        /// Its dataset.
        dataset: DatasetId,
        /// Its manifest.
        manifest: ManifestId,
        /// Number of the version.
        sequence: u64,
        /// Link to the dataset, with addresses of this node if it listens.
        link: String,
        /// Its licence, an SPDX expression.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        license: Option<String>,
        /// True if the publisher named no licence, and it is that of the version before.
        #[serde(default)]
        license_kept: bool,
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
        /// Bytes that were read and hashed; less if files did not change since they were published last.
        #[serde(default)]
        bytes_read: u64,
        /// How long it took.
        seconds: f64,
        /// False if nothing had changed and the version existed already.
        new: bool,
    },
    /// What a fetch would move.
    Plan {
        /// The version.
        manifest: ManifestId,
        /// Files selected.
        files: u64,
        /// Bytes of them.
        bytes: u64,
        /// Bytes that are here already.
        reused_bytes: u64,
        /// Bytes to come from peers.
        missing_bytes: u64,
        /// Peers that hold some of it.
        peers: Vec<String>,
        /// Target folder.
        output: PathBuf,
    },
    /// A version is in place, whole and durable.
    Fetched {
        /// The version.
        manifest: ManifestId,
        /// Its dataset.
        dataset: DatasetId,
        /// Target folder.
        output: PathBuf,
        /// Files selected.
        files: u64,
        /// Bytes of them.
        bytes: u64,
        /// Bytes received from peers for shards in this run, verified or not, proofs included.
        received_bytes: u64,
        /// Bytes that were here already.
        reused_bytes: u64,
        /// Received bytes that were of no use.
        wasted_bytes: u64,
        /// Who gave how much.
        peers: Vec<PeerShare>,
        /// Is it the newest version that this node knows of?
        #[serde(default)]
        newest: bool,
        /// How fresh that is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        head: Option<HeadInfo>,
        /// How long it took.
        seconds: f64,
    },
    /// Versions: what `ls`, `show` and `log` answer.
    Versions {
        /// Newest first.
        versions: Vec<VersionInfo>,
    },
    /// A review was said or taken back.
    Reviewed(ReviewInfo),
    /// What a version was made from, and what was made from it.
    Lineage(Box<LineageInfo>),
    /// A dataset that a search found.
    Found(Box<FoundInfo>),
    /// The search ended.
    Searched {
        /// Hits that were told.
        hits: u64,
        /// Are there more?
        more: bool,
    },
    /// Some files of a version (`show --files` sends several).
    Files {
        /// Sorted by path.
        files: Vec<FileInfo>,
    },
    /// Difference of two versions.
    Diff(Box<DiffInfo>),
    /// All was hashed again.
    Verified {
        /// Shards read.
        shards: u64,
        /// Bytes read.
        bytes: u64,
        /// What is wrong.
        bad: Vec<BadShard>,
    },
    /// Versions stand in a lockfile.
    Locked {
        /// The file.
        file: PathBuf,
        /// The entries that were asked for.
        datasets: Vec<LockedInfo>,
    },
    /// What a lockfile says is in place.
    Restored {
        /// The file.
        file: PathBuf,
        /// Datasets.
        datasets: u64,
        /// Files of them.
        files: u64,
        /// Bytes of them.
        bytes: u64,
        /// Bytes that were received from peers for them.
        received_bytes: u64,
    },
    /// A receipt was made or checked.
    Receipt(Box<ReceiptInfo>),
    /// The signed records of a version: owner chain, manifest and newest head, in the order in which
    /// they can be checked.
    Exported {
        /// The version.
        manifest: ManifestId,
        /// Its dataset's name.
        name: String,
        /// Signed records as base64 text: what [`crate::export`] puts into a file.
        records: Vec<String>,
        /// Blobs that describe the version, as base64 text, if they were asked for: the index and the pages
        /// of its file table, its card, its Croissant.
        #[serde(default)]
        blobs: Vec<String>,
    },
    /// What a file carries is known here now.
    Imported(Box<ImportedInfo>),
    /// Which files a description in Croissant needs.
    Sources(Box<SourcesInfo>),
    /// A version in the vocabulary of Croissant.
    Described {
        /// The version.
        manifest: ManifestId,
        /// JSON-LD.
        document: String,
    },
    /// Kept, let go, or removed.
    Changed {
        /// A sentence.
        message: String,
        /// Bytes freed on disk.
        freed_bytes: u64,
    },
    /// What was freed, or would be.
    Freed(Box<FreedInfo>),
    /// The disk budget, and what lies here.
    Quota(Box<QuotaInfo>),
    /// What is mirrored.
    Mirrors {
        /// In the order in which they were last changed.
        mirrors: Vec<MirrorInfo>,
    },
    /// What is pinned.
    Pins {
        /// Sorted by id.
        pins: Vec<PinInfo>,
    },
    /// A dataset has other owners.
    Rotated {
        /// The dataset.
        dataset: DatasetId,
        /// The new owner record.
        record: RecordId,
        /// Its sequence.
        sequence: u64,
        /// Who owns the dataset now: public keys, as text.
        #[serde(default)]
        owners: Vec<String>,
        /// How many of them must sign.
        #[serde(default)]
        threshold: u8,
    },
    /// Who owns a dataset.
    Owners(Box<OwnersInfo>),
    /// A draft was written, signed or shown.
    Draft(Box<DraftInfo>),
    /// Publisher keys.
    Keys {
        /// All local ones.
        keys: Vec<KeyInfo>,
    },
    /// The user's names for publishers.
    Aliases {
        /// Sorted by name.
        aliases: Vec<AliasInfo>,
    },
    /// Who and what is followed.
    Follows {
        /// In the order in which they were last changed.
        follows: Vec<FollowInfo>,
    },
    /// The denylists that this node heeds.
    Denylists {
        /// The user's own first.
        lists: Vec<DenylistInfo>,
    },
    /// Who this node is.
    Id {
        /// Its id.
        peer: String,
        /// Its listening addresses; none without a daemon.
        addresses: Vec<String>,
    },
    /// Whom this node sees.
    Peers {
        /// Connected peers.
        peers: Vec<PeerInfo>,
    },
    /// What goes on.
    Status {
        /// Names and numbers.
        counters: BTreeMap<String, u64>,
        /// Running operations, a sentence each.
        running: Vec<String>,
        /// What is mirrored, and how far that is.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mirrors: Vec<MirrorInfo>,
    },
    /// What programs need in their environment to read from this node's listeners.
    Env {
        /// Names and values.
        variables: BTreeMap<String, String>,
        /// How they are to be written.
        shell: Shell,
    },
    /// Datasets are files below a folder from now on.
    Mounted {
        /// The folder.
        dir: PathBuf,
    },
    /// They are no more.
    Unmounted {
        /// The folder.
        dir: PathBuf,
    },
    /// The operation ended without success; the last event.
    Failed {
        /// A sentence: what happened, to what, what to do next.
        message: String,
        /// Process exit code: 1 failed, 2 bad input, 3 not found in time, 4 refused.
        exit_code: u8,
    },
}
