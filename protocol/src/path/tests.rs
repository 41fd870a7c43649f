use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const VECTORS: &str = include_str!("../../../specs/vectors/paths.json");

#[derive(Deserialize)]
struct Vectors {
    accepted: Vec<String>,
    refused: Vec<Refused>,
    beside: Vec<Beside>,
}

#[derive(Deserialize)]
struct Refused {
    path: String,
    rule: String,
}

#[derive(Deserialize)]
struct Beside {
    paths: Vec<String>,
    error: Option<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

fn path(text: &str) -> DatasetPath {
    DatasetPath::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn rule(text: &str) -> Option<PathRule> {
    DatasetPath::parse(text).err().map(|error| error.rule())
}

fn check<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<(), SiblingError> {
    let mut check = SiblingCheck::new();
    paths
        .into_iter()
        .try_for_each(|text| check.push(&path(text)))
}

fn sibling_rule(error: &SiblingError) -> &'static str {
    match error {
        SiblingError::NotSorted { .. } => "NotSorted",
        SiblingError::Duplicate { .. } => "Duplicate",
        SiblingError::FileIsFolder { .. } => "FileIsFolder",
        SiblingError::Collision { .. } => "Collision",
    }
}

#[test]
fn p3_paths_follow_the_vectors() {
    let vectors = vectors();
    assert!(
        vectors.accepted.len() >= 20 && vectors.refused.len() >= 60 && vectors.beside.len() >= 20
    );
    for text in &vectors.accepted {
        assert_eq!(path(text).as_str(), text);
    }
    for refused in &vectors.refused {
        let found = rule(&refused.path).map(|rule| format!("{rule:?}"));
        assert_eq!(found.as_ref(), Some(&refused.rule), "{:?}", refused.path);
    }
    for beside in &vectors.beside {
        let found = check(beside.paths.iter().map(String::as_str)).err();
        let found = found.as_ref().map(sibling_rule);
        assert_eq!(found, beside.error.as_deref(), "{:?}", beside.paths);
    }
}

#[test]
fn p3_lengths_are_bounded_in_bytes() {
    let longest = format!(
        "{}/{}/{}/{}/a",
        "x".repeat(255),
        "y".repeat(255),
        "z".repeat(255),
        "w".repeat(254)
    );
    assert_eq!(longest.len(), 1024);
    assert_eq!(rule(&longest), None);
    assert_eq!(rule(&format!("{longest}b")), Some(PathRule::TooLong));
    assert_eq!(rule(&"x".repeat(256)), Some(PathRule::ComponentTooLong));
    assert_eq!(rule(&"ä".repeat(128)), Some(PathRule::ComponentTooLong));
    assert_eq!(rule(&"ä".repeat(127)), None);
    assert_eq!(rule(&"a/".repeat(1 << 20)), Some(PathRule::TooLong));
}

#[test]
fn p3_every_control_and_bidirectional_character_is_refused() {
    let forbidden = ('\0'..=char::MAX).filter(|c| {
        c.is_control()
            || ('\u{202A}'..='\u{202E}').contains(c)
            || ('\u{2066}'..='\u{2069}').contains(c)
    });
    let mut count = 0;
    for character in forbidden {
        count += 1;
        let error = DatasetPath::parse(&format!("a{character}b")).unwrap_err();
        assert!(
            !error.to_string().contains(character),
            "the message repeats {character:?}"
        );
    }
    assert_eq!(count, 65 + 9);
}

#[test]
fn messages_quote_little_of_a_strangers_text() {
    let error = DatasetPath::parse(&"\u{1b}[31m".repeat(1000)).unwrap_err();
    assert_eq!(error.rule(), PathRule::TooLong);
    assert!(error.to_string().len() < 1000, "{error}");
    assert!(!error.to_string().contains('\u{1b}'));
}

#[test]
fn parts_of_a_path_can_be_read() {
    let nested = path("a/b c/d.txt");
    assert_eq!(
        nested.components().collect::<Vec<_>>(),
        ["a", "b c", "d.txt"]
    );
    assert_eq!(
        (nested.folder(), nested.file_name()),
        (Some("a/b c"), "d.txt")
    );
    assert_eq!((path("d").folder(), path("d").file_name()), (None, "d"));
    assert!(check_component("my data").is_ok());
    assert_eq!(
        check_component("a/b").unwrap_err().rule(),
        PathRule::Separator
    );
    assert_eq!(
        check_component("..").unwrap_err().rule(),
        PathRule::DotComponent
    );
}

#[test]
fn p3_a_path_from_json_or_cbor_is_parsed() {
    assert!(serde_json::from_str::<DatasetPath>("\"a/../b\"").is_err());
    assert_eq!(
        serde_json::from_str::<DatasetPath>("\"a/b\"").unwrap(),
        path("a/b")
    );
    let bytes = serde_ipld_dagcbor::to_vec("../x").unwrap();
    assert!(serde_ipld_dagcbor::from_slice::<DatasetPath>(&bytes).is_err());
}

#[test]
fn p3_a_collision_is_found_however_far_apart() {
    let mut paths: Vec<String> = (0..5000).map(|n| format!("data/x{n:05}/file")).collect();
    paths.push("DATA/x".to_owned());
    paths.push("data/X04999/other".to_owned());
    paths.sort();
    assert!(matches!(
        check(paths.iter().map(String::as_str)),
        Err(SiblingError::Collision { .. })
    ));
    paths.retain(|text| text != "DATA/x");
    let error = check(paths.iter().map(String::as_str)).unwrap_err();
    assert_eq!(sibling_rule(&error), "Collision", "{error}");
    paths.retain(|text| !text.contains('X'));
    assert_eq!(check(paths.iter().map(String::as_str)), Ok(()));
}

#[test]
fn p6_sibling_check_forgets_folders_it_has_left() {
    let mut check = SiblingCheck::new();
    for n in 0..1_000_000 {
        check
            .push(&path(&format!("{:04}/{:07}", n / 1000, n)))
            .unwrap();
        assert!(check.files.len() == 1 && check.folders.len() == 2);
    }
    let remembered: usize = check.folders.iter().map(|folder| folder.names.len()).sum();
    assert_eq!(remembered, 1000 + 1000);
}

/// What [`SiblingCheck`] must find, said naively: over all pairs.
fn naive(paths: &[DatasetPath]) -> bool {
    let folded = |path: &DatasetPath, depth: usize| {
        path.components()
            .take(depth)
            .map(siblings::fold)
            .collect::<Vec<_>>()
    };
    let exact = |path: &DatasetPath, depth: usize| {
        path.components()
            .take(depth)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let clash = |a: &DatasetPath, b: &DatasetPath| {
        let (len_a, len_b) = (a.components().count(), b.components().count());
        let shared = len_a.min(len_b);
        let differ_in_case = (1..=shared).any(|depth| {
            exact(a, depth - 1) == exact(b, depth - 1)
                && exact(a, depth) != exact(b, depth)
                && folded(a, depth) == folded(b, depth)
        });
        differ_in_case || (len_a != len_b && exact(a, shared) == exact(b, shared))
    };
    paths
        .iter()
        .enumerate()
        .any(|(n, a)| paths.iter().skip(n + 1).any(|b| clash(a, b)))
}

proptest! {
    #[test]
    fn p3_an_accepted_path_stays_below_the_root(text in "\\PC{0,12}(/\\PC{0,12}){0,3}|[ab./\\\\:]{0,8}") {
        if let Ok(path) = DatasetPath::parse(&text) {
            prop_assert_eq!(path.as_str(), &text);
            prop_assert_eq!(DatasetPath::parse(path.as_str()), Ok(path.clone()));
            let native = std::path::Path::new(path.as_str());
            prop_assert!(native.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            prop_assert_eq!(native.components().count(), path.components().count());
            let json = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<DatasetPath>(&json).unwrap(), path);
        }
    }

    #[test]
    fn p3_siblings_are_judged_as_if_all_pairs_were_compared(
        texts in proptest::collection::btree_set("[aAb\u{df}s.-]{1,2}(/[aAb\u{e9}\u{c9}]{1,2}){0,2}", 0..12),
    ) {
        let paths: Vec<_> = texts.iter().filter_map(|text| DatasetPath::parse(text).ok()).collect();
        let mut check = SiblingCheck::new();
        let refused = paths.iter().any(|path| check.push(path).is_err());
        prop_assert_eq!(refused, naive(&paths), "{:?}", paths);
    }
}
