//! Forks: datasets whose owners signed two things of which only one may be true.
//!
//! `opendag_protocol::catalogue` finds and keeps the proofs; here they are told, and it is decided which
//! version is used meanwhile. A fork of versions is *open* until the owners go on from it. While it is,
//! nobody is given "the newest version" without being asked: a fetch refuses, and readers keep the
//! version that this node knew first. Source: `specs/records.md`, section *Forks*.

use opendag_protocol::{
    ManifestId, RecordId,
    catalogue::{DatasetState, Equivocation, EquivocationKind},
    record::{Record, SignedRecord},
};

use crate::{
    node::Shared,
    ops::{ForkInfo, ForkSide},
    resolve::{self, Version},
    store::StoreError,
};

/// All forks of a dataset that are proved here, in the order in which they were found. Blocks.
pub(crate) fn all(shared: &Shared, state: &DatasetState) -> Result<Vec<ForkInfo>, StoreError> {
    let proofs = state.equivocations().iter();
    proofs.map(|proof| info(shared, state, proof)).collect()
}

/// The first open fork of versions, if there is one. Blocks.
pub(crate) fn open(shared: &Shared, state: &DatasetState) -> Result<Option<ForkInfo>, StoreError> {
    // Most datasets have none, and no record has to be read to see that.
    if state.equivocations().is_empty() {
        return Ok(None);
    }
    Ok(all(shared, state)?.into_iter().find(|fork| fork.open))
}

fn info(
    shared: &Shared,
    state: &DatasetState,
    proof: &Equivocation,
) -> Result<ForkInfo, StoreError> {
    let records = [
        shared.store.record(&proof.first)?,
        shared.store.record(&proof.second)?,
    ];
    let owner_records = records.iter().flatten().filter_map(owner_record);
    let open = proof.kind != EquivocationKind::Owners
        && state.is_open(proof, owner_records.collect::<Vec<_>>());
    let [first, second] = records;
    Ok(ForkInfo {
        kind: proof.kind,
        sequence: proof.sequence,
        open,
        first: side(proof.first, first.as_ref()),
        second: side(proof.second, second.as_ref()),
    })
}

fn owner_record(signed: &SignedRecord) -> Option<RecordId> {
    match signed.record() {
        Record::Manifest(manifest) => Some(manifest.owner_record()),
        Record::Head(head) => Some(head.owner_record()),
        Record::Dataset(_) | Record::Statement(_) | Record::Other(_) => None,
    }
}

fn side(id: RecordId, signed: Option<&SignedRecord>) -> ForkSide {
    let (manifest, at) = match signed.map(SignedRecord::record) {
        Some(Record::Manifest(manifest)) => (Some(manifest.id()), Some(manifest.created_at())),
        Some(Record::Head(head)) => (Some(head.manifest()), Some(head.issued_at())),
        Some(Record::Dataset(_) | Record::Statement(_) | Record::Other(_)) | None => (None, None),
    };
    let signers = signed.map(|signed| signed.signers().map(|key| key.to_string()).collect());
    ForkSide {
        record: id,
        manifest,
        at,
        signers: signers.unwrap_or_default(),
    }
}

/// The version that readers get while the newest one is disputed: the one that this node knew first, so
/// that another never takes its place without a word. `None`: nothing is disputed.
pub(crate) fn first_known(
    shared: &Shared,
    version: &Version,
) -> Result<Option<ManifestId>, StoreError> {
    let fork = open(shared, &version.state)?;
    let first = fork.and_then(|fork| fork.first.manifest);
    Ok(first.filter(|first| *first != version.id))
}

/// As [`first_known`], as a version, if its record is here.
pub(crate) fn undisputed(shared: &Shared, version: Version) -> Result<Version, StoreError> {
    let Some(first) = first_known(shared, &version)? else {
        return Ok(version);
    };
    let dataset = version.dataset();
    match resolve::version(shared, first) {
        Ok(Some(first)) => {
            tracing::debug!(%dataset, version = %first.id, "the newest version is disputed: readers keep the first");
            Ok(first)
        }
        // Then this node never served it: what it knows is all that it can give.
        Ok(None) | Err(_) => Ok(version),
    }
}
