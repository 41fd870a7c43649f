use std::{fs, path::Path};

use super::*;
use crate::publish::walk::{Links, walk};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn write_into(folder: &Path, request: PublishRequest) -> (Result<Event, String>, Walk) {
    let exclude = GlobSet::empty();
    let mut walk = walk(folder, &exclude, Links::Refuse).unwrap();
    let path = folder.to_owned();
    let written = write(&PublishRequest { path, ..request }, &mut walk, &exclude);
    (written, walk)
}

#[test]
fn a_card_names_the_files_of_one_format() {
    let folder = folder(&[
        ("a.bin", ""),
        ("data/train-0.jsonl", "{\"x\":1}"),
        ("data/train-1.jsonl", "{\"x\":1}"),
        ("data/test-0.jsonl", "{\"x\":1}"),
        ("table.csv", "x\n1\n"),
    ]);
    let request = PublishRequest {
        name: "rows".to_owned(),
        title: Some("Some \"rows\"".to_owned()),
        license: Some("CC-BY-4.0".to_owned()),
        languages: vec!["en".to_owned()],
        description: Some("Text.".to_owned()),
        ..PublishRequest::default()
    };
    let (written, walk) = write_into(folder.path(), request);
    let Ok(Event::Card {
        path,
        configs,
        text,
    }) = written
    else {
        panic!("no card");
    };
    let expected = "---\nlicense: \"cc-by-4.0\"\npretty_name: \"Some \\\"rows\\\"\"\nlanguage:\n- \"en\"\n\
        configs:\n- config_name: \"default\"\n  data_files:\n\
        \x20 - split: train\n    path:\n    - \"data/train-*.jsonl\"\n\
        \x20 - split: test\n    path:\n    - \"data/test-0.jsonl\"\n\
        ---\n# Some \"rows\"\n\nText.\n";
    assert_eq!(text, expected);
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(configs, ["default"]);
    let paths: Vec<_> = walk.files.iter().map(|found| found.path.as_str()).collect();
    assert!(
        paths.is_sorted() && paths.contains(&"README.md"),
        "{paths:?}"
    );
}

#[test]
fn files_with_other_fields_are_a_config_of_their_own() {
    let folder = folder(&[
        ("a/0.csv", "x,y\n1,2\n"),
        ("a/1.csv", "y,x\n1,2\n"),
        ("b/users.csv", "name\na\n"),
        ("b/orders.csv", "price\n1\n"),
    ]);
    let (_, walk) = write_into(folder.path(), PublishRequest::default());
    let found = configs(&walk);
    let names: Vec<_> = found
        .iter()
        .map(|config| {
            (
                config.name.as_str(),
                config.splits[&configs::Split::Train].join(" "),
            )
        })
        .collect();
    let expected = [
        ("a", "a/*.csv".to_owned()),
        ("users", "b/users.csv".to_owned()),
        ("orders", "b/orders.csv".to_owned()),
    ];
    assert_eq!(names, expected);
}

#[test]
fn nothing_is_ever_replaced() {
    let folder = folder(&[("README.md", "mine"), ("a.csv", "x\n")]);
    let (written, walk) = write_into(folder.path(), PublishRequest::default());
    let why = written.unwrap_err();
    assert!(why.contains("left as it is"), "{why}");
    assert_eq!(
        fs::read_to_string(folder.path().join("README.md")).unwrap(),
        "mine"
    );
    assert_eq!(walk.files.len(), 2);
}
