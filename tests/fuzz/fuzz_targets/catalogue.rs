//! What is known of a dataset: records in any order move it as a naive model says, never backwards.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opendag_fuzz::{KEYS, first_record, head, key, sign};
use opendag_protocol::{
    BlobId, DatasetId, Hash, ManifestId, RecordId, Timestamp,
    catalogue::{Applied, DatasetState},
    cbor::{from_slice_canonical, to_vec},
    limits::{CLOCK_SKEW_MAX, SEQUENCE_JUMP_MAX},
    record::{Dataset, DatasetFields, Head, Manifest, ManifestFields, SignedRecord},
};

const STEPS_MAX: usize = 30;

/// Small numbers choose among what was made so far, and half of them what was made last. Half of
/// `signers` are all who should sign; in the others bits choose the keys.
#[derive(Debug, Arbitrary)]
enum Step {
    Owners {
        previous: u8,
        owners: u8,
        threshold: u8,
        signers: u8,
    },
    Version {
        owners: u8,
        parent: Option<Parent>,
        table: u8,
        signers: u8,
    },
    Head {
        owners: u8,
        version: u8,
        sequence: Sequence,
        latest_but: u8,
        signers: u8,
    },
    Again {
        record: u8,
    },
    Wait {
        seconds: i16,
    },
}

/// The version before; a far one is not one below.
#[derive(Clone, Copy, Debug, Arbitrary)]
struct Parent {
    version: u8,
    is_far: bool,
}

#[derive(Debug, Arbitrary)]
enum Sequence {
    OfTheVersion,
    Small(u8),
    Jump(i8),
}

/// An owner record, as the model sees it.
#[derive(Clone, Copy)]
struct Owners {
    id: RecordId,
    sequence: u64,
    keys: u8,
    threshold: u32,
}

impl Owners {
    fn have_signed(&self, signers: u8) -> bool {
        (signers & self.keys).count_ones() >= self.threshold
    }
}

/// The order of heads: owner record, sequence, time, id.
type Rank = (u64, u64, u64, RecordId);

/// The model: who owned the dataset, and which head is newest.
struct Model {
    chain: Vec<Owners>,
    newest: Option<(Rank, Head)>,
}

/// What was made so far.
struct World {
    dataset: DatasetId,
    owners: Vec<Owners>,
    versions: Vec<(ManifestId, u64)>,
    records: Vec<(SignedRecord, u8)>,
    last_sequence: u64,
    now: u64,
}

fuzz_target!(|steps: Vec<Step>| {
    let first = first_record();
    let mut state = DatasetState::new(&first).unwrap();
    let founders = Owners {
        id: first.id(),
        sequence: 0,
        keys: 1,
        threshold: 1,
    };
    let mut model = Model {
        chain: vec![founders],
        newest: None,
    };
    let unmade = ManifestId::from_hash(Hash::of(b"a version that nobody has"));
    let mut world = World {
        dataset: first.id().into(),
        owners: vec![founders],
        versions: vec![(unmade, 3)],
        records: vec![(first, 1)],
        last_sequence: 0,
        now: 10_000,
    };
    for step in steps.iter().take(STEPS_MAX) {
        if let Some((record, signers)) = world.make(step) {
            apply(&mut state, &mut model, &world, &record, signers);
        }
    }
    let stored = to_vec(&state).unwrap();
    assert_eq!(
        from_slice_canonical::<DatasetState>(&stored).unwrap(),
        state
    );
});

