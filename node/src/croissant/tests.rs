use opendag_protocol::{
    DatasetPath, Hash,
    schema::{Field, Kind, Type},
    table::FileFields,
};
use serde_json::Value;

use super::{records::record_set, *};

fn field(name: &str, ty: impl Into<Type>) -> Field {
    Field {
        name: name.to_owned(),
        ty: ty.into(),
        optional: false,
    }
}

fn file(path: &str, sha256: Option<[u8; 32]>) -> (ShardIndex, FileEntry) {
    let path = DatasetPath::parse(path).unwrap();
    let fields = FileFields::new(path, 1, Hash::of(b"x"));
    let entry = FileEntry::new(FileFields { sha256, ..fields }).unwrap();
    (ShardIndex(0), entry)
}

#[test]
fn each_folder_and_format_gets_its_share() {
    let digest = Some([0; 32]);
    let mut files: Vec<_> = (0..200)
        .map(|at| file(&format!("many/{at:03}.parquet"), digest))
        .collect();
    files.extend([
        file("many/a.jsonl", digest),
        file("many/unsummed.jsonl", None),
        file("other/a.parquet", digest),
        file("other/b.bin", digest),
    ]);
    let (chosen, all) = tables(&files);
    assert_eq!((chosen.len(), all), (TABLES_MAX, 202));
    let paths: Vec<_> = chosen
        .iter()
        .map(|table| table.entry.path().as_str())
        .collect();
    for path in [
        "many/000.parquet",
        "many/a.jsonl",
        "other/a.parquet",
        "many/061.parquet",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    assert!(!paths.contains(&"many/062.parquet"));
}

#[test]
fn fields_are_said_with_their_nesting() {
    let who = vec![
        field("name", Kind::Text),
        field("tags", Type::from(Kind::Text).listed()),
        field("home", Kind::Record(vec![field("city", Kind::Text)])),
        // A quote in a path cannot be said.
        field("a\"b", Kind::Text),
    ];
    let seen = Type::from(Kind::Record(vec![field("at", Kind::DateTime)]));
    let schema = Schema::new(vec![
        field("a/b c", Type::INTEGER),
        field("grid", Type::FLOAT.listed().listed()),
        field("who", Kind::Record(who)),
        field("seen", seen.clone().listed()),
        field("deep", seen.listed().listed()),
        field(
            "map",
            Kind::Map(vec![field("key", Kind::Text), field("value", Kind::Text)]),
        ),
        field("odd", Kind::Other),
    ])
    .unwrap();
    let set = record_set("x.jsonl", "x.jsonl", &schema).unwrap();
    assert_eq!(set["@id"], "x.jsonl#records");
    let description = set["description"].as_str().unwrap();
    assert!(
        description.ends_with("named here: deep, map, odd."),
        "{description}"
    );
    let fields = set["field"].as_array().unwrap();
    let find = |fields: &[Value], name: &str| {
        fields
            .iter()
            .find(|field| field["name"] == name)
            .unwrap()
            .clone()
    };
    let number = find(fields, "a/b c");
    assert_eq!(number["@id"], "x.jsonl#records/a%2Fb%20c");
    assert_eq!(number["dataType"], "sc:Integer");
    assert_eq!(number["source"]["extract"]["column"], "a/b c");
    assert_eq!(number["source"]["fileObject"]["@id"], "x.jsonl");
    let grid = find(fields, "grid");
    assert_eq!(
        (&grid["isArray"], &grid["arrayShape"]),
        (&true.into(), &"-1,-1".into())
    );
    let who = find(fields, "who");
    let parts = who["subField"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    let tags = find(parts, "tags");
    assert_eq!(tags["source"]["extract"]["column"], "who");
    assert_eq!(tags["source"]["transform"]["jsonPath"], "\"tags\"");
    assert_eq!(tags["isArray"], true);
    let city = find(find(parts, "home")["subField"].as_array().unwrap(), "city");
    assert_eq!(city["source"]["transform"]["jsonPath"], "\"home\".\"city\"");
    assert_eq!(find(fields, "seen")["isArray"], true);
    assert!(
        record_set(
            "x",
            "x",
            &Schema::new(vec![field("odd", Kind::Other)]).unwrap()
        )
        .is_none()
    );
}
