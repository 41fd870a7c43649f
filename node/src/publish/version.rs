//! Signing a version: which dataset it belongs to, its manifest, and the head that says it is newest.

use std::{path::Path, time::Duration};

use opendag_protocol::{
    BlobId, DatasetId, Hash, ManifestId, RecordId,
    catalogue::DatasetState,
    draft::Draft,
    key::{PublicKey, SecretKey},
    record::{
        Dataset, Derivation, Head, HeadFields, Manifest, ManifestFields, Record, SignedRecord,
        UnfinishedRecord,
    },
};

use super::{PublishError, describe::Described, walk::Walk};
use crate::{
    fork,
    node::Shared,
    ops::PublishRequest,
    resolve::{self, Asked, now},
    store::{HashedFile, Place, PlaceKind},
};

/// The key that is used, and made at the first use, when the user names none.
pub(crate) const DEFAULT_KEY: &str = "default";
/// What heads are counted in: the newer of two with one number is the one that was signed later.
const HEADS_APART_MIN: Duration = Duration::from_secs(1);

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
    pub(crate) records: Vec<SignedRecord>,
}

/// Refuses what no record can carry, before anything is hashed.
pub(super) fn check(request: &PublishRequest) -> Result<(), PublishError> {
    let id = RecordId::from_hash(Hash::of(&[]));
    let key = SecretKey::from_bytes(&[1; 32]).public();
    Dataset::first(&request.name, key)?;
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
        let wish = Asked::parse(shared, link, Path::new("."), &[])?.here(shared)?;
        let known = resolve::local(shared, wish.id)?;
        let manifest = known.map_or_else(|| wish.id.into(), |version| version.id);
        derivations.push(Derivation {
            manifest,
            how: None,
        });
    }
    Ok(derivations)
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

/// What is to be signed.
pub(super) struct Unsigned {
    pub(super) state: DatasetState,
    /// The first record of the dataset, signed, if it begins with this version.
    first: Option<SignedRecord>,
    /// The manifest, or the one that says all of it already.
    manifest: Next,
    key: SecretKey,
}

/// The version that becomes the newest.
enum Next {
    New(Manifest),
    Same(SignedRecord),
}

impl Next {
    /// Its sequence and id.
    fn at(&self) -> (u64, ManifestId) {
        match self {
            Self::New(manifest) => (manifest.sequence(), manifest.id()),
            Self::Same(manifest) => (sequence_of(manifest), manifest.id().into()),
        }
    }
}

/// The next version of the dataset that has this name and key. Blocks.
pub(super) fn next(
    shared: &Shared,
    request: &PublishRequest,
    described: &Described,
    derived_from: Vec<Derivation>,
) -> Result<Unsigned, PublishError> {
    let key = shared
        .keys()
        .get_or_create(request.key.as_deref().unwrap_or(DEFAULT_KEY))?;
    let mut begun = None;
    let state = match own_dataset(shared, &request.name, &key.public())? {
        Some(state) => state,
        None => {
            let first = SignedRecord::sign(
                &Record::Dataset(Dataset::first(&request.name, key.public())?),
                &[&key],
            )?;
            let state = DatasetState::new(&first)?;
            begun = Some(first);
            state
        }
    };
    let chain = state.owners();
    let mut fields = fields(
        request,
        described,
        derived_from,
        chain.dataset_id(),
        chain.current_id(),
    )?;
    let newest = state
        .newest_manifest()
        .map(|id| resolve::version(shared, id))
        .transpose()?
        .flatten();
    let manifest = match newest {
        // A new version decides a fork, even if it says the same.
        Some(newest)
            if says_the_same(newest.manifest().fields(), &fields)
                && fork::open(shared, &state)?.is_none() =>
        {
            Next::Same(newest.record)
        }
        newest => {
            fields.parent = newest.as_ref().map(|newest| newest.id);
            fields.sequence = newest.map_or(0, |newest| newest.manifest().fields().sequence + 1);
            Next::New(Manifest::new(fields)?)
        }
    };
    Ok(Unsigned {
        state,
        first: begun,
        manifest,
        key,
    })
}

/// Signs a version and the head that says it is the newest. Blocks.
pub(super) fn sign(
    shared: &Shared,
    unsigned: Unsigned,
    described: &Described,
) -> Result<Signed, PublishError> {
    let at = unsigned.manifest.at();
    let state = unsigned.state;
    let keys = signers(shared, &state, Some(unsigned.key))?;
    let keys: Vec<&SecretKey> = keys.iter().collect();
    let mut records: Vec<SignedRecord> = unsigned.first.into_iter().collect();
    let (new, manifest) = match unsigned.manifest {
        Next::New(manifest) => (true, SignedRecord::sign(&manifest.into(), &keys)?),
        Next::Same(manifest) => (false, manifest),
    };
    records.push(manifest);
    let head = head_fields(shared, &state, at);
    let head = Record::Head(Head::new(head)?);
    records.push(SignedRecord::sign(&head, &keys)?);
    Ok(Signed {
        dataset: state.dataset_id(),
        manifest: at.1,
        name: state.name().to_owned(),
        sequence: at.0,
        files: described.totals.files,
        bytes: described.totals.bytes,
        new,
        records,
    })
}

/// The same, to be signed by owners elsewhere. Blocks.
pub(super) fn draft(shared: &Shared, unsigned: &Unsigned) -> Result<Draft, PublishError> {
    let state = &unsigned.state;
    let at = unsigned.manifest.at();
    let manifest = match &unsigned.manifest {
        Next::New(manifest) => Some(UnfinishedRecord::new(manifest.clone())),
        // It bears its signatures already.
        Next::Same(_) => None,
    };
    let head = head_fields(shared, state, at);
    let head = UnfinishedRecord::new(Head::new(head)?);
    Ok(Draft::new(
        state.owners(),
        manifest.into_iter().chain([head]),
    )?)
}

/// A head for a dataset whose owner keys are on this node.
pub(crate) fn sign_head(
    shared: &Shared,
    state: &DatasetState,
    sequence: u64,
    manifest: ManifestId,
) -> Result<SignedRecord, PublishError> {
    let keys = signers(shared, state, None)?;
    let head = Head::new(head_fields(shared, state, (sequence, manifest)))?;
    let keys: Vec<&SecretKey> = keys.iter().collect();
    Ok(SignedRecord::sign(&Record::Head(head), &keys)?)
}

/// What the next head of a dataset says: by it the owners tell that this version is the newest. It is later than the last
/// one also if both are signed within one second: else it would not count.
pub(crate) fn head_fields(
    shared: &Shared,
    state: &DatasetState,
    (sequence, manifest): (u64, ManifestId),
) -> HeadFields {
    let last = state.newest().map(Head::issued_at);
    let later = last.map(|last| last.saturating_add(HEADS_APART_MIN));
    let issued_at = later.map_or(now(), |later| later.max(now()));
    HeadFields {
        dataset: state.dataset_id(),
        owner_record: state.owners().current_id(),
        sequence,
        manifest,
        issued_at,
        expires_at: issued_at.saturating_add(shared.config.head_lifetime),
    }
}

fn sequence_of(manifest: &SignedRecord) -> u64 {
    manifest
        .as_manifest()
        .map_or(0, |manifest| manifest.fields().sequence)
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
