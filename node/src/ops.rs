//! What can be asked of a node, and what it answers: the shapes that the library, the local API and
//! `--json` share.
//!
//! Each operation has a request and ends in one [`Event`] that closes it, or in an error. Long ones
//! send [`Event::Progress`] before. The same types cross the local API as JSON, one event a line,
//! so that a command behaves alike with and without a daemon.
//!
//! The API's OpenAPI document is made from these types: a variant is a path or an event there, and doc
//! comments are its words. After a change `specs/openapi.json` is written anew, as its test says.

mod carry;
mod denylist;
mod diff;
mod draft;
mod event;
mod follow;
mod fork;
mod lineage;
mod lock;
mod receipt;
mod request;
mod retain;
mod review;
mod search;
mod version;
mod watched;

use std::future::Future;

pub use carry::{ExportRequest, ImportRequest, ImportedInfo, LeftInfo, SourceInfo, SourcesInfo};
pub use denylist::{
    AllowRequest, DeniedKind, DenyRequest, DenylistInfo, DenylistPublishRequest, SubscribeRequest,
};
pub use diff::{DiffBytes, DiffInfo, MovedFile, SchemaDiff, SchemaFit};
pub use draft::{
    DraftInfo, DraftKind, DraftVersion, MissingInfo, OwnerRecordInfo, OwnerSet, OwnersInfo,
    RenewalInfo,
};
pub use event::{AliasInfo, BadShard, Event, FileInfo, KeyInfo, PeerInfo, PeerShare, Progress};
pub use follow::{FollowInfo, FollowRequest, FollowedInfo, UnfollowRequest};
pub use fork::{ForkInfo, ForkSide};
pub use lineage::{
    LicenseFit, LicenseHint, LineageEdge, LineageFormat, LineageInfo, LineageVersion,
};
pub use lock::{LockChange, LockRequest, LockedInfo, RestoreRequest};
pub use receipt::{CheckReceiptRequest, ReceiptInfo, ReceiptRequest};
pub use request::{
    AliasNameRequest, AliasRequest, DescribeRequest, DiffRequest, EnvRequest, FetchRequest,
    FinishRequest, KeyFileRequest, KeyRequest, LineageRequest, LinkRequest, MountRequest,
    OwnersChange, OwnersRequest, PublishRequest, RotateRequest, Shell, SignRequest, UnmountRequest,
    VerifyRequest,
};
pub use retain::{
    FreedInfo, FreedVersion, FreedWhy, GcRequest, LeftOut, MirrorInfo, MirrorRequest, PinInfo,
    PinnedBy, QuotaInfo, QuotaRequest, SetQuota, UnmirrorRequest,
};
pub use review::{ReviewInfo, ReviewRequest, ReviewsInfo};
use schemars::JsonSchema;
pub use search::{FoundInfo, SearchRequest};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
pub use version::{HeadInfo, PlaceInfo, VersionInfo};
pub use watched::Watched;

/// Whoever carries out operations: a node, or a daemon behind the local API.
pub trait Operate: Clone + Send + Sync + 'static {
    /// Carries `operation` out and sends what happens. The last event closes the operation or is
    /// [`Event::Failed`]. Dropping the future cancels the operation; what was acknowledged stays. A
    /// closed channel does not stop it.
    fn run(
        &self,
        operation: Operation,
        events: mpsc::Sender<Event>,
    ) -> impl Future<Output = ()> + Send;
}

