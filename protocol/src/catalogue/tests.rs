use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    Hash,
    cbor::{from_slice_canonical, to_vec},
    fault::Fault,
    limits::SEQUENCE_MAX,
    record::OwnerError,
    testing::*,
};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn id(name: &str) -> ManifestId {
    ManifestId::from_hash(Hash::of(name.as_bytes()))
}

fn state(first: &SignedRecord) -> DatasetState {
    DatasetState::new(first).unwrap()
}

/// The state after the node was stopped and started.
fn restarted(state: &DatasetState) -> DatasetState {
    from_slice_canonical(&to_vec(state).unwrap()).unwrap()
}

fn newest(state: &DatasetState) -> (u64, ManifestId) {
    let head = state.newest().unwrap();
    (head.sequence(), head.manifest())
}

/// A dataset of three versions with their heads.
fn story() -> (SignedRecord, Vec<SignedRecord>, Vec<SignedRecord>) {
    let first = first_record(&[1], 1);
    let mut manifests: Vec<SignedRecord> = Vec::new();
    let mut heads = Vec::new();
    for sequence in 0..3 {
        let parent = manifests.last().map(|parent| parent.id().into());
        let version = manifest(&first, sequence, parent);
        heads.push(head(&first, sequence, version.id().into(), 100 + sequence));
        manifests.push(version);
    }
    (first, manifests, heads)
}

#[test]
fn a_story_told_in_order() {
    let (first, manifests, heads) = story();
    let mut state = state(&first);
    assert_eq!((state.newest(), state.name()), (None, "corpus"));
    assert_eq!(state.apply(&first, NOW), Ok(Applied::Known));
    for (version, head) in manifests.iter().zip(&heads) {
        assert_eq!(state.apply(version, NOW), Ok(Applied::New));
        assert_eq!(state.apply(version, NOW), Ok(Applied::Known));
        assert_eq!(state.apply(head, NOW), Ok(Applied::Newer));
        assert_eq!(state.apply(head, NOW), Ok(Applied::Known));
        assert_eq!(state.newest_manifest(), Some(version.id().into()));
        assert_eq!(state.newest_record(), Some(head));
        assert_eq!(restarted(&state), state);
    }
    let all: Vec<_> = manifests
        .iter()
        .map(|version| ManifestId::from(version.id()))
        .collect();
    assert_eq!(state.manifests().map(|(_, id)| id).collect::<Vec<_>>(), all);
    assert_eq!(state.manifests_at(1).collect::<Vec<_>>(), [all[1]]);
    assert_eq!(state.sequence_of(&all[2]), Some(2));
    assert!(state.equivocations().is_empty());
}

#[test]
fn p7_a_replayed_head_changes_nothing_even_after_a_restart() {
    let (first, _, heads) = story();
    let mut state = state(&first);
    for head in &heads {
        state.apply(head, NOW).unwrap();
    }
    let before = state.clone();
    for replayed in &heads[..2] {
        assert_eq!(state.apply(replayed, NOW), Ok(Applied::Stale));
        assert_eq!(restarted(&state).apply(replayed, NOW), Ok(Applied::Stale));
    }
    assert_eq!(state, before);
}

#[test]
fn p7_among_heads_of_one_sequence_the_later_issued_is_newest() {
    let first = first_record(&[1], 1);
    let mut state = state(&first);
    let at = |issued_at| head(&first, 0, id("a"), issued_at);
    assert_eq!(state.apply(&at(200), NOW), Ok(Applied::Newer));
    assert_eq!(state.apply(&at(100), NOW), Ok(Applied::Stale));
    assert_eq!(state.apply(&at(300), NOW), Ok(Applied::Newer));
    assert_eq!(
        state.newest().unwrap().issued_at(),
        Timestamp::from_secs(300)
    );
    assert!(state.equivocations().is_empty());
}

