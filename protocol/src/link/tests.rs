use proptest::prelude::*;

use super::*;
use crate::Hash;

fn id() -> RecordId {
    RecordId::from_hash(Hash::of(b"record"))
}

const PEER: &str =
    "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

#[test]
fn a_full_link_reads_as_documented() {
    let link = Link::new(id(), Some("my corpus".to_owned()), vec![PEER.to_owned()]).unwrap();
    let text = format!("opendag:{}?name=my%20corpus&peer={PEER}", id());
    assert_eq!(link.to_string(), text);
    assert_eq!(text.parse(), Ok(link));
}

#[test]
fn bare_ids_are_links() {
    assert_eq!(id().to_string().parse(), Ok(Link::from(id())));
    assert_eq!(format!("opendag:{}", id()).parse(), Ok(Link::from(id())));
    assert_eq!(format!("opendag:{}?", id()).parse(), Ok(Link::from(id())));
    assert_eq!(
        Link::from(DatasetId::from(id())).to_string(),
        format!("opendag:{}", id())
    );
}

#[test]
fn a_revision_stands_behind_the_id() {
    let revision = |text: &str| text.parse::<Revision>().unwrap();
    let link: Link = format!("opendag:{}@v1.1?name=a", id()).parse().unwrap();
    assert_eq!(link.revision(), Some(&revision("v1.1")));
    assert_eq!((link.id(), link.name()), (id(), Some("a")));
    // In the full form it is encoded like a value, behind a bare id it stands as it is.
    let text = format!("opendag:{}@final%20%40%20%E6%97%A5", id());
    let link: Link = text.parse().unwrap();
    assert_eq!(link.revision(), Some(&revision("final @ 日")));
    assert_eq!(link.to_string(), text);
    assert_eq!(format!("{}@final @ 日", id()).parse(), Ok(link));
    assert_eq!(
        format!("{}@50%", id()).parse::<Link>().unwrap().revision(),
        Some(&revision("50%"))
    );
}

#[test]
fn unknown_parameters_are_ignored() {
    let text = format!("opendag:{}?size=3&x&name=a&&y=%41", id());
    let link: Link = text.parse().unwrap();
    assert_eq!(link.name(), Some("a"));
    assert!(link.peers().is_empty());
}

#[test]
fn bad_links_are_refused() {
    let id = id();
    let blob = crate::BlobId::from_hash(Hash::of(b"x"));
    for bad in [
        String::new(),
        "opendag:".to_owned(),
        "opendag:?name=x".to_owned(),
        format!("OPENDAG:{id}"),
        format!("opendag://{id}"),
        format!("opendag:{id}/x"),
        format!("opendag:{id}#x"),
        format!(" opendag:{id}"),
        format!("opendag:{id}\n"),
        format!("opendag:{}", id.to_string().to_uppercase()),
        format!("opendag:{blob}"),
        blob.to_string(),
        format!("opendag:{id}@"),
        format!("{id}@"),
        format!("{id}@ v1"),
        format!("opendag:{id}@v 1"),
        format!("opendag:{id}@%1B[2J"),
        format!("opendag:{id}@{}", "a".repeat(65)),
        "opendag:my-data@v1".to_owned(),
        format!("opendag:{id}?name="),
        format!("opendag:{id}?name"),
        format!("opendag:{id}?name=a&name=b"),
        format!("opendag:{id}?name=..%2Fx"),
        format!("opendag:{id}?name=.ssh"),
        format!("opendag:{id}?name=%1B[2J"),
        format!("opendag:{id}?name=a b"),
        format!("opendag:{id}?name=%ff"),
        format!("opendag:{id}?name=%4"),
        format!("opendag:{id}?name=%zz"),
        format!("opendag:{id}?name=é"),
        format!("opendag:{id}?peer="),
        format!("opendag:{id}?peer=127.0.0.1"),
        format!("opendag:{id}?peer=/ip4/127.0.0.1/tcp/1"),
        format!("opendag:{id}?peer=/ip4/127.0.0.1/tcp/1/p2p/"),
        format!("opendag:{id}?peer={PEER}/p2p-circuit"),
        format!("opendag:{id}?peer=/{}/p2p/x", "a".repeat(250)),
        format!("opendag:{id}?{}", format!("peer={PEER}&").repeat(17)),
        format!("opendag:{id}?x={}", "a".repeat(2048)),
    ] {
        assert!(bad.parse::<Link>().is_err(), "{bad}");
    }
}

#[test]
fn a_link_that_would_print_too_long_is_not_made() {
    let peer = format!("/{}/p2p/x", "&".repeat(240));
    let peers = vec![peer; 4];
    let error = Link::new(id(), None, peers).unwrap_err();
    assert!(matches!(error, LinkError::TooLong { .. }));
}

proptest! {
    #[test]
    fn every_link_round_trips(
        hash: [u8; 32],
        name in prop::option::of("[^\\p{C}\\s/\\\\:*?\"<>|.-][a-zA-Z0-9 _%&=+#é日]{0,20}[a-z]"),
        peers in prop::collection::vec("/[!-~]{1,20}/p2p/[a-zA-Z0-9]{1,10}", 0..8),
        revision in prop::option::of("[!-~é日]{1,15}"),
    ) {
        let id = RecordId::from_hash(Hash::from_bytes(hash));
        if let Ok(link) = Link::new(id, name, peers) {
            let link = match revision {
                Some(revision) => link.at(revision.parse().unwrap()).unwrap(),
                None => link,
            };
            prop_assert!(link.to_string().is_ascii());
            prop_assert_eq!(link.to_string().parse(), Ok(link));
        }
    }

    #[test]
    fn what_parses_prints_and_parses_again(text in "[?@][a-z0-9=&%?/ @]{0,60}", prefixed: bool) {
        let text = if prefixed { format!("opendag:{}{text}", id()) } else { text };
        if let Ok(link) = text.parse::<Link>() {
            prop_assert_eq!(link.to_string().parse(), Ok(link));
        }
    }
}
