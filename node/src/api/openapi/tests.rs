use std::{collections::BTreeSet, fs, path::Path};

use super::*;

/// When this variable is set, the kept document is written anew.
const REWRITE: &str = "OPENDAG_WRITE_SPECS";

fn kept() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/openapi.json")
}

#[test]
fn the_kept_document_is_that_of_the_code() {
    if std::env::var_os(REWRITE).is_some() {
        fs::write(kept(), &*TEXT).unwrap();
    }
    let text = fs::read_to_string(kept()).unwrap_or_default();
    let same = text == *TEXT;
    assert!(
        same,
        "specs/openapi.json is not what the code says; write it anew with:\n\
         {REWRITE}=1 cargo test -p opendag-node the_kept_document"
    );
}

/// Every operation that the API takes, by the name in its path, as serde knows them.
fn names_of(known: &str) -> BTreeSet<&str> {
    let (_, list) = known.split_once("expected one of ").unwrap();
    let list = list.split(" at line").next().unwrap();
    list.split(", ")
        .map(|name| name.trim_matches('`'))
        .collect()
}

#[test]
fn all_operations_and_events_are_described() {
    let document = document();
    let unknown = serde_json::from_value::<Operation>(json!({ "op": "?" })).unwrap_err();
    let unknown = unknown.to_string();
    let operations = names_of(&unknown);
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<_> = paths
        .iter()
        .filter(|(_, path)| path.get("post").is_some())
        .filter_map(|(path, _)| path.strip_prefix("/v1/"))
        .collect();
    assert_eq!(described, operations);
    assert!(operations.contains("publish"), "{operations:?}");
    for (path, item) in paths {
        for operation in item.as_object().unwrap().values() {
            for field in ["summary", "description", "operationId"] {
                let text = operation[field].as_str().unwrap_or_default();
                assert!(
                    !text.is_empty() && !text.starts_with("See "),
                    "{path}: {field}"
                );
            }
        }
    }
    let unknown = serde_json::from_value::<Event>(json!({ "event": "?" })).unwrap_err();
    let unknown = unknown.to_string();
    let events: BTreeSet<_> = all(&document["components"]["schemas"]["Event"])
        .iter()
        .map(|event| event["properties"]["event"]["const"].as_str().unwrap())
        .collect();
    assert_eq!(events, names_of(&unknown));
}

#[test]
fn all_fields_are_described_and_all_references_lead_somewhere() {
    let document = document();
    let mut rest = vec![("#".to_owned(), &document)];
    let mut seen = 0;
    while let Some((at, value)) = rest.pop() {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            let found = document.pointer(target.trim_start_matches('#'));
            assert!(found.is_some(), "{at} refers to {target}");
        }
        match value {
            Value::Object(fields) => {
                if let Some(whole) = at.strip_suffix("/properties") {
                    // A variant that is told by its one field is described as a whole.
                    let whole = document.pointer(whole.trim_start_matches('#'));
                    let whole = whole.and_then(|whole| whole.get("description"));
                    let is_one = fields.len() == 1 && whole.is_some();
                    for (name, field) in fields {
                        // What an event or operation is told by, too.
                        let is_tag = field.get("const").is_some();
                        let is_described = field.get("description").is_some();
                        assert!(is_tag || is_one || is_described, "{at}/{name}");
                        seen += 1;
                    }
                }
                rest.extend(
                    fields
                        .iter()
                        .map(|(name, value)| (format!("{at}/{name}"), value)),
                );
            }
            Value::Array(values) => {
                let numbered = values.iter().enumerate();
                rest.extend(numbered.map(|(number, value)| (format!("{at}/{number}"), value)));
            }
            Value::String(text) => {
                let is_plain = !text.contains("[`") && !text.contains("::");
                assert!(is_plain, "{at} links to code: {text}");
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    assert!(seen > 100, "{seen}");
}