fn apply(
    state: &mut DatasetState,
    model: &mut Model,
    world: &World,
    record: &SignedRecord,
    signers: u8,
) {
    let now = Timestamp::from_secs(world.now);
    let before = state.clone();
    let assessed = state.assess(record, now);
    let applied = state.apply(record, now);
    assert_eq!(assessed, applied);
    match &applied {
        Ok(Applied::New | Applied::Newer | Applied::Equivocation { .. }) => {}
        Ok(_) | Err(_) => assert_eq!(*state, before),
    }
    model.take(&before, world, record, signers);
    let rank = state.newest().map(|head| model.rank(head));
    let expected = model.newest.as_ref().map(|(rank, head)| (*rank, head));
    assert_eq!(
        rank,
        expected.map(|(rank, _)| rank),
        "after {record:?}: {applied:?}"
    );
    assert_eq!(state.newest(), expected.map(|(_, head)| head));
    assert!(
        rank >= before.newest().map(|head| model.rank(head)),
        "it went backwards"
    );
    let chain: Vec<RecordId> = state.owners().records().map(SignedRecord::id).collect();
    assert_eq!(
        chain,
        model
            .chain
            .iter()
            .map(|owners| owners.id)
            .collect::<Vec<_>>()
    );
    check_versions(state, model, world);
    // A second time it changes nothing.
    let once = state.clone();
    let _ = state.apply(record, now);
    assert_eq!(*state, once);
}

/// Whatever version is known was signed by owners of its time, and has its own sequence.
fn check_versions(state: &DatasetState, model: &Model, world: &World) {
    for (sequence, id) in state.manifests() {
        let is_signed = |(record, signers): &(SignedRecord, u8)| {
            let manifest = record.as_manifest().filter(|manifest| manifest.id() == id);
            manifest.is_some_and(|manifest| {
                let owners = model
                    .chain
                    .iter()
                    .find(|owners| owners.id == manifest.owner_record());
                manifest.sequence() == sequence
                    && owners.is_some_and(|owners| owners.have_signed(*signers))
            })
        };
        assert!(
            world.records.iter().any(is_signed),
            "{id} was not signed by owners"
        );
    }
}

impl Model {
    fn rank(&self, head: &Head) -> Rank {
        let owners = self
            .chain
            .iter()
            .find(|owners| owners.id == head.owner_record())
            .unwrap();
        (
            owners.sequence,
            head.sequence(),
            head.issued_at().as_secs(),
            head.id(),
        )
    }

    fn current(&self) -> Owners {
        *self.chain.last().unwrap()
    }

    fn take(&mut self, state: &DatasetState, world: &World, record: &SignedRecord, signers: u8) {
        let current = self.current();
        if let Some(dataset) = record.as_dataset() {
            let next = world
                .owners
                .iter()
                .find(|owners| owners.id == dataset.id())
                .unwrap();
            let is_signed = current.have_signed(signers) && next.have_signed(signers);
            let strangers = signers & !(current.keys | next.keys);
            if dataset.previous() == Some(current.id) && is_signed && strangers == 0 {
                self.chain.push(*next);
            }
        } else if let Some(head) = record.as_head() {
            let is_signed = current.have_signed(signers) && signers & !current.keys == 0;
            let latest = world.now + CLOCK_SKEW_MAX.as_secs();
            let agrees = state
                .sequence_of(&head.manifest())
                .is_none_or(|known| known == head.sequence());
            let is_taken = head.owner_record() == current.id
                && is_signed
                && agrees
                && head.issued_at().as_secs() <= latest
                && self.newest.as_ref().is_none_or(|(newest, known)| {
                    head.sequence() <= known.sequence() + SEQUENCE_JUMP_MAX
                        && self.rank(head) > *newest
                });
            if is_taken {
                self.newest = Some((self.rank(head), head.clone()));
            }
        }
    }
}