#[test]
fn p7_a_clock_that_jumps_loses_no_head() {
    let first = first_record(&[1], 1);
    let mut state = state(&first);
    let issued = 900_000_000;
    let now = Timestamp::from_secs(issued);
    let newer = head(&first, 5, id("a"), issued);
    state.apply(&newer, now).unwrap();
    let years_ago = Timestamp::from_secs(issued - 400 * 86_400);
    let years_on = Timestamp::from_secs(issued + 400 * 86_400);
    for clock in [years_ago, years_on, Timestamp::from_secs(0)] {
        state = restarted(&state);
        assert_eq!(newest(&state), (5, id("a")));
        assert_eq!(state.apply(&newer, clock), Ok(Applied::Known));
        assert_eq!(
            state.apply(&head(&first, 4, id("b"), 100), clock),
            Ok(Applied::Stale)
        );
        assert_eq!(newest(&state), (5, id("a")));
    }
    assert_eq!(state.head_expired_since(years_ago), None);
    assert_eq!(
        state.head_expired_since(years_on),
        Some(Timestamp::from_secs(issued + 1000))
    );
}

#[test]
fn p7_a_head_from_the_future_is_not_taken_before_its_time() {
    let first = first_record(&[1], 1);
    let mut state = state(&first);
    let skew = CLOCK_SKEW_MAX.as_secs();
    let soon = head(&first, 1, id("a"), NOW.as_secs() + skew);
    let later = head(&first, 2, id("b"), NOW.as_secs() + skew + 1);
    assert_eq!(state.apply(&soon, NOW), Ok(Applied::Newer));
    let refused = state.apply(&later, NOW).unwrap_err();
    assert!(matches!(refused, Refused::FromTheFuture { .. }));
    assert_eq!(refused.fault(), Fault::Transient);
    assert_eq!(newest(&state), (1, id("a")));
    assert_eq!(
        state.apply(&later, NOW.saturating_add(Duration::from_secs(1))),
        Ok(Applied::Newer)
    );
}

#[test]
fn p7_a_sequence_that_jumps_too_far_is_refused() {
    let first = first_record(&[1], 1);
    let mut state = state(&first);
    state.apply(&head(&first, 7, id("a"), 100), NOW).unwrap();
    for sequence in [8 + SEQUENCE_JUMP_MAX, SEQUENCE_MAX] {
        let refused = state
            .apply(&head(&first, sequence, id("b"), 101), NOW)
            .unwrap_err();
        assert_eq!(
            refused,
            Refused::SequenceJump {
                newest: 7,
                found: sequence
            }
        );
        assert_eq!(refused.fault(), Fault::Transient);
        assert_eq!(newest(&state), (7, id("a")));
    }
    let far = head(&first, 7 + SEQUENCE_JUMP_MAX, id("b"), 101);
    assert_eq!(state.apply(&far, NOW), Ok(Applied::Newer));
}

#[test]
fn p7_an_expired_head_still_says_which_version_is_newest() {
    let first = first_record(&[1], 1);
    let mut state = state(&first);
    assert_eq!(state.head_expired_since(NOW), None);
    let old = head(&first, 3, id("a"), 100);
    assert_eq!(state.apply(&old, NOW), Ok(Applied::Newer));
    assert_eq!(newest(&state), (3, id("a")));
    assert_eq!(
        state.head_expired_since(NOW),
        Some(Timestamp::from_secs(1100))
    );
    assert_eq!(state.head_expired_since(Timestamp::from_secs(1099)), None);
    assert!(
        state
            .head_expired_since(Timestamp::from_secs(1100))
            .is_some()
    );
}

#[test]
fn p7_strangers_and_too_few_owners_change_nothing() {
    let first = first_record(&[1, 2, 3], 2);
    let mut state = state(&first);
    let before = state.clone();
    let fields = head_fields(&first, 0, id("a"), 100);
    let record = Head::new(fields).unwrap();
    for signers in [&[1][..], &[9], &[8, 9], &[1, 9], &[1, 2, 9]] {
        let refused = state
            .apply(&sign(record.clone(), signers), NOW)
            .unwrap_err();
        assert!(matches!(refused.fault(), Fault::Peer(_)), "{refused}");
    }
    let other = first_record(&[1], 1);
    for graft in [
        head(&other, 9, id("a"), 100),
        manifest(&other, 0, None),
        other,
    ] {
        let refused = state.apply(&graft, NOW).unwrap_err();
        assert!(matches!(
            refused,
            Refused::Owners(OwnerError::OtherDataset { .. })
        ));
    }
    assert_eq!(state, before);
    assert_eq!(state.apply(&sign(record, &[1, 3]), NOW), Ok(Applied::Newer));
}

