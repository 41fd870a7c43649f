//! Signing a version: which dataset it belongs to, its manifest, and the head that says it is newest.

use std::path::Path;

use opendag_protocol::{
    BlobId, DatasetId, Hash, ManifestId, RecordId,
    catalogue::DatasetState,
    key::{PublicKey, SecretKey},
    record::{
        Dataset, DatasetFields, Derivation, Head, HeadFields, Manifest, ManifestFields, Record,
        SignedRecord,
    },
};

use super::{PublishError, describe::Described, walk::Walk};
use crate::{
    node::Shared,
    ops::PublishRequest,
    resolve::{self, Wish, now},
    store::{HashedFile, Place, PlaceKind},
};

/// The key that is used, and made at the first use, when the user names none.
pub(super) const DEFAULT_KEY: &str = "default";

/// A version that is signed.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) dataset: DatasetId,
    pub(crate) manifest: ManifestId,
    pub(crate) name: String,
    pub(crate) sequence: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// False if exactly this version was published before.
    pub(crate) new: bool,
    /// What the store does not have yet, in the order in which it can be judged.
    records: Vec<SignedRecord>,
}

/// Refuses what no record can carry, before anything is hashed.
pub(super) fn check(request: &PublishRequest) -> Result<(), PublishError> {
    let id = RecordId::from_hash(Hash::of(&[]));
    let key = SecretKey::from_bytes(&[1; 32]).public();
    first(&request.name, key)?;
    let described = Described {
        table: BlobId::from_hash(id.hash()),
        totals: Default::default(),
        card: None,
    };
    fields(request, &described, Vec::new(), id.into(), id).map(Manifest::new)??;
    Ok(())
}

/// The versions that the user says this one was made from. They must be known by id.
pub(super) fn derivations(
    shared: &Shared,
    links: &[String],
) -> Result<Vec<Derivation>, PublishError> {
    let mut derivations = Vec::new();
    for link in links {
        let wish = Wish::parse(shared, link, Path::new("."), &[])?;
        let known = resolve::local(shared, wish.id)?;
        let manifest = known.map_or_else(|| wish.id.into(), |version| version.id);
        derivations.push(Derivation {
            manifest,
            how: None,
        });
    }
    Ok(derivations)
}

fn first(name: &str, owner: PublicKey) -> Result<Dataset, PublishError> {
    let owners = vec![owner];
    let name = name.to_owned();
    Ok(Dataset::new(DatasetFields {
        name,
        owners,
        threshold: 1,
        sequence: 0,
        dataset: None,
        previous: None,
    })?)
}

fn fields(
    request: &PublishRequest,
    described: &Described,
    derived_from: Vec<Derivation>,
    dataset: DatasetId,
    owner_record: RecordId,
) -> Result<ManifestFields, PublishError> {
    Ok(ManifestFields {
        dataset,
        owner_record,
        sequence: 0,
        parent: None,
        created_at: now(),
        label: request.label.clone(),
        title: request.title.clone(),
        description: request.description.clone(),
        license: request.license.clone(),
        languages: request.languages.clone(),
        tags: request.tags.clone(),
        homepage: request.homepage.clone(),
        table: described.table,
        files: described.totals.files,
        bytes: described.totals.bytes,
        card: described.card,
        croissant: None,
        derived_from,
        mirrors: Vec::new(),
    })
}

/// Signs the next version of the dataset that has this name and key. Blocks.
pub(super) fn sign(
    shared: &Shared,
    request: &PublishRequest,
    described: &Described,
    derived_from: Vec<Derivation>,
) -> Result<Signed, PublishError> {
    let key = shared
        .keys()
        .get_or_create(request.key.as_deref().unwrap_or(DEFAULT_KEY))?;
    let mut records = Vec::new();
    let state = match own_dataset(shared, &request.name, &key.public())? {
        Some(state) => state,
        None => {
            let first = SignedRecord::sign(
                &Record::Dataset(first(&request.name, key.public())?),
                &[&key],
            )?;
            let state = DatasetState::new(&first)?;
            records.push(first);
            state
        }
    };
    let keys = signers(shared, &state, Some(key))?;
    let keys: Vec<&SecretKey> = keys.iter().collect();
    let chain = state.owners();
    let dataset = chain.dataset_id();
    let mut fields = fields(
        request,
        described,
        derived_from,
        dataset,
        chain.current_id(),
    )?;
    let newest = state
        .newest_manifest()
        .map(|id| resolve::version(shared, id))
        .transpose()?
        .flatten();
    let mut new = true;
    let manifest = match newest {
        Some(newest) if says_the_same(newest.manifest().fields(), &fields) => {
            new = false;
            newest.record
        }
        newest => {
            fields.parent = newest.as_ref().map(|newest| newest.id);
            fields.sequence = newest.map_or(0, |newest| newest.manifest().fields().sequence + 1);
            SignedRecord::sign(&Record::Manifest(Manifest::new(fields)?), &keys)?
        }
    };
    let (id, sequence, name) = (
        manifest.id().into(),
        sequence_of(&manifest),
        request.name.clone(),
    );
    records.push(manifest);
    records.push(head(shared, &state, (sequence, id), &keys)?);
    let (files, bytes) = (described.totals.files, described.totals.bytes);
    Ok(Signed {
        dataset,
        manifest: id,
        name,
        sequence,
        files,
        bytes,
        new,
        records,
    })
}

