//! Signatures: no altered envelope of a signed record is accepted.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opendag_fuzz::{first_record, head, sign};
use opendag_protocol::{Hash, ManifestId, record::SignedRecord};

#[derive(Debug, Arbitrary)]
struct Input {
    sequence: u32,
    issued_at: u32,
    signers: u8,
    changes: Vec<Change>,
}

#[derive(Debug, Arbitrary)]
enum Change {
    Set { at: u16, byte: u8 },
    Remove { at: u16 },
    Insert { at: u16, byte: u8 },
    Swap { a: u16, b: u16, len: u8 },
}

fuzz_target!(|input: Input| {
    let owners = first_record();
    let manifest = ManifestId::from_hash(Hash::of(b"manifest"));
    let sequence = input.sequence.into();
    let issued_at = input.issued_at.into();
    let head = head(
        owners.id().into(),
        owners.id(),
        sequence,
        manifest,
        issued_at,
    );
    let signed = sign(head, input.signers);
    let mut bytes = signed.bytes().to_vec();
    for change in input.changes.iter().take(8) {
        alter(&mut bytes, change);
    }
    match SignedRecord::decode(&bytes) {
        Ok(decoded) => {
            assert_eq!(bytes, signed.bytes(), "an altered envelope is accepted");
            assert_eq!(decoded, signed);
        }
        Err(error) => assert_ne!(bytes, signed.bytes(), "{error}"),
    }
});

fn alter(bytes: &mut Vec<u8>, change: &Change) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    match *change {
        Change::Set { at, byte } => bytes[usize::from(at) % len] = byte,
        Change::Remove { at } => {
            bytes.remove(usize::from(at) % len);
        }
        Change::Insert { at, byte } => bytes.insert(usize::from(at) % (len + 1), byte),
        Change::Swap { a, b, len: run } => {
            for offset in 0..usize::from(run) {
                bytes.swap(
                    (usize::from(a) + offset) % len,
                    (usize::from(b) + offset) % len,
                );
            }
        }
    }
}
