//! Descriptions of others: what is read of one, a record can say, and each of its files has a place of its
//! own below the dataset.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::first_record;
use opendag_protocol::{
    BlobId, Hash, Timestamp,
    croissant::{Described, looks_like},
    record::{Manifest, ManifestFields},
};

fuzz_target!(|bytes: &[u8]| {
    looks_like(bytes);
    if let Ok(described) = Described::read(bytes) {
        check(described);
    }
    // The same bytes as texts of a document.
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().chain(std::iter::repeat(""));
    let mut next = || format!("{:?}", lines.next().unwrap_or_default()).replace("\\u{", "{").replace("\\'", "'");
    let document = format!(
        "{{\"conformsTo\":\"http://mlcommons.org/croissant/1.1\",\"name\":{},\"license\":{},\"url\":{},\
         \"keywords\":[{}],\"distribution\":{{\"@type\":\"FileObject\",\"name\":{},\"contentUrl\":{},\
         \"contentSize\":{},\"sha256\":\"{}\"}}}}",
        next(), next(), next(), next(), next(), next(), next(), "00".repeat(32),
    );
    if let Ok(described) = Described::read(document.as_bytes()) {
        check(described);
    }
});

fn check(described: Described) {
    let paths: BTreeSet<_> = described.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths.len(), described.files.len());
    for file in &described.files {
        let url = file.url.as_deref().unwrap_or("http://");
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic()) && url.contains("://"));
    }
    let owners = first_record();
    let fields = ManifestFields {
        dataset: owners.id().into(),
        owner_record: owners.id(),
        sequence: 0,
        parent: None,
        created_at: Timestamp::from_secs(0),
        label: described.label,
        title: described.title,
        description: described.description,
        license: described.license,
        languages: described.languages,
        tags: described.tags,
        homepage: described.homepage,
        table: BlobId::from_hash(Hash::of(b"table")),
        files: 0,
        bytes: 0,
        card: None,
        croissant: None,
        derived_from: Vec::new(),
        mirrors: Vec::new(),
    };
    Manifest::new(fields).unwrap();
}