#[test]
fn p7_two_manifests_of_one_sequence_are_kept_as_proof() {
    let (first, manifests, heads) = story();
    let mut state = state(&first);
    for record in manifests.iter().chain(&heads) {
        state.apply(record, NOW).unwrap();
    }
    let mut fields = manifest_fields(&first, 1, Some(manifests[0].id().into()));
    fields.title = Some("Another".to_owned());
    let other = sign(Manifest::new(fields).unwrap(), &[1]);
    let proof = Equivocation {
        kind: EquivocationKind::Manifest,
        sequence: 1,
        first: manifests[1].id(),
        second: other.id(),
    };
    let expected = Applied::Equivocation {
        proof: proof.clone(),
        newest: false,
    };
    assert_eq!(state.apply(&other, NOW), Ok(expected));
    let state = &mut restarted(&state);
    assert_eq!(state.equivocations(), [proof]);
    assert_eq!(state.manifests_at(1).count(), 2);
    assert_eq!(state.apply(&other, NOW), Ok(Applied::Known));
    assert_eq!(newest(state), (2, manifests[2].id().into()));
}

#[test]
fn p7_two_heads_of_one_sequence_are_kept_as_proof_in_any_order() {
    let first = first_record(&[1], 1);
    let (early, late) = (head(&first, 4, id("a"), 100), head(&first, 4, id("b"), 200));
    for (one, two) in [(&early, &late), (&late, &early)] {
        let mut state = state(&first);
        assert_eq!(state.apply(one, NOW), Ok(Applied::Newer));
        let proof = Equivocation {
            kind: EquivocationKind::Head,
            sequence: 4,
            first: one.id(),
            second: two.id(),
        };
        let is_newest = two == &late;
        let expected = Applied::Equivocation {
            proof: proof.clone(),
            newest: is_newest,
        };
        assert_eq!(state.apply(two, NOW), Ok(expected));
        assert_eq!(newest(&state), (4, id("b")));
        assert_eq!(state.apply(&early, NOW), Ok(Applied::Known));
        assert_eq!(state.apply(&late, NOW), Ok(Applied::Known));
        assert_eq!(restarted(&state).equivocations(), [proof]);
    }
}

#[test]
fn proofs_and_versions_are_bounded() {
    let first = first_record(&[1], 1);
    let mut state = state(&first);
    for number in 0..40_u64 {
        let mut fields = manifest_fields(&first, 0, None);
        fields.files = number;
        let version = sign(Manifest::new(fields).unwrap(), &[1]);
        let applied = state.apply(&version, NOW).unwrap();
        let kept = usize::try_from(number).unwrap() < MANIFESTS_PER_SEQUENCE_MAX;
        assert_eq!(applied == Applied::Unneeded, !kept, "{number}");
    }
    assert_eq!(state.manifests().count(), MANIFESTS_PER_SEQUENCE_MAX);
    for number in 0..40 {
        let other = head(&first, 3, id(&number.to_string()), 100 - number);
        state.apply(&other, NOW).unwrap();
    }
    assert_eq!(state.equivocations().len(), EQUIVOCATIONS_MAX);
    // The newest head is taken whatever else is full, and so is the version that it names.
    let mut fields = manifest_fields(&first, 0, None);
    fields.files = 99;
    let version = sign(Manifest::new(fields).unwrap(), &[1]);
    let mut state = DatasetState {
        newest: None,
        ..state
    };
    state
        .apply(&head(&first, 0, version.id().into(), 500), NOW)
        .unwrap();
    assert!(matches!(
        state.apply(&version, NOW),
        Ok(Applied::Equivocation { .. })
    ));
    assert_eq!(state.manifests_at(0).count(), MANIFESTS_PER_SEQUENCE_MAX);
    assert!(state.sequence_of(&version.id().into()).is_some());
}

