//! Documents of the exchange formats: what is accepted says records that hold, and is written in all
//! encodings so that it comes back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::{first_record, sign};
use opendag_protocol::{
    BlobId, Hash, Timestamp,
    exchange::{Carried, Document, Encoding},
    limits::EXCHANGE_BYTES_MAX,
    record::{Manifest, ManifestFields},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(document) = Document::read(bytes) {
        assert!(bytes.len() <= EXCHANGE_BYTES_MAX);
        if let Ok(carried) = document.open() {
            check(&carried);
        }
    }
    // The same bytes as the texts of a version.
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().map(str::to_owned);
    let owners = first_record();
    let fields = ManifestFields {
        dataset: owners.id().into(),
        owner_record: owners.id(),
        sequence: 0,
        parent: None,
        created_at: Timestamp::from_secs(0),
        label: lines.next(),
        title: lines.next(),
        description: Some(text.clone().into_owned()),
        license: None,
        languages: Vec::new(),
        tags: lines.collect(),
        homepage: None,
        table: BlobId::from_hash(Hash::of(bytes)),
        files: 0,
        bytes: u64::MAX,
        card: None,
        croissant: None,
        derived_from: Vec::new(),
        mirrors: Vec::new(),
    };
    if let Ok(manifest) = Manifest::new(fields) {
        let version = sign(manifest, 1);
        check(&Carried::new(vec![owners, version], Vec::new()).unwrap());
    }
});

fn check(carried: &Carried) {
    let document = carried.document().unwrap();
    for encoding in [Encoding::Json, Encoding::Xml, Encoding::Protobuf] {
        let written = document.write(encoding).unwrap();
        let read = Document::read(&written).unwrap();
        assert_eq!(read, document);
        assert_eq!(read.open().unwrap().records(), carried.records());
    }
}
