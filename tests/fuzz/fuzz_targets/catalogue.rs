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

const STEPS_MAX: usize = 40;

/// Small numbers choose among what was made so far; bits of `signers` choose the keys that sign.
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
        parent: Option<u8>,
        far: bool,
        table: u8,
        signers: u8,
    },
    Head {
        owners: u8,
        version: u8,
        sequence: Sequence,
        issued_at: u16,
        signers: u8,
    },
    Again {
        record: u8,
    },
    Wait {
        seconds: i16,
    },
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
                far,
                table,
                signers,
            } => self.make_version(pick(&self.owners, owners).id, parent, far, table, signers),
            Step::Head {
                owners,
                version,
                ref sequence,
                issued_at,
                signers,
            } => {
                let (manifest, its_own) = *pick(&self.versions, version);
                let sequence = match *sequence {
                    Sequence::OfTheVersion => its_own,
                    Sequence::Small(small) => small.into(),
                    Sequence::Jump(more) => SEQUENCE_JUMP_MAX.saturating_add_signed(more.into()),
                };
                let owners = pick(&self.owners, owners).id;
                let head = head(self.dataset, owners, sequence, manifest, issued_at.into());
                (sign(head, signers), mask(signers))
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
        (sign(dataset, signers), mask(signers))
    }

    fn make_version(
        &mut self,
        owner_record: RecordId,
        parent: Option<u8>,
        far: bool,
        table: u8,
        signers: u8,
    ) -> (SignedRecord, u8) {
        let parent = parent.map(|parent| *pick(&self.versions, parent));
        let sequence = parent.map_or(0, |(_, sequence)| sequence + if far { 2 } else { 1 });
        let manifest = Manifest::new(ManifestFields {
            dataset: self.dataset,
            owner_record,
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
        (sign(manifest, signers), mask(signers))
    }
}

fn pick<T>(list: &[T], number: u8) -> &T {
    &list[usize::from(number) % list.len()]
}

/// The keys that `sign` takes.
fn mask(signers: u8) -> u8 {
    match signers & ((1 << KEYS) - 1) {
        0 => 1,
        keys => keys,
    }
}