#[test]
fn the_newest_versions_are_remembered() {
    let first = first_record(&[1], 1);
    let mut state = state(&first);
    let count = u64::try_from(MANIFESTS_KNOWN_MAX).unwrap() + 5;
    let mut parent = None;
    let mut all = Vec::new();
    for sequence in 0..count {
        let version = manifest(&first, sequence, parent);
        parent = Some(version.id().into());
        assert_eq!(state.apply(&version, NOW), Ok(Applied::New));
        all.push(version);
    }
    assert_eq!(state.manifests().count(), MANIFESTS_KNOWN_MAX);
    assert_eq!(state.manifests().next().unwrap().0, 5);
    assert_eq!(state.apply(&all[3], NOW), Ok(Applied::Unneeded));
    assert!(to_vec(&state).unwrap().len() < 256 * 1024);
    assert_eq!(restarted(&state), state);
}

#[test]
fn sequences_that_do_not_agree_are_refused() {
    let (first, manifests, _) = story();
    let mut state = state(&first);
    for version in &manifests {
        state.apply(version, NOW).unwrap();
    }
    // Its parent has sequence 0, so it cannot have 2.
    let graft = manifest(&first, 2, Some(manifests[0].id().into()));
    assert!(matches!(
        state.apply(&graft, NOW),
        Err(Refused::OtherSequence { .. })
    ));
    let lie = head(&first, 9, manifests[1].id().into(), 100);
    assert!(matches!(
        state.apply(&lie, NOW),
        Err(Refused::OtherSequence { .. })
    ));
    let before = head(
        &first,
        8,
        manifest(&first, 7, Some(id("x"))).id().into(),
        100,
    );
    state.apply(&before, NOW).unwrap();
    let version = manifest(&first, 7, Some(id("x")));
    assert!(matches!(
        state.apply(&version, NOW),
        Err(Refused::OtherSequence { .. })
    ));
}

#[test]
fn p7_after_a_rotation_only_the_current_owners_say_what_is_newest() {
    let first = first_record(&[1], 1);
    let second = sign(rotation(&first, &[2], 1), &[1, 2]);
    let mut state = state(&first);
    let thief = head(&first, SEQUENCE_JUMP_MAX, id("thief"), 900);
    state.apply(&head(&first, 5, id("old"), 100), NOW).unwrap();
    state.apply(&thief, NOW).unwrap();
    let by_new = sign(
        Head::new(head_fields(&second, 6, id("new"), 200)).unwrap(),
        &[2],
    );
    assert_eq!(state.needs(&by_new), Some(second.id()));
    let refused = state.apply(&by_new, NOW).unwrap_err();
    assert!(matches!(
        refused,
        Refused::Owners(OwnerError::UnknownOwners { .. })
    ));

    assert_eq!(state.apply(&second, NOW), Ok(Applied::Newer));
    assert_eq!(state.apply(&second, NOW), Ok(Applied::Known));
    assert_eq!(state.needs(&by_new), None);
    assert_eq!(newest(&state).1, id("thief"));
    assert!(state.newest_is_retired());
    let again = head(&first, SEQUENCE_JUMP_MAX + 1, id("thief 2"), 901);
    assert_eq!(state.apply(&again, NOW), Ok(Applied::Stale));

    assert_eq!(state.apply(&by_new, NOW), Ok(Applied::Newer));
    assert_eq!(newest(&state), (6, id("new")));
    assert!(!state.newest_is_retired());
    assert_eq!(state.apply(&thief, NOW), Ok(Applied::Stale));
    assert_eq!(restarted(&state).apply(&thief, NOW), Ok(Applied::Stale));
    assert_eq!(newest(&restarted(&state)), (6, id("new")));
}

