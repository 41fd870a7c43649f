//! `specs/vectors/ids.json`: ids and keys, and texts that are none.

use serde::{Deserialize, Serialize};

use super::{
    vectors::{check, hex, unhex},
    *,
};
use crate::{
    RecordId,
    key::{KeyError, PublicKey},
};

#[derive(Serialize, Deserialize)]
struct Ids {
    about: String,
    ids: Vec<Id>,
    not_record_ids: Vec<String>,
    keys: Vec<Key>,
    not_keys: Vec<NotAKey>,
}

#[derive(Serialize, Deserialize)]
struct Id {
    content_hex: String,
    blake3: Hash,
    record: RecordId,
    record_cid_hex: String,
    blob: BlobId,
    blob_cid_hex: String,
}

#[derive(Serialize, Deserialize)]
struct Key {
    secret_hex: String,
    public_hex: String,
    public: PublicKey,
    message_hex: String,
    signature_hex: String,
}

#[derive(Serialize, Deserialize)]
struct NotAKey {
    public_hex: String,
    why: String,
}

fn ids() -> Ids {
    let id = |content: &[u8]| {
        let hash = Hash::of(content);
        let (record, blob) = (RecordId::from_hash(hash), BlobId::from_hash(hash));
        Id {
            content_hex: hex(content),
            blake3: hash,
            record,
            record_cid_hex: hex(&record.cid().to_bytes()),
            blob,
            blob_cid_hex: hex(&blob.cid().to_bytes()),
        }
    };
    let text = RecordId::from_hash(Hash::of(b"")).to_string();
    let keys = [1, 2, 255].map(|number| Key {
        secret_hex: hex(key(number).to_bytes().as_slice()),
        public_hex: hex(key(number).public().as_bytes()),
        public: key(number).public(),
        message_hex: hex(b"message"),
        signature_hex: hex(key(number).sign(b"message").as_bytes()),
    });
    let not_a_key = |public_hex: String, why: &str| NotAKey {
        public_hex,
        why: why.to_owned(),
    };
    let repeated =
        |first: &str, middle: &str, last: &str| format!("{first}{}{last}", middle.repeat(30));
    Ids {
        about: "Ids of contents; texts that are no record ids; keys with signatures of a message \
                (without the domain of records); bytes that are no keys. Source: specs/records.md."
            .to_owned(),
        ids: [&b""[..], b"hello", &[0xa0]].map(id).into(),
        not_record_ids: vec![
            BlobId::from_hash(Hash::of(b"")).to_string(),
            text.to_uppercase(),
            format!("{text}a"),
            text[..text.len() - 1].to_owned(),
            format!(" {text}"),
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".to_owned(),
            "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".to_owned(),
            String::new(),
        ],
        keys: keys.into(),
        not_keys: vec![
            not_a_key(repeated("00", "00", "00"), "small order"),
            not_a_key(repeated("01", "00", "00"), "small order"),
            not_a_key(repeated("ec", "ff", "7f"), "small order"),
            not_a_key(repeated("ee", "ff", "7f"), "small order"),
            not_a_key(
                repeated("f0", "ff", "7f"),
                "not canonical: 3 written as p + 3",
            ),
            not_a_key(repeated("02", "00", "00"), "not on the curve"),
        ],
    }
}

#[test]
fn ids_and_keys_follow_the_vectors() {
    let kept = check("ids", &ids());
    for id in &kept.ids {
        assert_eq!(Hash::of(&unhex(&id.content_hex)), id.blake3);
        assert_eq!(id.record.hash(), id.blake3);
    }
    for text in &kept.not_record_ids {
        assert!(text.parse::<RecordId>().is_err(), "{text}");
    }
    for key in &kept.keys {
        assert_eq!(hex(key.public.as_bytes()), key.public_hex);
    }
    for bad in &kept.not_keys {
        let error = PublicKey::from_bytes(unhex(&bad.public_hex).try_into().unwrap()).unwrap_err();
        assert_eq!(
            error == KeyError::SmallOrder,
            bad.why == "small order",
            "{}",
            bad.public_hex
        );
    }
}
