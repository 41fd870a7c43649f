use proptest::prelude::*;

use super::*;
use crate::{
    Hash, ManifestId,
    limits::CLOCK_SKEW_MAX,
    record::{Head, HeadFields},
    testing::*,
};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn id(name: &str) -> ManifestId {
    ManifestId::from_hash(Hash::of(name.as_bytes()))
}

fn setup() -> (SignedRecord, DatasetState) {
    let first = first_record(&[1], 1);
    let mut state = DatasetState::new(&first).unwrap();
    state.apply(&head(&first, 5, id("a"), 500), NOW).unwrap();
    (first, state)
}

#[test]
fn newer_heads_are_passed_on() {
    let (first, state) = setup();
    for newer in [head(&first, 6, id("b"), 500), head(&first, 5, id("a"), 501)] {
        let Verdict::Accept(accepted) = judge(newer.bytes(), Some(&state), NOW) else {
            panic!("not accepted")
        };
        assert_eq!(accepted, newer);
        assert_eq!(head_dataset(newer.bytes()), Some(state.dataset_id()));
    }
}

#[test]
fn a_head_that_proves_equivocation_is_passed_on_once() {
    let (first, mut state) = setup();
    let other = head(&first, 5, id("b"), 400);
    assert!(matches!(
        judge(other.bytes(), Some(&state), NOW),
        Verdict::Accept(_)
    ));
    state.apply(&other, NOW).unwrap();
    let again = judge(other.bytes(), Some(&state), NOW);
    assert!(matches!(again, Verdict::Ignore(IgnoreReason::Known)));
}

#[test]
fn p7_old_known_and_early_heads_are_dropped_without_blame() {
    let (first, state) = setup();
    let judge = |head: &SignedRecord| judge(head.bytes(), Some(&state), NOW);
    let known = state.newest_record().unwrap();
    assert!(matches!(judge(known), Verdict::Ignore(IgnoreReason::Known)));
    let old = head(&first, 4, id("z"), 900);
    assert!(matches!(judge(&old), Verdict::Ignore(IgnoreReason::Stale)));
    let early = head(
        &first,
        6,
        id("b"),
        NOW.as_secs() + CLOCK_SKEW_MAX.as_secs() + 1,
    );
    assert!(matches!(
        judge(&early),
        Verdict::Ignore(IgnoreReason::NotNow(Refused::FromTheFuture { .. }))
    ));
    let jump = head(&first, crate::limits::SEQUENCE_MAX, id("b"), 600);
    assert!(matches!(
        judge(&jump),
        Verdict::Ignore(IgnoreReason::NotNow(Refused::SequenceJump { .. }))
    ));
}

#[test]
fn heads_of_strangers_are_rejected() {
    let (first, state) = setup();
    let forged = head_fields(&first, 6, id("b"), 600);
    for signers in [&[2][..], &[1, 2]] {
        let forged = sign(Head::new(forged.clone()).unwrap(), signers);
        let verdict = judge(forged.bytes(), Some(&state), NOW);
        assert!(matches!(verdict, Verdict::Reject(RejectReason::Forged(_))));
    }
}

#[test]
fn other_records_and_large_messages_are_rejected() {
    let (first, state) = setup();
    let version = manifest(&first, 0, None);
    for other in [&first, &version] {
        let verdict = judge(other.bytes(), Some(&state), NOW);
        assert!(matches!(verdict, Verdict::Reject(RejectReason::NotAHead)));
        assert_eq!(head_dataset(other.bytes()), None);
    }
    for size in [HEAD_BYTES_MAX + 1, 64 * 1024 + 1] {
        let bytes = vec![0; size];
        let verdict = judge(&bytes, Some(&state), NOW);
        assert!(matches!(
            verdict,
            Verdict::Reject(RejectReason::TooLarge { .. })
        ));
        assert_eq!(head_dataset(&bytes), None);
    }
}