/// A head for a dataset whose owner keys are on this node.
pub(crate) fn sign_head(
    shared: &Shared,
    state: &DatasetState,
    sequence: u64,
    manifest: ManifestId,
) -> Result<SignedRecord, PublishError> {
    let keys = signers(shared, state, None)?;
    head(
        shared,
        state,
        (sequence, manifest),
        &keys.iter().collect::<Vec<_>>(),
    )
}

fn sequence_of(manifest: &SignedRecord) -> u64 {
    manifest
        .as_manifest()
        .map_or(0, |manifest| manifest.fields().sequence)
}

/// A head that says: this version is the newest.
fn head(
    shared: &Shared,
    state: &DatasetState,
    (sequence, manifest): (u64, ManifestId),
    keys: &[&SecretKey],
) -> Result<SignedRecord, PublishError> {
    let (dataset, owner_record) = (state.owners().dataset_id(), state.owners().current_id());
    let issued_at = now();
    let expires_at = issued_at.saturating_add(shared.config.head_lifetime);
    let head = Head::new(HeadFields {
        dataset,
        owner_record,
        sequence,
        manifest,
        issued_at,
        expires_at,
    })?;
    Ok(SignedRecord::sign(&Record::Head(head), keys)?)
}

/// The dataset with this name that `key` owns.
pub(super) fn own_dataset(
    shared: &Shared,
    name: &str,
    key: &PublicKey,
) -> Result<Option<DatasetState>, PublishError> {
    for id in shared.store.by_name(name)? {
        if let Some(state) = shared.store.dataset(&id)?
            && state.owners().current().fields().owners.contains(key)
        {
            return Ok(Some(state));
        }
    }
    Ok(None)
}

/// Enough keys to sign for a dataset, the named one first.
fn signers(
    shared: &Shared,
    state: &DatasetState,
    key: Option<SecretKey>,
) -> Result<Vec<SecretKey>, PublishError> {
    let owners = state.owners().current().fields();
    let mut keys: Vec<_> = key.into_iter().collect();
    for name in shared.keys().names()? {
        if keys.len() >= usize::from(owners.threshold) {
            break;
        }
        let other = shared.keys().get(&name)?;
        let is_new = keys.iter().all(|key| key.public() != other.public());
        if is_new && owners.owners.contains(&other.public()) {
            keys.push(other);
        }
    }
    if keys.len() < usize::from(owners.threshold) {
        return Err(PublishError::Threshold {
            have: keys.len(),
            need: owners.threshold,
        });
    }
    Ok(keys)
}

/// Would publishing `next` change nothing but the time?
fn says_the_same(newest: &ManifestFields, next: &ManifestFields) -> bool {
    let mut same = next.clone();
    same.sequence = newest.sequence;
    same.parent = newest.parent;
    same.created_at = newest.created_at;
    same.owner_record = newest.owner_record;
    same == *newest
}

/// Makes the version durable: its records, its place, its shards. Blocks.
pub(super) fn keep(
    shared: &Shared,
    signed: &Signed,
    walk: &Walk,
    kind: PlaceKind,
    hashed: &[HashedFile],
) -> Result<(), PublishError> {
    for record in &signed.records {
        shared.learn(record)?;
    }
    let place = Place {
        manifest: signed.manifest,
        root: walk.root.clone(),
        kind,
        pinned: true,
        include: Vec::new(),
        exclude: Vec::new(),
    };
    shared.store.place(&place)?;
    let rows = walk
        .files
        .iter()
        .zip(hashed)
        .map(|(found, hashed)| (hashed.hash, found.path.clone(), hashed.fingerprint));
    shared.store.shards_put(place.root_id(), rows)?;
    Ok(())
}
