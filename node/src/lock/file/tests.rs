use opendag_protocol::Hash;
use proptest::prelude::*;

use super::*;

fn entry(target: &str) -> Entry {
    Entry {
        name: "corpus".to_owned(),
        id: DatasetId::from_hash(Hash::of(b"dataset")),
        manifest: ManifestId::from_hash(Hash::of(b"manifest")),
        sequence: 3,
        label: Some("v1 \"final\"".to_owned()),
        target: target.to_owned(),
        include: vec!["train/**".to_owned()],
        exclude: Vec::new(),
    }
}

fn lock(targets: &[&str]) -> Lock {
    let mut lock = Lock::default();
    for target in targets {
        lock.put(entry(target)).unwrap();
    }
    lock
}

#[test]
fn the_order_of_locking_does_not_show() {
    let text = lock(&["data/b", "a"]).to_text().unwrap();
    assert_eq!(text, lock(&["a", "data/b"]).to_text().unwrap());
    assert_eq!(Lock::parse(&text).unwrap(), lock(&["a", "data/b"]));
    let id = entry("a").id;
    assert!(
        text.contains(&format!(
            "\n[[dataset]]\nname = \"corpus\"\nid = \"{id}\"\n"
        )),
        "{text}"
    );
    let empty = Lock::default().to_text().unwrap();
    assert_eq!(Lock::parse(&empty).unwrap(), Lock::default());
}

#[test]
fn p3_a_target_leads_down_and_into_nothing_that_hides() {
    for bad in [
        "",
        "/",
        "/tmp/x",
        ".",
        "..",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        "~/x\0",
        ".git/hooks",
        "a/.ssh",
        "C:/x",
        "a\\b",
        "CON",
        "a ",
        "\u{202e}a",
    ] {
        let mut lock = Lock::default();
        assert!(lock.put(entry(bad)).is_err(), "{bad:?}");
        let text = Lock {
            entries: [(bad.to_owned(), entry(bad))].into(),
        };
        assert!(Lock::parse(&text.to_text().unwrap()).is_err(), "{bad:?}");
    }
    assert!(
        lock(&["data/v1.0/x", "data/v1.0-b"])
            .put(entry("data"))
            .is_err()
    );
    assert!(lock(&["data"]).put(entry("data/x")).is_err());
}

#[test]
fn files_that_are_not_as_they_should_be_are_refused_with_a_reason() {
    let good = lock(&["a"]).to_text().unwrap();
    let refused = |from: &str, to: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        Lock::parse(&text).unwrap_err().to_string()
    };
    assert!(refused("version = 1", "version = 2").contains("version 2"));
    assert!(refused("version = 1", "").contains("version"));
    assert!(refused("version = 1", "version = 1\nmore = 1").contains("more"));
    assert!(refused("sequence = 3", "sequence = 3\nsecret = 1").contains("secret"));
    assert!(refused("sequence = 3", "sequence = -1").contains("-1"));
    assert!(refused("sequence = 3", "sequence = 9007199254740992").contains("range"));
    assert!(refused("name = \"corpus\"", "name = \"../x\"").contains("../x"));
    assert!(refused("id = \"bafyr4i", "id = \"bafkr4i").contains("id"));
    assert!(refused("manifest = ", "# ").contains("manifest"));
    assert!(refused("train/**", "train/[").contains("train/["));
    let twice = format!("{good}\n{}", good.split_once("version = 1").unwrap().1);
    assert!(
        Lock::parse(&twice)
            .unwrap_err()
            .to_string()
            .contains("lie in each other")
    );
    assert!(Lock::parse("\u{0}").is_err() && Lock::parse("[[dataset]]").is_err());
    assert!(Lock::parse(&"[".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        name in "[a-z][a-z0-9 é'-]{0,20}[a-z]",
        label in prop::option::of("[^\\p{C}\\s]{1,16}"),
        target in "[a-z][a-z0-9]{0,8}(/[a-z][a-z0-9]{0,8}){0,2}",
        sequence in 0..=SEQUENCE_MAX,
    ) {
        let mut lock = Lock::default();
        if lock.put(Entry { name, label, sequence, ..entry(&target) }).is_ok() {
            let text = lock.to_text().unwrap();
            prop_assert_eq!(Lock::parse(&text).unwrap(), lock);
        }
    }

    #[test]
    fn no_text_is_a_panic(text in "(version = 1\n)?(\\[\\[dataset\\]\\]\n)?[ -~\n]{0,200}") {
        let _ = Lock::parse(&text);
    }
}