impl World {
    /// The record that a step brings, and the keys that signed it.
    fn make(&mut self, step: &Step) -> Option<(SignedRecord, u8)> {
        let record = match *step {
            Step::Owners {
                previous,
                owners,
                threshold,
                signers,
            } => self.make_owners(previous, owners, threshold, signers),
            Step::Version {
                owners,
                parent,
                table,
                signers,
            } => self.make_version(*pick(&self.owners, owners), parent, table, signers),
            Step::Head {
                owners,
                version,
                ref sequence,
                latest_but,
                signers,
            } => {
                let (manifest, its_own) = *pick(&self.versions, version);
                let sequence = match *sequence {
                    Sequence::OfTheVersion => its_own,
                    Sequence::Small(small) => small.into(),
                    Sequence::Jump(more) => (self.last_sequence + SEQUENCE_JUMP_MAX)
                        .saturating_add_signed((more % 3).into()),
                };
                self.last_sequence = sequence;
                let owners = *pick(&self.owners, owners);
                let signers = signing(signers, owners.keys);
                // From one second too late on backwards.
                let latest = self.now + CLOCK_SKEW_MAX.as_secs();
                let issued_at = (latest + 1).saturating_sub(latest_but.into());
                let head = head(self.dataset, owners.id, sequence, manifest, issued_at);
                (sign(head, signers), signers)
            }
            Step::Again { record } => return Some(pick(&self.records, record).clone()),
            Step::Wait { seconds } => {
                self.now = self.now.saturating_add_signed(seconds.into());
                return None;
            }
        };
        self.records.push(record.clone());
        Some(record)
    }

    fn make_owners(
        &mut self,
        previous: u8,
        owners: u8,
        threshold: u8,
        signers: u8,
    ) -> (SignedRecord, u8) {
        let previous = *pick(&self.owners, previous);
        let keys = mask(owners);
        let threshold = 1 + threshold % u8::try_from(keys.count_ones()).unwrap();
        let sequence = previous.sequence + 1;
        let dataset = Dataset::new(DatasetFields {
            name: "corpus".to_owned(),
            owners: (0..KEYS)
                .filter(|n| keys >> n & 1 == 1)
                .map(|n| key(n).public())
                .collect(),
            threshold,
            sequence,
            dataset: Some(self.dataset),
            previous: Some(previous.id),
        });
        let dataset = dataset.unwrap();
        self.owners.push(Owners {
            id: dataset.id(),
            sequence,
            keys,
            threshold: threshold.into(),
        });
        let signers = signing(signers, keys | previous.keys);
        (sign(dataset, signers), signers)
    }

    fn make_version(
        &mut self,
        owners: Owners,
        parent: Option<Parent>,
        table: u8,
        signers: u8,
    ) -> (SignedRecord, u8) {
        let parent = parent.map(|Parent { version, is_far }| {
            let (id, sequence) = *pick(&self.versions, version);
            (id, sequence + if is_far { 2 } else { 1 })
        });
        let sequence = parent.map_or(0, |(_, next)| next);
        let manifest = Manifest::new(ManifestFields {
            dataset: self.dataset,
            owner_record: owners.id,
            sequence,
            parent: parent.map(|(id, _)| id),
            created_at: Timestamp::from_secs(1_700_000_000),
            label: None,
            title: None,
            description: None,
            license: None,
            languages: Vec::new(),
            tags: Vec::new(),
            homepage: None,
            table: BlobId::from_hash(Hash::of(&[table])),
            files: 2,
            bytes: 30,
            card: None,
            croissant: None,
            derived_from: Vec::new(),
            mirrors: Vec::new(),
        });
        let manifest = manifest.unwrap();
        self.versions.push((manifest.id(), sequence));
        let signers = signing(signers, owners.keys);
        (sign(manifest, signers), signers)
    }
}

fn pick<T>(list: &[T], number: u8) -> &T {
    let from_last = usize::from(number / 2) % list.len();
    let is_last = number.is_multiple_of(2);
    &list[list.len() - 1 - if is_last { 0 } else { from_last }]
}

/// The keys that sign.
fn signing(signers: u8, proper: u8) -> u8 {
    if signers.is_multiple_of(2) {
        proper
    } else {
        mask(signers / 2)
    }
}

/// Some keys, one at least.
fn mask(keys: u8) -> u8 {
    match keys & ((1 << KEYS) - 1) {
        0 => 1,
        keys => keys,
    }
}
