use proptest::prelude::*;

use super::*;
use crate::{DatasetPath, table::FileFields};

fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32])
}

fn subject() -> Subject {
    Subject {
        dataset: DatasetId::from_hash(Hash::of(b"dataset")),
        manifest: ManifestId::from_hash(Hash::of(b"manifest")),
        sequence: 3,
        table: BlobId::from_hash(Hash::of(b"table")),
    }
}

fn file(path: &str, bytes: &[u8]) -> FileEntry {
    let size = u64::try_from(bytes.len()).unwrap();
    let path = DatasetPath::parse(path).unwrap();
    FileEntry::new(FileFields::new(path, size, Hash::of(bytes))).unwrap()
}

fn verified(files: &[(&str, &[u8])]) -> Verified {
    let mut tally = Tally::default();
    for (path, bytes) in files {
        tally.push(&file(path, bytes));
    }
    tally.finish()
}

fn receipt() -> Receipt {
    let globs = (vec!["*.txt".to_owned()], Vec::new());
    let verified = verified(&[("a.txt", b"1"), ("b.txt", b"22")]);
    let at = Timestamp::from_secs(1_800_000_000);
    let by = (&key(), SignerKind::Node);
    Receipt::sign(subject(), globs, (verified, at), by).unwrap()
}

/// The same receipt with other fields, signed with another message.
fn forged(domain: &[u8], change: impl Fn(&mut ReceiptFields)) -> Vec<u8> {
    let mut fields = receipt().fields;
    change(&mut fields);
    let payload = cbor::to_vec(&fields).unwrap();
    let signature = key().sign(&[domain, &payload].concat());
    let forged = Receipt {
        fields,
        payload,
        signature,
    };
    forged.to_text().unwrap().into_bytes()
}

#[test]
fn a_receipt_is_read_as_it_was_signed() {
    let receipt = receipt();
    let text = receipt.to_text().unwrap();
    assert!(text.starts_with("opendag-receipt/1\n"), "{text}");
    assert_eq!(Receipt::parse(text.as_bytes()).unwrap(), receipt);
    let mailed = text.replace('\n', "\r\n");
    assert_eq!(Receipt::parse(mailed.as_bytes()).unwrap(), receipt);
    assert!(receipt.is_about(&subject()));
    let sequence = 4;
    assert!(!receipt.is_about(&Subject {
        sequence,
        ..subject()
    }));
    // Negative control of what follows.
    assert!(Receipt::parse(&forged(DOMAIN, |_| {})).is_ok());
}

#[test]
fn the_digest_changes_with_each_path_each_hash_and_their_order() {
    let one = verified(&[("a", b"1"), ("b", b"2")]);
    assert_eq!((one.files, one.bytes), (2, 2));
    for other in [
        verified(&[("a", b"1"), ("b", b"3")]),
        verified(&[("a", b"1"), ("c", b"2")]),
        verified(&[("b", b"2"), ("a", b"1")]),
        verified(&[("a", b"1")]),
        verified(&[]),
    ] {
        assert_ne!(one.digest, other.digest);
    }
}

#[test]
fn s7_a_signature_of_another_key_or_another_domain_is_refused() {
    let refused = |text: &[u8]| matches!(Receipt::parse(text), Err(ReceiptError::Signature(_)));
    assert!(refused(&forged(b"opendag/record/1\0", |_| {})));
    assert!(refused(&forged(b"", |_| {})));
    let other = SecretKey::from_bytes(&[8; 32]).public();
    assert!(refused(&forged(DOMAIN, |fields| fields.signer = other)));
}

#[test]
fn s7_a_changed_payload_is_refused() {
    let mut changed = receipt();
    changed.fields.files = 9;
    changed.payload = cbor::to_vec(&changed.fields).unwrap();
    let text = changed.to_text().unwrap();
    assert!(matches!(
        Receipt::parse(text.as_bytes()),
        Err(ReceiptError::Signature(_))
    ));
}

#[test]
fn fields_that_break_a_rule_are_refused_also_when_they_are_signed() {
    let refused = |change: &dyn Fn(&mut ReceiptFields)| {
        Receipt::parse(&forged(DOMAIN, change))
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&|fields| fields.version = 2).contains("version 2"));
    assert!(refused(&|fields| fields.sequence = 1 << 53).contains("sequence"));
    assert!(refused(&|fields| fields.files = 1 << 32).contains("files"));
    let late = Timestamp::from_secs(TIMESTAMP_MAX + 1);
    assert!(refused(&|fields| fields.verified_at = late).contains("verified_at"));
    assert!(refused(&|fields| fields.include = vec!["\u{1b}[2J".to_owned()]).contains("include"));
    assert!(refused(&|fields| fields.exclude = vec!["x".repeat(1025)]).contains("exclude"));
    let many = vec!["x".to_owned(); RECEIPT_GLOBS_MAX + 1];
    assert!(refused(&|fields| fields.exclude = many.clone()).contains("exclude"));
}

#[test]
fn what_is_cut_or_followed_by_more_is_refused() {
    let text = receipt().to_text().unwrap();
    // The last byte is the newline, without which it is whole.
    for end in 0..text.len() - 1 {
        assert!(Receipt::parse(&text.as_bytes()[..end]).is_err(), "{end}");
    }
    assert!(Receipt::parse(format!("{text}AAAA").as_bytes()).is_err());
    assert!(Receipt::parse(text.replacen("/1", "/2", 1).as_bytes()).is_err());
    let long = format!("{text}{}", "\n".repeat(RECEIPT_BYTES_MAX));
    assert!(matches!(
        Receipt::parse(long.as_bytes()),
        Err(ReceiptError::TooLarge)
    ));
    // More globs than a text has room for are not signed at all.
    let long = vec!["x".repeat(1000); RECEIPT_GLOBS_MAX];
    let at = (verified(&[]), Timestamp::from_secs(0));
    let made = Receipt::sign(
        subject(),
        (long.clone(), long),
        at,
        (&key(), SignerKind::Node),
    );
    assert!(matches!(made, Err(ReceiptError::TooLarge)));
}

#[test]
fn a_key_of_small_order_signs_nothing() {
    let text = forged(DOMAIN, |_| {});
    let bytes = armor::read(FIRST_LINE, &text).unwrap();
    let signer = key().public();
    let at = bytes
        .windows(32)
        .position(|part| part == signer.as_bytes())
        .unwrap();
    let mut weak = bytes;
    weak[at..at + 32].fill(0);
    assert!(Receipt::parse(armor::write(FIRST_LINE, &weak).as_bytes()).is_err());
}

proptest! {
    #[test]
    fn a_flipped_bit_is_noticed(bit in 0_usize..8 * 400) {
        let text = receipt().to_text().unwrap();
        let mut bytes = armor::read(FIRST_LINE, text.as_bytes()).unwrap();
        let at = (bit / 8) % bytes.len();
        bytes[at] ^= 1 << (bit % 8);
        prop_assert!(Receipt::parse(armor::write(FIRST_LINE, &bytes).as_bytes()).is_err());
    }

    #[test]
    fn no_bytes_are_a_panic(bytes: Vec<u8>, armored: bool) {
        let text = match armored {
            true => armor::write(FIRST_LINE, &bytes).into_bytes(),
            false => bytes,
        };
        prop_assert!(Receipt::parse(&text).is_err());
    }
}
