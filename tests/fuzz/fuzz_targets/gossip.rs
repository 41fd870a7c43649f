//! Gossip: what is accepted is a newer head that the owners signed; what is no head is never looked up.
//!
//! An even first byte: the rest is the message. An odd one: the rest tells which head is made and
//! signed, truly or falsely.
#![no_main]

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use opendag_fuzz::{first_record, head, sign};
use opendag_protocol::{
    DatasetId, Hash, ManifestId, RecordId, Timestamp,
    admission::{Verdict, head_dataset, judge},
    catalogue::{Applied, DatasetState},
    limits::{CLOCK_SKEW_MAX, HEAD_BYTES_MAX},
    record::Head,
};

const NOW: u64 = 100_000;

#[derive(Debug, Arbitrary)]
struct Message {
    other_dataset: bool,
    other_owners: bool,
    sequence: u32,
    manifest: u8,
    issued_at: u32,
    signers: u8,
    altered: Option<(u16, u8)>,
}

/// A dataset of the first key with a head of sequence 5.
fn state() -> &'static DatasetState {
    static STATE: OnceLock<DatasetState> = OnceLock::new();
    STATE.get_or_init(|| {
        let first = first_record();
        let mut state = DatasetState::new(&first).unwrap();
        let head = head(first.id().into(), first.id(), 5, manifest(0), NOW - 1000);
        state
            .apply(&sign(head, 1), Timestamp::from_secs(NOW))
            .unwrap();
        state
    })
}

fn manifest(number: u8) -> ManifestId {
    ManifestId::from_hash(Hash::of(&[number]))
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((mode, bytes)) if mode % 2 == 0 => check(bytes),
        Some((_, bytes)) => {
            if let Ok(message) = Message::arbitrary(&mut Unstructured::new(bytes)) {
                check(&make(&message));
            }
        }
        None => {}
    }
});

fn make(message: &Message) -> Vec<u8> {
    let known = state().owners().current_id();
    let unknown = RecordId::from_hash(Hash::of(b"another record"));
    let dataset: DatasetId = if message.other_dataset {
        unknown
    } else {
        known
    }
    .into();
    let owners = if message.other_owners { unknown } else { known };
    let sequence = message.sequence.into();
    let head = head(
        dataset,
        owners,
        sequence,
        manifest(message.manifest),
        message.issued_at.into(),
    );
    let mut bytes = sign(head, message.signers).bytes().to_vec();
    if let Some((at, byte)) = message.altered {
        let len = bytes.len();
        bytes[usize::from(at) % len] = byte;
    }
    bytes
}

fn check(bytes: &[u8]) {
    let (state, now) = (state(), Timestamp::from_secs(NOW));
    match judge(bytes, Some(state), now) {
        Verdict::Accept(signed) => {
            assert_eq!(signed.bytes(), bytes);
            assert!(bytes.len() <= HEAD_BYTES_MAX);
            let head = signed.as_head().expect("only heads are accepted");
            assert!(state.owners().authorises(&signed).is_ok());
            assert!(head.issued_at() <= now.saturating_add(CLOCK_SKEW_MAX));
            assert_eq!(head_dataset(bytes), Some(state.dataset_id()));
            check_applied(state.clone(), &signed, head, now);
        }
        Verdict::NeedOwners {
            dataset,
            owner_record,
        } => {
            assert_eq!(head_dataset(bytes), Some(dataset));
            let is_known = state.owners().at(&owner_record).is_some();
            assert!(dataset != state.dataset_id() || !is_known);
        }
        Verdict::Ignore(_) | Verdict::Reject(_) => {}
    }
    // Who knows nothing of the dataset accepts nothing of it.
    assert!(!matches!(judge(bytes, None, now), Verdict::Accept(_)));
    if bytes.len() > HEAD_BYTES_MAX {
        assert!(matches!(judge(bytes, Some(state), now), Verdict::Reject(_)));
        assert_eq!(head_dataset(bytes), None);
    }
}

fn check_applied(
    mut state: DatasetState,
    signed: &opendag_protocol::record::SignedRecord,
    head: &Head,
    now: Timestamp,
) {
    let before = rank(state.newest().unwrap());
    let applied = state
        .apply(signed, now)
        .expect("what is accepted is applied");
    let after = rank(state.newest().unwrap());
    match applied {
        Applied::Newer => assert!(after == rank(head) && after > before),
        Applied::Equivocation { newest: true, .. } => {
            assert!(after == rank(head) && after > before)
        }
        Applied::Equivocation { newest: false, .. } => assert_eq!(after, before),
        other => panic!("{other:?} is not worth to be forwarded"),
    }
    assert!(!matches!(
        judge(signed.bytes(), Some(&state), now),
        Verdict::Accept(_)
    ));
}

fn rank(head: &Head) -> (u64, Timestamp, RecordId) {
    (head.sequence(), head.issued_at(), head.id())
}
