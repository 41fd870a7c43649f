use super::*;
use crate::{
    ManifestId, Timestamp,
    catalogue::DatasetState,
    limits::DRAFT_BYTES_MAX,
    record::{HeadFields, Record},
    testing::{first_record, head_fields, key, manifest_fields, noise, rotation, sign},
};

/// The chain of a dataset that these keys own, two of whom must sign.
fn chain() -> OwnerChain {
    OwnerChain::start(&first_record(&[1, 2, 3], 2)).unwrap()
}

fn version_of(chain: &OwnerChain, sequence: u64, parent: Option<ManifestId>) -> Draft {
    let owners = chain.records().last().unwrap().clone();
    let manifest = Manifest::new(manifest_fields(&owners, sequence, parent)).unwrap();
    let head = Head::new(head_fields(&owners, sequence, manifest.id(), 100)).unwrap();
    let records = [UnfinishedRecord::new(manifest), UnfinishedRecord::new(head)];
    Draft::new(chain, records).unwrap()
}

/// Key 3 gives way to key 4, with a head for the version that is newest.
fn change_of_owners(chain: &OwnerChain, sequence: u64, newest: ManifestId) -> Draft {
    let next = rotation(chain.records().last().unwrap(), &[1, 2, 4], 2);
    let head = Head::new(HeadFields {
        dataset: chain.dataset_id(),
        owner_record: next.id(),
        sequence,
        manifest: newest,
        issued_at: Timestamp::from_secs(200),
        expires_at: Timestamp::from_secs(300),
    });
    let records = [
        UnfinishedRecord::new(next),
        UnfinishedRecord::new(head.unwrap()),
    ];
    Draft::new(chain, records).unwrap()
}

fn apply(state: &mut DatasetState, records: &[SignedRecord]) {
    for record in records {
        state.apply(record, Timestamp::from_secs(400)).unwrap();
    }
}

fn state_of(records: &[SignedRecord]) -> DatasetState {
    let mut state = DatasetState::new(&records[0]).unwrap();
    apply(&mut state, &records[1..]);
    state
}

#[test]
fn a_version_is_signed_by_two_in_any_order_and_place() {
    let blank = version_of(&chain(), 0, None);
    assert_eq!(blank.missing().len(), 2);
    assert!(matches!(blank.finish(), Err(DraftError::Incomplete { .. })));
    let (mut one, mut other) = (blank.clone(), blank.clone());
    one.sign(&key(3)).unwrap();
    other.sign(&key(1)).unwrap();
    let missing = one.missing();
    assert!(
        missing
            .iter()
            .all(|missing| missing.count == 1 && missing.of.len() == 2)
    );
    let (mut ab, mut ba) = (one.clone(), other.clone());
    ab.merge(&other).unwrap();
    ba.merge(&one).unwrap();
    assert_eq!(text::write(&ab).unwrap(), text::write(&ba).unwrap());
    let records = ab.finish().unwrap();
    let state = state_of(&records);
    assert_eq!(state.newest_manifest(), blank.manifest().map(Manifest::id));
    assert_eq!(
        ab.check_fresh(&state),
        Ok(()),
        "to finish twice does no harm"
    );
}

#[test]
fn a_text_round_trips_also_with_other_line_ends() {
    let mut draft = version_of(&chain(), 0, None);
    draft.sign(&key(2)).unwrap();
    let text = text::write(&draft).unwrap();
    assert_eq!(text::read(text.as_bytes()).unwrap(), draft);
    assert_eq!(
        text::read(text.replace('\n', "\r\n").as_bytes()).unwrap(),
        draft
    );
    assert!(text.lines().all(|line| line.len() <= 76));
}

#[test]
fn owners_change_by_a_threshold_of_the_former_and_of_the_new() {
    let version = {
        let mut version = version_of(&chain(), 0, None);
        version.sign(&key(1)).unwrap();
        version.sign(&key(2)).unwrap();
        version
    };
    let newest = version.manifest().unwrap().id();
    let mut state = state_of(&version.finish().unwrap());
    let blank = change_of_owners(state.owners(), 0, newest);

    // Former ones alone, and new ones alone, are not enough.
    let mut former = blank.clone();
    former.sign(&key(2)).unwrap();
    former.sign(&key(3)).unwrap();
    let kinds: Vec<_> = former
        .missing()
        .iter()
        .map(|missing| (missing.kind, missing.count))
        .collect();
    assert_eq!(
        kinds,
        [("dataset", 1), ("head", 1)],
        "of the new owners only key 2 signed"
    );
    let mut new = blank.clone();
    new.sign(&key(4)).unwrap();
    new.sign(&key(1)).unwrap();
    let kinds: Vec<_> = new
        .missing()
        .iter()
        .map(|missing| (missing.kind, missing.count))
        .collect();
    assert_eq!(
        kinds,
        [("dataset", 1)],
        "of the former owners only key 1 signed"
    );

    // Who goes has no say in the head of those who stay.
    former.merge(&new).unwrap();
    let head = former.records().last().unwrap();
    assert!(head.signers().all(|signer| signer != key(3).public()));
    let records = former.finish().unwrap();
    apply(&mut state, &records);
    assert_eq!(state.owners().current().owners().len(), 3);
    assert!(!state.newest_is_retired());
    let rotated = records
        .iter()
        .filter_map(SignedRecord::as_dataset)
        .next_back();
    assert_eq!(rotated.map(Dataset::sequence), Some(1));
    let signers = records.last().unwrap().signers().count();
    assert_eq!(signers, 2, "no more signatures than needed");
}

