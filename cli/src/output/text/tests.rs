use opendag_node::ops::{ReviewInfo, ReviewsInfo, VersionInfo};
use opendag_protocol::{DatasetId, Hash, ManifestId, RecordId, Timestamp, record::Opinion};

use super::*;

fn info() -> VersionInfo {
    VersionInfo {
        dataset: DatasetId::from_hash(Hash::of(b"dataset")),
        manifest: ManifestId::from_hash(Hash::of(b"manifest")),
        name: "corpus\u{1b}[2J".to_owned(),
        sequence: 3,
        parent: None,
        label: Some("v\u{202e}1".to_owned()),
        title: Some("Title".to_owned()),
        description: None,
        license: None,
        languages: Vec::new(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        homepage: None,
        created_at: Timestamp::from_secs(1_700_000_000),
        files: 2,
        bytes: 3072,
        owners: vec!["key".to_owned()],
        threshold: 1,
        derived_from: Vec::new(),
        newest: true,
        head_expired_since: Some(Timestamp::from_secs(u64::MAX)),
        head: None,
        equivocations: vec![ManifestId::from_hash(Hash::of(b"other"))],
        forks: Vec::new(),
        license_hints: Vec::new(),
        pinned: None,
        reviews: None,
        denied: None,
        renewal: None,
        places: Vec::new(),
        link: "opendag:x".to_owned(),
    }
}

#[test]
fn s15_a_version_is_printed_without_control_characters() {
    let text = of(&Event::Versions {
        versions: vec![info()],
    });
    assert!(
        text.starts_with("corpus\\u{1b}[2J, version 3 (v\\u{202e}1), the newest known\n"),
        "{text}"
    );
    assert!(text.contains("\nTags         a, b\n"), "{text}");
    assert!(
        text.contains("\nContent      2 files, 3.00 KiB\n"),
        "{text}"
    );
    assert!(text.contains("2023-11-14T22:13:20Z"), "{text}");
    assert!(
        !text.contains("Licence") && !text.contains("Languages"),
        "{text}"
    );
    assert!(
        text.contains("signed other versions with the same number"),
        "{text}"
    );
    assert!(
        text.chars()
            .all(|character| character == '\n' || !character.is_control())
    );
}

#[test]
fn s15_reviews_are_printed_without_control_characters() {
    let review = ReviewInfo {
        id: RecordId::from_hash(Hash::of(b"review")),
        subject: RecordId::from_hash(Hash::of(b"manifest")),
        of_version: true,
        author: "ed25519:a".to_owned(),
        issued_at: Timestamp::from_secs(1_700_000_000),
        opinion: Some(Opinion {
            rating: 4,
            text: Some("Fine.\nManifest  \u{200e}forged\u{1b}[2J".to_owned()),
            tags: vec!["a".to_owned(), "b\u{202e}".to_owned()],
        }),
    };
    let reviews = Some(ReviewsInfo {
        count: 2,
        mean: Some(3.5),
        newest: vec![review],
    });
    let versions = vec![VersionInfo { reviews, ..info() }];
    let text = of(&Event::Versions { versions });
    for line in [
        "\nReviews      3.5 of 5, by 2 authors\n",
        "\n             4 of 5 by ed25519:a, 2023-11-14T22:13:20Z, of this version [a, b\\u{202e}]\n",
        "\n               Fine.\n               Manifest  \\u{200e}forged\\u{1b}[2J\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn shares_of_peers_are_percentages() {
    let share = |peer: &str, bytes| PeerShare {
        peer: peer.to_owned(),
        bytes,
    };
    let mut lines = Lines::default();
    shares(
        &mut lines,
        &[share("A", 750), share("B", 250), share("C", 0)],
    );
    assert!(lines.0.contains(" 75 %"), "{}", lines.0);
    assert!(lines.0.contains(" 25 %"), "{}", lines.0);
    shares(&mut lines, &[share("A", 0)]);
}

#[test]
fn nothing_here_is_said_in_words() {
    let text = of(&Event::Versions {
        versions: Vec::new(),
    });
    assert_eq!(
        text,
        "Nothing is here yet. Publish a folder, or fetch a link.\n"
    );
}
