use super::*;
use crate::Hash;

fn id(seed: u8) -> ManifestId {
    ManifestId::from_hash(Hash::from_bytes([seed; 32]))
}

fn called(seed: u8, sequence: u64, label: Option<&str>) -> Called<'_> {
    Called {
        manifest: id(seed),
        sequence,
        label,
    }
}

fn meaning(text: &str, versions: &[Called<'_>]) -> Meaning {
    let revision: Revision = text.parse().unwrap();
    revision.among(versions.iter().copied())
}

#[test]
fn a_version_has_a_label_a_number_an_id_and_a_commit() {
    let versions = [called(0xab, 0, Some("v1.0")), called(0xcd, 1, None)];
    for name in ["v1.0", "0", &id(0xab).to_string(), &commit(id(0xab))] {
        assert_eq!(meaning(name, &versions), Meaning::One(id(0xab)), "{name}");
    }
    assert_eq!(meaning("1", &versions), Meaning::One(id(0xcd)));
    assert_eq!(meaning("cdcdcdcd", &versions), Meaning::One(id(0xcd)));
    for none in [
        "v1",
        "2",
        "00",
        "+1",
        "V1.0",
        "cdcdcdc",
        "CDCDCDCD",
        &"cd".repeat(21),
    ] {
        assert_eq!(meaning(none, &versions), Meaning::None, "{none}");
    }
}

#[test]
fn what_several_versions_are_called_means_none_of_them_alone() {
    let several = |ids: &[u8]| Meaning::Several(ids.iter().map(|seed| id(*seed)).collect());
    let twice = [called(1, 0, Some("v1")), called(2, 1, Some("v1"))];
    assert_eq!(meaning("v1", &twice), several(&[1, 2]));
    assert_eq!(meaning("1", &twice), Meaning::One(id(2)));
    let number = [called(1, 0, Some("1")), called(2, 1, None)];
    assert_eq!(meaning("1", &number), several(&[1, 2]));
    let fork = [called(1, 4, None), called(2, 4, None)];
    assert_eq!(meaning("4", &fork), several(&[1, 2]));
    // One version that is called so in two ways is one.
    assert_eq!(
        meaning("7", &[called(1, 7, Some("7"))]),
        Meaning::One(id(1))
    );
}

#[test]
fn a_label_goes_before_the_beginning_of_a_commit() {
    let label = "cdcdcdcd";
    let versions = [called(0xcd, 0, None), called(1, 1, Some(label))];
    assert_eq!(meaning(label, &versions), Meaning::One(id(1)));
}

#[test]
fn the_nearest_names_come_first() {
    let revision: Revision = "v1.1".parse().unwrap();
    let names = ["final", "v2.0", "V1.10", "v1.0", "v1.0"];
    let nearest = revision.nearest(names.into_iter());
    assert_eq!(nearest, ["V1.10", "v1.0", "v2.0", "final"]);
    let many: Vec<String> = (0..100).map(|number| format!("v{number}")).collect();
    let nearest = revision.nearest(many.iter().map(String::as_str));
    assert_eq!(nearest.len(), REVISION_HINTS_MAX);
}

#[test]
fn the_longest_name_comes_first() {
    let ways: Vec<_> = split("a@b@v1").collect();
    assert_eq!(ways, [("a@b", "v1"), ("a", "b@v1")]);
    assert_eq!(split("data").count(), 0);
}

#[test]
fn texts_that_no_label_can_be_are_no_revisions() {
    for bad in ["", " v1", "v1\n", "\u{202e}v1", &"x".repeat(65)] {
        assert!(bad.parse::<Revision>().is_err(), "{bad:?}");
    }
    assert!("main".parse::<Revision>().unwrap().is_newest());
}