#[test]
fn p7_history_under_former_owners_stays_and_grows_no_branches() {
    let (first, manifests, heads) = story();
    let second = sign(rotation(&first, &[2], 1), &[1, 2]);
    let fields = manifest_fields(&second, 3, Some(manifests[2].id().into()));
    let version = sign(Manifest::new(fields).unwrap(), &[2]);
    let latest = head_fields(&second, 3, version.id().into(), 300);
    let latest = sign(Head::new(latest).unwrap(), &[2]);
    // A fresh node that learns of the dataset after the rotation.
    let mut state = state(&first);
    assert_eq!(state.apply(&second, NOW), Ok(Applied::Newer));
    assert_eq!(state.apply(&heads[2], NOW), Ok(Applied::Stale));
    assert_eq!(state.newest(), None);
    assert_eq!(state.apply(&manifests[2], NOW), Ok(Applied::Retired));
    assert_eq!(state.apply(&latest, NOW), Ok(Applied::Newer));
    assert_eq!(state.apply(&version, NOW), Ok(Applied::New));
    // Backwards along the parents, all of it is history.
    assert_eq!(state.apply(&manifests[1], NOW), Ok(Applied::Retired));
    for known in manifests.iter().rev() {
        assert_eq!(state.apply(known, NOW), Ok(Applied::New));
    }
    let mut forged = manifest_fields(&first, 2, Some(manifests[1].id().into()));
    forged.title = Some("Forged".to_owned());
    let forged = sign(Manifest::new(forged).unwrap(), &[1]);
    assert_eq!(state.apply(&forged, NOW), Ok(Applied::Retired));
    assert!(state.equivocations().is_empty());
}

#[test]
fn a_head_under_new_owners_may_name_a_version_of_the_former() {
    let (first, manifests, _) = story();
    let second = sign(rotation(&first, &[2], 1), &[1, 2]);
    let mut state = state(&first);
    state.apply(&second, NOW).unwrap();
    let again = head_fields(&second, 2, manifests[2].id().into(), 300);
    state
        .apply(&sign(Head::new(again).unwrap(), &[2]), NOW)
        .unwrap();
    assert_eq!(state.apply(&manifests[2], NOW), Ok(Applied::New));
}

#[test]
fn p7_the_first_of_two_rotations_stays_and_both_are_shown() {
    let first = first_record(&[1], 1);
    let second = sign(rotation(&first, &[2], 1), &[1, 2]);
    let third = sign(rotation(&second, &[3], 1), &[2, 3]);
    let forged = sign(rotation(&first, &[9], 1), &[1, 9]);
    let mut state = state(&first);
    for owners in [&second, &third] {
        assert_eq!(state.apply(owners, NOW), Ok(Applied::Newer));
    }
    let proof = Equivocation {
        kind: EquivocationKind::Owners,
        sequence: 1,
        first: second.id(),
        second: forged.id(),
    };
    let expected = Applied::Equivocation {
        proof: proof.clone(),
        newest: false,
    };
    assert_eq!(state.apply(&forged, NOW), Ok(expected));
    assert_eq!(state.apply(&forged, NOW), Ok(Applied::Known));
    assert_eq!(state.owners().current_id(), third.id());
    assert_eq!(restarted(&state).equivocations(), [proof]);
    let by_thief = sign(
        Head::new(head_fields(&forged, 99, id("x"), 100)).unwrap(),
        &[9],
    );
    assert!(state.apply(&by_thief, NOW).is_err());
}

#[test]
fn an_altered_stored_state_is_not_taken() {
    let (first, manifests, heads) = story();
    let mut state = state(&first);
    for record in manifests.iter().chain(&heads) {
        state.apply(record, NOW).unwrap();
    }
    let bytes = to_vec(&state).unwrap();
    let tampered = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        from_slice_canonical::<DatasetState>(&bytes)
    };
    let signature = bytes
        .windows(9)
        .position(|window| window == b"signature")
        .unwrap();
    assert!(tampered(signature + 30).is_err());
    let unchanged = (0..bytes.len()).filter(|at| tampered(*at).is_ok_and(|other| other == state));
    assert_eq!(unchanged.count(), 0);
}

