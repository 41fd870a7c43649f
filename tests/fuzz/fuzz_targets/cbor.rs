//! Canonical DAG-CBOR: what is accepted is the one encoding of what it says, as a naive reader sees it.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::cbor::Value;
use opendag_protocol::{
    BlobId, Hash,
    cbor::{check_canonical, from_slice_canonical, to_vec},
};

/// Decodes and encodes again; `bytes` are canonical if they decode as anything.
macro_rules! one_encoding {
    ($bytes:expr, $($type:ty),* $(,)?) => {$(
        if let Ok(value) = from_slice_canonical::<$type>($bytes) {
            assert!(check_canonical($bytes).is_ok());
            assert_eq!(to_vec(&value).unwrap(), $bytes, "{value:?}");
        }
    )*};
}

fuzz_target!(|bytes: &[u8]| {
    one_encoding!(
        bytes,
        u64,
        i64,
        f64,
        bool,
        String,
        Hash,
        BlobId,
        Vec<i64>,
        Vec<String>,
        Vec<Vec<Vec<u8>>>,
        BTreeMap<String, u64>,
        BTreeMap<String, Vec<BTreeMap<String, Option<bool>>>>,
        (u64, String, Vec<f64>),
    );
    let is_canonical = check_canonical(bytes).is_ok();
    let value = Value::read(bytes);
    let is_written = value.as_ref().is_some_and(|value| {
        let mut written = Vec::new();
        value.write(&mut written);
        written == bytes
    });
    // Which CIDs are allowed the naive reader does not know.
    let has_link = value.is_some_and(|value| value.has_link());
    assert!(
        is_written || !is_canonical,
        "accepted, but not the one encoding"
    );
    assert!(
        is_canonical || !is_written || has_link,
        "the one encoding, but refused"
    );
    if is_canonical {
        assert!(check_canonical(&[bytes, &[0]].concat()).is_err());
        assert!(check_canonical(&bytes[..bytes.len() - 1]).is_err());
    }
});
