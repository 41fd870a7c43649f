//! Receipts: what is accepted comes back as it was; what is signed is accepted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::key;
use opendag_protocol::{
    BlobId, DatasetId, Hash, ManifestId, Timestamp,
    limits::RECEIPT_BYTES_MAX,
    receipt::{Receipt, SignerKind, Subject, Verified},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(receipt) = Receipt::parse(bytes) {
        assert!(bytes.len() <= RECEIPT_BYTES_MAX);
        let text = receipt.to_text().unwrap();
        assert_eq!(Receipt::parse(text.as_bytes()).unwrap(), receipt);
    }
    let hash = Hash::of(bytes);
    let subject = Subject {
        dataset: DatasetId::from_hash(hash),
        manifest: ManifestId::from_hash(hash),
        sequence: 0,
        table: BlobId::from_hash(hash),
    };
    let verified = Verified {
        files: 1,
        bytes: 1,
        digest: hash,
    };
    // The same bytes as globs, a line each.
    let globs: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    let what = (verified, Timestamp::from_secs(0));
    let by = (key(0), SignerKind::Node);
    if let Ok(receipt) = Receipt::sign(subject, (globs, Vec::new()), what, by) {
        let text = receipt.to_text().unwrap();
        assert_eq!(Receipt::parse(text.as_bytes()).unwrap(), receipt);
    }
});