#[test]
fn who_is_no_owner_has_no_say() {
    let mut draft = version_of(&chain(), 0, None);
    let before = draft.clone();
    assert!(matches!(draft.sign(&key(9)), Err(DraftError::NoSay { .. })));
    assert_eq!(draft, before);
    // Nor in a file that was made elsewhere.
    let mut manifest = draft.records().next().unwrap().clone();
    manifest.sign(&key(9)).unwrap();
    let records = [manifest, draft.records().last().unwrap().clone()];
    assert!(matches!(
        Draft::new(&chain(), records),
        Err(DraftError::NoSay { .. })
    ));
}

#[test]
fn a_draft_that_came_too_late_is_told() {
    let mut first = version_of(&chain(), 0, None);
    first.sign(&key(1)).unwrap();
    first.sign(&key(2)).unwrap();
    let mut state = state_of(&first.finish().unwrap());
    let parent = first.manifest().unwrap().id();
    let mut second = version_of(&chain(), 1, Some(parent));
    assert_eq!(second.check_fresh(&state), Ok(()));
    // Ahead of what is known here: that is no reason to refuse it.
    let far = version_of(&chain(), 7, Some(parent));
    assert_eq!(far.check_fresh(&state), Ok(()));
    let fork = version_of(
        &chain(),
        1,
        Some(ManifestId::from_hash(crate::Hash::of(b"other"))),
    );
    assert!(matches!(
        fork.check_fresh(&state),
        Err(Stale::Version { sequence: 0, .. })
    ));

    let rotation = change_of_owners(&chain(), 0, parent);
    second.sign(&key(1)).unwrap();
    second.sign(&key(2)).unwrap();
    apply(&mut state, &second.finish().unwrap());
    assert!(matches!(
        rotation.check_fresh(&state),
        Err(Stale::Version { sequence: 1, .. })
    ));

    let next = self::rotation(&first_record(&[1, 2, 3], 2), &[1, 2], 2);
    apply(&mut state, &[sign(next, &[1, 2])]);
    let third = version_of(&chain(), 2, second.manifest().map(Manifest::id));
    assert_eq!(third.check_fresh(&state), Err(Stale::Owners));
    assert_eq!(rotation.check_fresh(&state), Err(Stale::Owners));
}

/// Many owners may sign: as many signatures as a head has room for are taken.
#[test]
fn more_signatures_than_a_head_has_room_for_do_no_harm() {
    let owners: Vec<u8> = (1..=16).collect();
    let first = sign(
        first_record(&owners, 6).as_dataset().unwrap().clone(),
        &owners[..6],
    );
    let chain = OwnerChain::start(&first).unwrap();
    let mut draft = version_of(&chain, 0, None);
    for number in owners {
        draft.sign(&key(number)).unwrap();
    }
    let records = draft.finish().unwrap();
    assert_eq!(records.last().unwrap().signers().count(), 6);
    state_of(&records);
}

#[test]
fn p8_hostile_files_are_refused() {
    let mut draft = version_of(&chain(), 0, None);
    draft.sign(&key(1)).unwrap();
    let good = text::write(&draft).unwrap();
    for cut in (0..good.len() - 1).step_by(41) {
        assert!(text::read(&good.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    for place in (0..good.len()).step_by(83) {
        let mut bad = good.clone().into_bytes();
        bad[place] = if bad[place] == b'A' { b'B' } else { b'A' };
        assert_ne!(
            text::read(&bad).ok().as_ref(),
            Some(&draft),
            "changed at {place}"
        );
    }
    for bad in [
        "",
        "opendag-draft/1",
        "opendag-draft/2\nAAAA\n",
        "opendag-draft/1\n!\n",
        "opendag-draft/1x",
    ] {
        assert!(text::read(bad.as_bytes()).is_err(), "{bad:?}");
    }
    let huge = vec![b'A'; DRAFT_BYTES_MAX + 1];
    assert!(matches!(
        text::read(&huge),
        Err(DraftError::Text(text::TextError::TooLarge))
    ));
    for seed in 0..64 {
        assert!(Draft::decode(&noise(seed, 300)).is_err());
    }
}

#[test]
fn records_that_do_not_belong_together_are_no_draft() {
    let chain = chain();
    let draft = version_of(&chain, 0, None);
    let [manifest, head] = [0, 1].map(|at| draft.records().nth(at).unwrap().clone());
    let other = version_of(&chain, 1, draft.manifest().map(Manifest::id));
    let other_head = other.records().last().unwrap().clone();
    let strange = OwnerChain::start(&first_record(&[4], 1)).unwrap();
    let next = UnfinishedRecord::new(Record::from(rotation(
        chain.records().next().unwrap(),
        &[4],
        1,
    )));
    let cases = [
        (&chain, vec![]),
        (&chain, vec![manifest.clone()]),
        (&chain, vec![manifest.clone(), other_head.clone()]),
        (
            &chain,
            vec![manifest.clone(), manifest.clone(), head.clone()],
        ),
        (&chain, vec![next.clone(), head.clone()]),
        (&chain, vec![next, manifest.clone(), head.clone()]),
        (&strange, vec![manifest, head.clone()]),
        (&strange, vec![head]),
    ];
    for (index, (chain, records)) in cases.into_iter().enumerate() {
        assert!(
            matches!(Draft::new(chain, records), Err(DraftError::Unrelated)),
            "{index}"
        );
    }
    let mut mine = draft.clone();
    assert!(matches!(mine.merge(&other), Err(DraftError::Another)));
}
