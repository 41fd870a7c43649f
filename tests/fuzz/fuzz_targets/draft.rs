//! Drafts: what is accepted, as text or as bytes, comes back as it was; signatures only ever add up, and
//! what is complete is what the owners of its chain have signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::key;
use opendag_protocol::{
    draft::{Draft, text},
    limits::DRAFT_BYTES_MAX,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(draft) = text::read(bytes) {
        assert!(bytes.len() <= DRAFT_BYTES_MAX);
        let written = text::write(&draft).unwrap();
        assert_eq!(text::read(written.as_bytes()).unwrap(), draft);
        check(draft);
    }
    if let Ok(draft) = Draft::decode(bytes) {
        assert_eq!(draft.encode().unwrap(), bytes);
        check(draft);
    }
});

fn check(draft: Draft) {
    let before = draft.missing().iter().map(|missing| missing.count).sum::<usize>();
    let mut signed = draft.clone();
    for number in 0..4 {
        let key = key(number);
        // One with a say may find sixteen signatures there.
        assert!(signed.sign(key).is_err() || draft.has_a_say(&key.public()));
    }
    let after = signed.missing().iter().map(|missing| missing.count).sum::<usize>();
    assert!(after <= before);
    let mut merged = draft.clone();
    merged.merge(&signed).unwrap();
    assert_eq!(merged, signed);
    match signed.finish() {
        Ok(records) => {
            let chain = signed.chain().records().count();
            let mut owners = signed.chain().clone();
            for record in &records[chain..] {
                match record.as_dataset() {
                    Some(_) => owners.extend(record).unwrap(),
                    None => owners.authorises(record).unwrap(),
                }
            }
        }
        Err(_) => assert!(after > 0),
    }
}
