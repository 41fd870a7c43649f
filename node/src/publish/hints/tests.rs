use std::fs;

use super::*;
use crate::publish::walk::{Links, walk};

fn hints_of(request: &PublishRequest, files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let walk = walk(folder.path(), &globset::GlobSet::empty(), Links::Refuse).unwrap();
    let request = PublishRequest {
        path: folder.path().to_owned(),
        ..request.clone()
    };
    hints(&request, &walk)
}

const CARD: (&str, &str) = ("README.md", "---\nlicense: mit\n---\n# X\n");

#[test]
fn a_tidy_folder_needs_no_hint() {
    let none: Vec<String> = Vec::new();
    let request = PublishRequest::default();
    assert_eq!(
        hints_of(
            &request,
            &[CARD, ("a.csv", ""), ("b.csv", ""), ("x.bin", "")]
        ),
        none
    );
    let configs = (
        "README.md",
        "---\r\nconfigs:\r\n- data_files: a.csv\r\nlicense: mit\r\n---\r\n",
    );
    assert_eq!(
        hints_of(&request, &[configs, ("a.csv", ""), ("b.jsonl", "")]),
        none
    );
}

#[test]
fn each_hint_names_what_to_do() {
    let request = PublishRequest::default();
    let only = |hints: Vec<String>, part: &str| {
        assert!(hints.len() == 1 && hints[0].contains(part), "{hints:?}");
    };
    only(hints_of(&request, &[("a.csv", "")]), "--write-card");
    only(
        hints_of(&request, &[CARD, ("a.csv", ""), ("b.parquet", "")]),
        "(1 Parquet, 1 CSV)",
    );
    // Only the front matter counts.
    let loose = ("README.md", "# X\nlicense: mit\n");
    let request = PublishRequest {
        license: Some("CC-BY-4.0".to_owned()),
        ..request
    };
    only(hints_of(&request, &[loose]), "`license: cc-by-4.0`");
}

#[test]
fn files_that_clients_refuse_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("README.md"), CARD.1).unwrap();
    for name in ["b.bin", "c.bin"] {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
    }
    let walk = walk(folder.path(), &globset::GlobSet::empty(), Links::Refuse).unwrap();
    let hints = hints(&PublishRequest::default(), &walk);
    assert!(
        hints.len() == 1 && hints[0].starts_with("b.bin (and 1 others) has"),
        "{hints:?}"
    );
}