/// Any operation. `POST /v1/<variant in snake case>` with the request as JSON body.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", content = "request", rename_all = "snake_case")]
pub enum Operation {
    /// See [`PublishRequest`].
    Publish(PublishRequest),
    /// See [`FetchRequest`].
    Fetch(FetchRequest),
    /// The versions that are here: [`Event::Versions`].
    Ls(LinkRequest),
    /// One version: [`Event::Versions`] with one.
    Show(LinkRequest),
    /// The files of a version: [`Event::Files`].
    Files(LinkRequest),
    /// The history of a dataset: [`Event::Versions`].
    Log(LinkRequest),
    /// See [`LineageRequest`].
    Lineage(LineageRequest),
    /// See [`ReviewRequest`].
    Review(ReviewRequest),
    /// See [`SearchRequest`].
    Search(SearchRequest),
    /// See [`DiffRequest`].
    Diff(DiffRequest),
    /// See [`VerifyRequest`].
    Verify(VerifyRequest),
    /// See [`LockRequest`].
    Lock(LockRequest),
    /// See [`RestoreRequest`].
    Restore(RestoreRequest),
    /// See [`ReceiptRequest`].
    Receipt(ReceiptRequest),
    /// See [`CheckReceiptRequest`].
    CheckReceipt(CheckReceiptRequest),
    /// Never let it go unasked, whether it is here or not; of a dataset all versions. [`Event::Changed`].
    Pin(LinkRequest),
    /// All that is pinned: [`Event::Pins`].
    Pins,
    /// Let go: keep the data, but `gc` may free it. [`Event::Changed`].
    Unpin(LinkRequest),
    /// Let go and free what only this one needs. [`Event::Changed`].
    Rm(LinkRequest),
    /// See [`GcRequest`].
    Gc(GcRequest),
    /// See [`MirrorRequest`].
    Mirror(MirrorRequest),
    /// See [`UnmirrorRequest`].
    Unmirror(UnmirrorRequest),
    /// All that is mirrored: [`Event::Mirrors`].
    Mirrors,
    /// See [`QuotaRequest`].
    Quota(QuotaRequest),
    /// See [`RotateRequest`].
    Rotate(RotateRequest),
    /// See [`OwnersRequest`].
    ChangeOwners(OwnersRequest),
    /// Who owns a dataset: [`Event::Owners`].
    Owners(LinkRequest),
    /// See [`SignRequest`].
    Sign(SignRequest),
    /// See [`FinishRequest`].
    Finish(FinishRequest),
    /// See [`ExportRequest`].
    Export(ExportRequest),
    /// See [`ImportRequest`].
    Import(ImportRequest),
    /// See [`DescribeRequest`].
    Describe(DescribeRequest),
    /// All local publisher keys: [`Event::Keys`].
    Keys,
    /// Make a publisher key.
    KeyNew(KeyRequest),
    /// Write a publisher key to a file.
    KeyExport(KeyFileRequest),
    /// Read a publisher key from a file.
    KeyImport(KeyFileRequest),
    /// See [`AliasRequest`].
    AliasSet(AliasRequest),
    /// All aliases: [`Event::Aliases`].
    Aliases,
    /// Forget an alias. [`Event::Changed`].
    AliasRm(AliasNameRequest),
    /// See [`FollowRequest`].
    Follow(FollowRequest),
    /// See [`UnfollowRequest`].
    Unfollow(UnfollowRequest),
    /// All that is followed: [`Event::Follows`].
    Follows,
    /// See [`DenyRequest`].
    Deny(DenyRequest),
    /// See [`AllowRequest`].
    Allow(AllowRequest),
    /// All denylists that this node heeds: [`Event::Denylists`].
    Denylists,
    /// See [`DenylistPublishRequest`].
    DenylistPublish(DenylistPublishRequest),
    /// See [`SubscribeRequest`].
    DenylistSubscribe(SubscribeRequest),
    /// See [`SubscribeRequest`].
    DenylistUnsubscribe(SubscribeRequest),
    /// Who this node is: [`Event::Id`].
    Id,
    /// Whom this node sees: [`Event::Peers`].
    Peers,
    /// What goes on: [`Event::Status`].
    Status,
    /// See [`EnvRequest`].
    Env(EnvRequest),
    /// See [`MountRequest`].
    Mount(MountRequest),
    /// See [`UnmountRequest`].
    Unmount(UnmountRequest),
    /// Rebuild the index from records and blobs. [`Event::Changed`].
    Reindex,
}
