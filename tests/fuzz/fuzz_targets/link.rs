//! Links: what is accepted or made is printed as a link that says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    Hash, RecordId,
    limits::{LINK_BYTES_MAX, LINK_PEERS_MAX},
    link::Link,
};

fuzz_target!(|text: &str| {
    if let Ok(link) = text.parse::<Link>() {
        check(&link);
    }
    // The same text as the hints of a link: a name, then addresses, a line each.
    let mut lines = text.lines().map(str::to_owned);
    let id = RecordId::from_hash(Hash::of(text.as_bytes()));
    let name = lines.next().filter(|name| !name.is_empty());
    if let Ok(link) = Link::new(id, name.clone(), lines.clone().collect()) {
        check(&link);
        assert_eq!((link.id(), link.name()), (id, name.as_deref()));
        assert_eq!(link.peers(), lines.collect::<Vec<_>>());
    }
});

fn check(link: &Link) {
    let printed = link.to_string();
    assert!(printed.len() <= LINK_BYTES_MAX && printed.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(link.peers().len() <= LINK_PEERS_MAX);
    let again: Link = printed.parse().expect("what is printed is a link");
    assert_eq!(again, *link);
    assert_eq!(again.to_string(), printed);
}