#[test]
fn p7_a_fork_is_open_until_the_owners_go_on_from_it() {
    let first = first_record(&[1], 1);
    let mut state = state(&first);
    let forked = head(&first, 1, id("a1"), 100);
    state.apply(&forked, NOW).unwrap();
    let applied = state.apply(&head(&first, 1, id("b1"), 200), NOW).unwrap();
    let Applied::Equivocation { proof, .. } = applied else {
        panic!("{applied:?}")
    };
    let open = |state: &DatasetState| state.is_open(&proof, [first.id()]);
    assert!(open(&state));
    assert!(open(&restarted(&state)));
    // Neither a word on one of the two nor one on an earlier version decides it.
    state.apply(&head(&first, 1, id("a1"), 300), NOW).unwrap();
    assert!(open(&state));

    let mut later_version = state.clone();
    later_version
        .apply(&head(&first, 2, id("a2"), 100), NOW)
        .unwrap();
    assert!(!open(&later_version));

    // New owners say which version counts, whatever its number.
    let second = sign(rotation(&first, &[1], 1), &[1]);
    state.apply(&second, NOW).unwrap();
    assert!(open(&state), "they have not said anything yet");
    state.apply(&head(&second, 1, id("b1"), 100), NOW).unwrap();
    assert!(!open(&state));
}

/// Heads of a dataset with a rotation in the middle, some of them equivocating, some re-issued.
fn heads() -> (Vec<SignedRecord>, Vec<SignedRecord>) {
    let first = first_record(&[1], 1);
    let second = sign(rotation(&first, &[1], 1), &[1]);
    let mut heads = Vec::new();
    for owners in [&first, &second] {
        for sequence in 0..5 {
            for (version, issued_at) in [("a", 100), ("a", 300), ("b", 200)] {
                let manifest = id(&format!("{version}{sequence}"));
                heads.push(head(owners, sequence, manifest, issued_at + sequence));
            }
        }
    }
    (vec![first, second], heads)
}

proptest! {
    /// Against a naive model: the newest head is the highest of all that were taken in, at each step,
    /// through restarts and wrong clocks, and it is never one below what was there.
    #[test]
    fn p7_never_backwards_in_any_order(
        steps in prop::collection::vec((0_usize..31, any::<bool>(), 0_u64..2_000_000), 1..60),
    ) {
        let (owners, heads) = heads();
        let mut state = state(&owners[0]);
        let mut taken: Option<(usize, u64, u64, RecordId)> = None;
        let mut has_rotated = false;
        for (pick, restart, clock) in steps {
            let now = Timestamp::from_secs(clock);
            if restart {
                state = restarted(&state);
            }
            let Some(record) = heads.get(pick) else {
                prop_assert!(state.apply(&owners[1], now).is_ok());
                has_rotated = true;
                continue;
            };
            let head = record.as_head().unwrap();
            let epoch = usize::from(pick >= heads.len() / 2);
            let place = (epoch, head.sequence(), head.issued_at().as_secs(), record.id());
            let may_speak = epoch == usize::from(has_rotated);
            let is_early = head.issued_at() > now.saturating_add(CLOCK_SKEW_MAX);
            let is_new = may_speak && !is_early && taken.is_none_or(|taken| place > taken);
            let applied = state.apply(record, now);
            let is_newest = matches!(
                applied, Ok(Applied::Newer | Applied::Equivocation { newest: true, .. })
            );
            prop_assert_eq!(is_newest, is_new, "{:?}", applied);
            if is_new {
                taken = Some(place);
            }
            let id = taken.map(|(_, _, _, id)| id);
            prop_assert_eq!(state.newest_record().map(SignedRecord::id), id);
        }
    }

    /// Nodes that heard the same in another order agree, once all of it arrived.
    #[test]
    fn p7_all_orders_end_alike(order in Just((0..30_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let (owners, heads) = heads();
        let mut state = state(&owners[0]);
        state.apply(&owners[1], NOW).unwrap();
        for pick in order {
            state.apply(&heads[pick], NOW).unwrap();
        }
        let expected = heads.iter().rfind(|head| {
            let head = head.as_head().unwrap();
            head.sequence() == 4 && head.issued_at() == Timestamp::from_secs(304)
        });
        prop_assert_eq!(state.newest_record(), expected);
    }
}