#[test]
fn heads_of_unknown_datasets_and_owners_ask_for_owners() {
    let (first, state) = setup();
    let newer = head(&first, 6, id("b"), 600);
    let other = first_record(&[2], 1);
    let strange = state_of(&other);
    for state in [None, Some(&strange)] {
        let Verdict::NeedOwners {
            dataset,
            owner_record,
        } = judge(newer.bytes(), state, NOW)
        else {
            panic!("owners are not known")
        };
        assert_eq!((dataset, owner_record), (first.id().into(), first.id()));
    }
    let second = sign(rotation(&first, &[2], 1), &[1, 2]);
    let fields: HeadFields = head_fields(&second, 6, id("b"), 600);
    let after = sign(Head::new(fields).unwrap(), &[2]);
    let verdict = judge(after.bytes(), Some(&state), NOW);
    let Verdict::NeedOwners { owner_record, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(owner_record, second.id());
}

fn state_of(first: &SignedRecord) -> DatasetState {
    DatasetState::new(first).unwrap()
}

#[test]
fn every_flipped_bit_and_every_cut_is_rejected() {
    let (first, state) = setup();
    let newer = head(&first, 6, id("b"), 600);
    let good = newer.bytes();
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1 << (at % 8);
        for bytes in [&bad, &good[..at]] {
            let verdict = judge(bytes, Some(&state), NOW);
            let is_version = matches!(verdict, Verdict::Ignore(IgnoreReason::TooNew(_)));
            assert!(
                is_version || matches!(verdict, Verdict::Reject(_)),
                "{at}: {verdict:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_messages_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let (_, state) = setup();
        prop_assert!(matches!(judge(&bytes, Some(&state), NOW), Verdict::Reject(_)));
        prop_assert_eq!(head_dataset(&bytes), None);
    }

    /// What is accepted changes the state, and is not accepted again.
    #[test]
    fn p7_what_is_accepted_is_applied_once(
        heads in prop::collection::vec((0_u64..9, 0_u64..900, 0_u8..2), 1..20),
    ) {
        let (first, mut state) = setup();
        for (sequence, issued_at, version) in heads {
            let head = head(&first, sequence, id(&version.to_string()), issued_at);
            let before = state.clone();
            let verdict = judge(head.bytes(), Some(&state), NOW);
            let accepted = matches!(verdict, Verdict::Accept(_));
            state.apply(&head, NOW).unwrap();
            prop_assert_eq!(accepted, state != before);
            let again = judge(head.bytes(), Some(&state), NOW);
            prop_assert!(matches!(again, Verdict::Ignore(_)));
        }
    }
}

#[test]
fn a_head_is_judged_by_what_its_sender_tells_besides() {
    let now = Timestamp::from_secs(1000);
    let first = first_record(&[1], 1);
    let version = manifest(&first, 0, None);
    let head = head(&first, 0, version.id().into(), 900);
    let told = [first.clone(), version.clone(), head.clone()];
    let judged = judge_with(head.bytes(), None, &told, now);
    assert!(matches!(judged, Verdict::Accept(accepted) if accepted == head));
    // Nothing is told, or only of others.
    let other = first_record(&[2], 1);
    for told in [&[][..], &[other], &[version]] {
        let judged = judge_with(head.bytes(), None, told, now);
        assert!(matches!(judged, Verdict::NeedOwners { .. }), "{judged:?}");
    }
    // The head is not signed by the owners that are told.
    let forged = sign(head.as_head().unwrap().clone(), &[2]);
    let judged = judge_with(forged.bytes(), None, &told, now);
    assert!(matches!(judged, Verdict::Reject(RejectReason::Forged(_))));
    // What is known counts, and changes only together with a head.
    let mut known = DatasetState::new(&first).unwrap();
    known.apply(&head, now).unwrap();
    let judged = judge_with(head.bytes(), Some(known), &told, now);
    assert!(matches!(judged, Verdict::Ignore(IgnoreReason::Known)));
}
