//! `specs/vectors/links.json`: links and how they are printed, and texts that are none.

use serde::{Deserialize, Serialize};

use super::{vectors::check, *};
use crate::{RecordId, link::Link};

#[derive(Serialize, Deserialize)]
struct Links {
    about: String,
    accepted: Vec<AcceptedLink>,
    refused: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct AcceptedLink {
    text: String,
    id: RecordId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    name: Option<String>,
    peers: Vec<String>,
    printed: String,
}

fn links() -> Links {
    let id = RecordId::from_hash(Hash::of(b"record"));
    let peer = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let accepted = |text: String| {
        let link: Link = text.parse().unwrap();
        AcceptedLink {
            id: link.id(),
            revision: link.revision().map(ToString::to_string),
            name: link.name().map(str::to_owned),
            peers: link.peers().to_vec(),
            printed: link.to_string(),
            text,
        }
    };
    Links {
        about: "Texts with what they say and how they are printed again, and texts that are no \
                links. Source: specs/links.md."
            .to_owned(),
        accepted: [
            id.to_string(),
            format!("opendag:{id}"),
            format!("opendag:{id}?"),
            format!("opendag:{id}?name=my%20corpus&peer={peer}&peer={peer}"),
            format!("opendag:{id}?peer={}", peer.replace('/', "%2f")),
            format!("opendag:{id}?name=%E6%97%A5%E6%9C%AC&size=3&later"),
            format!("opendag:{id}?name=a+b"),
            format!("{id}@v1.1"),
            format!("opendag:{id}@3?name=a"),
            format!("opendag:{id}@final%20%40%20%E6%97%A5"),
        ]
        .map(accepted)
        .into(),
        refused: vec![
            String::new(),
            "opendag:".to_owned(),
            format!("OPENDAG:{id}"),
            format!("opendag://{id}"),
            format!("opendag:{}", id.to_string().to_uppercase()),
            format!("opendag:{}", BlobId::from_hash(Hash::of(b"record"))),
            format!("opendag:{id}#x"),
            format!("opendag:{id}@"),
            format!("opendag:{id}@v 1"),
            format!("opendag:{id}@{}", "v".repeat(65)),
            format!("opendag:{id}?name="),
            format!("opendag:{id}?name=a&name=b"),
            format!("opendag:{id}?name=a%2Fb"),
            format!("opendag:{id}?name=a%2"),
            format!("opendag:{id}?name=%FF"),
            format!("opendag:{id}?name=a b"),
            format!("opendag:{id}?name=日本"),
            format!("opendag:{id}?peer=127.0.0.1:4001"),
            format!("opendag:{id}?peer=/ip4/127.0.0.1/tcp/4001"),
            format!("opendag:{id}?{}", format!("&peer={peer}").repeat(17)),
        ],
    }
}

#[test]
fn links_follow_the_vectors() {
    let kept = check("links", &links());
    for vector in &kept.accepted {
        let link: Link = vector.text.parse().unwrap();
        assert_eq!(link.to_string(), vector.printed);
        assert_eq!(vector.printed.parse(), Ok(link));
    }
    for text in &kept.refused {
        assert!(text.parse::<Link>().is_err(), "{text}");
    }
}
