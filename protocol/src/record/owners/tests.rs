use super::*;
use crate::{
    ManifestId,
    record::{Head, Manifest},
    testing::*,
};

fn chain(first: &SignedRecord) -> OwnerChain {
    OwnerChain::start(first).unwrap()
}

#[test]
fn a_chain_starts_with_a_first_record_that_enough_owners_signed() {
    let first = first_record(&[1, 2, 3], 2);
    let started = chain(&first);
    assert_eq!(started.dataset_id(), first.id().into());
    assert_eq!(started.current_id(), first.id());
    assert_eq!(started.records().collect::<Vec<_>>(), [&first]);

    let record = first.as_dataset().unwrap().clone();
    let few = OwnerChain::start(&sign(record.clone(), &[1]));
    assert_eq!(
        few,
        Err(OwnerError::TooFewSignatures {
            signed: 1,
            threshold: 2
        })
    );
    let stranger = OwnerChain::start(&sign(record.clone(), &[1, 2, 9]));
    assert_eq!(
        stranger,
        Err(OwnerError::NotAnOwner {
            key: key(9).public()
        })
    );
    let strangers = OwnerChain::start(&sign(record, &[8, 9]));
    assert_eq!(
        strangers,
        Err(OwnerError::TooFewSignatures {
            signed: 0,
            threshold: 2
        })
    );
    let second = sign(rotation(&first, &[4], 1), &[1, 2, 4]);
    assert_eq!(
        OwnerChain::start(&second),
        Err(OwnerError::NotFirst { sequence: 1 })
    );
    let version = manifest(&first, 0, None);
    assert!(matches!(
        OwnerChain::start(&version),
        Err(OwnerError::OtherKind { .. })
    ));
}

#[test]
fn a_rotation_needs_a_threshold_of_the_old_and_of_the_new_owners() {
    let first = first_record(&[1, 2, 3], 2);
    let next = rotation(&first, &[3, 4, 5], 2);
    for (signers, enough) in [
        (&[1, 2, 4, 5][..], true),
        (&[1, 3, 4], true),
        (&[2, 3, 5], true),
        (&[1, 2, 3], false),
        (&[3, 4], false),
        (&[1, 2], false),
        (&[4, 5], false),
        (&[1, 4, 5], false),
        (&[1, 2, 4, 5, 9], false),
    ] {
        let mut chain = chain(&first);
        let before = chain.clone();
        let signed = sign(next.clone(), signers);
        let extended = chain.extend(&signed);
        assert_eq!(extended.is_ok(), enough, "{signers:?}: {extended:?}");
        if enough {
            assert_eq!(chain.current_id(), signed.id());
            assert_eq!(chain.dataset_id(), first.id().into());
            assert!(chain.at(&first.id()).is_some() && chain.at(&signed.id()).is_some());
        } else {
            assert_eq!(chain, before);
        }
    }
}

#[test]
fn rotations_have_no_gaps_no_repeats_and_no_grafts() {
    let first = first_record(&[1], 1);
    let second = sign(rotation(&first, &[2], 1), &[1, 2]);
    let third = sign(rotation(&second, &[3], 1), &[2, 3]);
    let mut chain = chain(&first);
    let gap = chain.extend(&third);
    assert_eq!(
        gap,
        Err(OwnerError::NotNext {
            expected: 1,
            found: 2
        })
    );
    assert!(chain.extend(&second).is_ok());
    assert_eq!(
        chain.extend(&second),
        Err(OwnerError::NotNext {
            expected: 2,
            found: 1
        })
    );
    assert!(matches!(
        chain.extend(&first),
        Err(OwnerError::NotNext { .. })
    ));

    // A second record of another line, with the sequence that is next.
    let fork = sign(rotation(&first, &[1], 1), &[1]);
    let graft = sign(rotation(&fork, &[1], 1), &[1]);
    assert!(matches!(
        chain.extend(&graft),
        Err(OwnerError::OtherPrevious { .. })
    ));
    let other = first_record(&[1, 2], 1);
    let graft = sign(rotation(&other, &[2], 1), &[1, 2]);
    assert!(matches!(
        chain.extend(&graft),
        Err(OwnerError::OtherDataset { .. })
    ));
    assert!(chain.extend(&third).is_ok());
    assert_eq!(chain.records().count(), 3);
}

#[test]
fn the_owner_record_that_is_named_decides_who_may_sign() {
    let first = first_record(&[1, 2], 2);
    let second = sign(rotation(&first, &[3], 1), &[1, 2, 3]);
    let mut chain = chain(&first);
    chain.extend(&second).unwrap();
    let under = |owners: &SignedRecord, signers: &[u8]| {
        let version = sign(
            Manifest::new(manifest_fields(owners, 0, None)).unwrap(),
            signers,
        );
        let id: ManifestId = version.id().into();
        let head = sign(Head::new(head_fields(owners, 0, id, 100)).unwrap(), signers);
        let answer = chain.authorises(&version);
        assert_eq!(chain.authorises(&head), answer);
        answer
    };
    assert_eq!(under(&first, &[1, 2]), Ok(()));
    assert_eq!(under(&second, &[3]), Ok(()));
    let few = OwnerError::TooFewSignatures {
        signed: 1,
        threshold: 2,
    };
    assert_eq!(under(&first, &[1]), Err(few));
    assert!(matches!(
        under(&first, &[3]),
        Err(OwnerError::TooFewSignatures { signed: 0, .. })
    ));
    assert!(matches!(
        under(&second, &[1, 2]),
        Err(OwnerError::TooFewSignatures { .. })
    ));
    assert_eq!(
        under(&second, &[1, 3]),
        Err(OwnerError::NotAnOwner {
            key: key(1).public()
        })
    );
    let third = sign(rotation(&second, &[4], 1), &[3, 4]);
    assert_eq!(
        under(&third, &[4]),
        Err(OwnerError::UnknownOwners {
            owner_record: third.id()
        })
    );
    let other = first_record(&[3], 1);
    assert!(matches!(
        under(&other, &[3]),
        Err(OwnerError::OtherDataset { .. })
    ));
}

#[test]
fn a_chain_has_an_end() {
    let mut last = first_record(&[1], 1);
    let mut chain = chain(&last);
    for _ in 1..OWNER_RECORDS_MAX {
        last = sign(rotation(&last, &[1], 1), &[1]);
        chain.extend(&last).unwrap();
    }
    let next = sign(rotation(&last, &[1], 1), &[1]);
    assert_eq!(chain.extend(&next), Err(OwnerError::TooManyRecords));
    assert_eq!(chain.records().count(), OWNER_RECORDS_MAX);
}

#[test]
fn a_key_vouches_for_a_dataset_only_by_its_own_signature() {
    let record = first_record(&[1, 2], 1).as_dataset().unwrap().clone();
    let by_one = chain(&sign(record.clone(), &[1]));
    assert!(by_one.is_vouched_by(&key(1).public()));
    // Key 2 was named by key 1, and never said so.
    assert!(!by_one.is_vouched_by(&key(2).public()));
    assert!(chain(&sign(record, &[1, 2])).is_vouched_by(&key(2).public()));

    let first = first_record(&[1], 1);
    let mut handed_over = chain(&first);
    let next = sign(rotation(&first, &[2], 1), &[1, 2]);
    handed_over.extend(&next).unwrap();
    assert!(handed_over.is_vouched_by(&key(2).public()));
    assert!(!handed_over.is_vouched_by(&key(1).public()));
}
