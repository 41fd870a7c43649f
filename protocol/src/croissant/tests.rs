use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Hash;

fn read(value: &Value) -> Described {
    Described::read(value.to_string().as_bytes()).unwrap()
}

const SHA256: &str = "c617db2c7470716250f6f001be51304c76bcc8815527ab8bae734bdca0735737";

/// In the style of the examples of MLCommons.
fn titanic() -> Value {
    json!({
        "@context": { "@vocab": "https://schema.org/", "sc": "https://schema.org/" },
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "Titanic",
        "description": "The original Titanic dataset.\r\n\r\nFrom Vanderbilt. ",
        "license": "https://creativecommons.org/licenses/by-sa/4.0/",
        "url": "https://www.openml.org/d/40945",
        "version": "1.0.0",
        "keywords": ["survival", "ships"],
        "inLanguage": "en",
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": "passengers.csv", "name": "passengers.csv",
                "contentSize": "117743 B", "contentUrl": "data/titanic.csv",
                "encodingFormat": "text/csv", "sha256": SHA256,
            },
            {
                "@type": "cr:FileObject", "@id": "genders", "name": "genders",
                "contentUrl": "https://example.org/raw/a%20b.csv?download=1",
                "contentSize": "1.2 kB", "sha256": SHA256.to_uppercase(),
            },
            {
                "@type": "cr:FileObject", "@id": "old.zip", "name": "old.zip",
                "contentUrl": "https://example.org/old.zip", "md5": "d41d8cd98f00b204e9800998ecf8427e",
            },
            {
                "@type": "cr:FileSet", "@id": "images", "containedIn": { "@id": "old.zip" },
                "includes": "*.png",
            },
        ],
        "recordSet": [{ "@type": "cr:RecordSet", "name": "passengers", "field": [] }],
    })
}

/// In the style of the Hugging Face Hub.
fn hub() -> Value {
    json!({
        "@context": { "@vocab": "https://schema.org/" },
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "squad",
        "alternateName": ["rajpurkar/squad", "SQuAD"],
        "description": "Dataset Card for SQuAD",
        "license": "https://choosealicense.com/licenses/cc-by-sa-4.0/",
        "url": "https://huggingface.co/datasets/rajpurkar/squad",
        "keywords": "question-answering, English , cc-by-sa-4.0,,English",
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": "repo", "name": "repo",
                "description": "The Hugging Face git repository.",
                "contentUrl": "https://huggingface.co/datasets/rajpurkar/squad/tree/refs%2Fconvert%2Fparquet",
                "encodingFormat": "git+https",
                "sha256": "https://github.com/mlcommons/croissant/issues/80",
            },
            {
                "@type": "cr:FileSet", "@id": "parquet-files-for-config-plain_text",
                "containedIn": { "@id": "repo" }, "encodingFormat": "application/x-parquet",
                "includes": "plain_text/*/*.parquet",
            },
        ],
    })
}

#[test]
fn an_example_of_mlcommons_is_read() {
    let described = read(&titanic());
    assert_eq!(described.name.as_deref(), Some("Titanic"));
    assert_eq!(described.title, None);
    assert_eq!(
        described.description.as_deref(),
        Some("The original Titanic dataset.\n\nFrom Vanderbilt.")
    );
    assert_eq!(described.license.as_deref(), Some("CC-BY-SA-4.0"));
    assert_eq!(described.label.as_deref(), Some("1.0.0"));
    assert_eq!(described.tags, ["survival", "ships"]);
    assert_eq!(described.languages, ["en"]);
    let files = described.files.iter();
    let files: Vec<_> = files
        .map(|file| (file.path.as_str(), file.url.is_some(), file.size))
        .collect();
    assert_eq!(
        files,
        [
            ("a b.csv", true, None),
            ("data/titanic.csv", false, Some(117_743))
        ]
    );
    assert_eq!(described.files[0].sha256, described.files[1].sha256);
    let unfit: Vec<_> = described
        .unfit
        .iter()
        .map(|unfit| (unfit.name.as_str(), unfit.why))
        .collect();
    assert_eq!(unfit, [("old.zip", Why::Md5), ("images", Why::Set)]);
    assert!(described.remarks.is_empty(), "{:?}", described.remarks);
}

#[test]
fn a_document_of_the_hub_names_no_file_that_can_be_checked() {
    let described = read(&hub());
    assert_eq!(described.title.as_deref(), Some("rajpurkar/squad"));
    assert_eq!(described.license.as_deref(), Some("CC-BY-SA-4.0"));
    assert_eq!(
        described.tags,
        ["question-answering", "English", "cc-by-sa-4.0"]
    );
    assert!(described.files.is_empty());
    let why: Vec<_> = described.unfit.iter().map(|unfit| unfit.why).collect();
    assert_eq!(why, [Why::NoHash, Why::Set]);
}

#[test]
fn what_an_export_made_up_is_not_taken() {
    let id = ManifestId::from_hash(Hash::of(b"x"));
    let from = ManifestId::from_hash(Hash::of(b"y"));
    let own = json!({
        "@context": {},
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "identifier": format!("opendag:{id}"),
        "name": "corpus", "description": "Version 3 of the dataset corpus.",
        "url": format!("http://127.0.0.1:8480/d/{id}/"), "version": "3.0.0",
        "license": "MIT OR Apache-2.0",
        "prov:wasDerivedFrom": [{ "@id": format!("opendag:{from}") }, { "@id": "https://example.org" }],
    });
    let described = read(&own);
    assert_eq!(
        (described.description, described.homepage, described.label),
        (None, None, None)
    );
    assert_eq!(described.license.as_deref(), Some("MIT OR Apache-2.0"));
    assert_eq!(described.derived_from, [from]);
    let mut other = own.clone();
    other["description"] = "Version 3 of the dataset, mended.".into();
    assert!(read(&other).description.is_some());
    other["url"] = format!("opendag:{id}").into();
    assert_eq!(read(&other).homepage, None);
    other["url"] = "https://example.org".into();
    assert!(read(&other).homepage.is_some());
}

#[test]
fn licences_are_those_of_the_list_or_names_of_their_own() {
    for (said, expected) in [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("LicenseRef-own", "LicenseRef-own"),
        ("https://spdx.org/licenses/CC-BY-4.0", "CC-BY-4.0"),
        ("https://spdx.org/licenses/CC-BY-4.0.html", "CC-BY-4.0"),
        (
            "http://creativecommons.org/licenses/by-nc/3.0/legalcode",
            "CC-BY-NC-3.0",
        ),
        (
            "https://creativecommons.org/publicdomain/zero/1.0/",
            "CC0-1.0",
        ),
        (
            "https://www.apache.org/licenses/LICENSE-2.0.txt",
            "Apache-2.0",
        ),
        (
            "https://opensource.org/licenses/BSD-3-Clause",
            "BSD-3-Clause",
        ),
        ("https://opendatacommons.org/licenses/by/1-0/", "ODC-By-1.0"),
        ("odbl-1.0", "ODbL-1.0"),
        ("other", "LicenseRef-other"),
        (
            "https://example.org/Terms of use/",
            "LicenseRef-example.org-Terms-of-use",
        ),
        ("§", "LicenseRef-unnamed"),
    ] {
        let license = license::expression(said);
        assert_eq!(license, expected);
        spdx::Expression::parse(&license).unwrap();
    }
    let mut document = titanic();
    document["license"] = "https://example.org/terms".into();
    let described = read(&document);
    assert_eq!(described.remarks.len(), 1, "{:?}", described.remarks);
    document["license"] = json!(["MIT", "CC0-1.0"]);
    let described = read(&document);
    assert_eq!((described.license, described.remarks.len()), (None, 1));
    document["license"] =
        json!({ "@type": "CreativeWork", "name": "Own", "url": "https://spdx.org/licenses/MIT" });
    assert_eq!(read(&document).license.as_deref(), Some("MIT"));
}

#[test]
fn what_no_record_can_say_is_left_out_and_named() {
    let mut document = titanic();
    document["name"] = "org/Titanic".into();
    document["description"] = "\u{1b}[2J".into();
    document["keywords"] = json!(["x".repeat(65), "good", { "name": "tag" }]);
    document["url"] = "ftp://example.org".into();
    let described = read(&document);
    assert_eq!(described.name, None);
    assert_eq!(described.title.as_deref(), Some("org/Titanic"));
    assert_eq!((described.description, described.homepage), (None, None));
    assert_eq!(described.tags, ["good", "tag"]);
    assert_eq!(described.remarks.len(), 3, "{:?}", described.remarks);
}

#[test]
fn s9_paths_of_strangers_are_paths_of_datasets() {
    for (url, name, path) in [
        ("https://example.org/../../etc/passwd", "x", Some("passwd")),
        ("https://example.org/%2e%2e%2fpasswd", "x", None),
        ("https://example.org/a.csv", "../a.csv", None),
        ("https://example.org/a.csv", "b/a.csv", Some("b/a.csv")),
        ("../../etc/passwd", "x", None),
        ("/etc/passwd", "x", None),
        ("./a.csv", "x", Some("a.csv")),
        ("file:///etc/passwd", "x", None),
        ("https://example.org", "x", None),
        ("https://example.org/a\n out=/etc/b", "x", None),
        ("https://example.org/CON", "x", None),
    ] {
        let document = json!({
            "conformsTo": "http://mlcommons.org/croissant/1.1",
            "distribution": { "@type": "FileObject", "name": name, "contentUrl": url, "sha256": SHA256 },
        });
        let described = read(&document);
        let found = described.files.first().map(|file| file.path.as_str());
        assert_eq!(found, path, "{url}");
        assert_eq!(described.unfit.len(), usize::from(path.is_none()));
    }
}

#[test]
fn other_documents_are_refused() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut document = titanic();
        change(&mut document);
        Described::read(document.to_string().as_bytes()).unwrap_err()
    };
    for version in [
        json!("http://mlcommons.org/croissant/0.8"),
        json!(null),
        json!(1),
    ] {
        let error = refused(&|document| document["conformsTo"] = version.clone());
        assert!(matches!(error, CroissantError::Version { .. }), "{error}");
    }
    let twice = refused(&|document| {
        let files = document["distribution"].as_array_mut().unwrap();
        files.push(files[0].clone());
    });
    assert!(matches!(twice, CroissantError::SamePath { .. }), "{twice}");
    let many = refused(&|document| {
        document["distribution"] = json!(vec![0; CROISSANT_FILES_MAX + 1]);
    });
    assert!(matches!(many, CroissantError::TooManyFiles), "{many}");
    let large = vec![b' '; CROISSANT_BYTES_MAX + 1];
    assert!(matches!(
        Described::read(&large),
        Err(CroissantError::TooLarge)
    ));
    let text = titanic().to_string();
    for end in 0..text.len() {
        assert!(matches!(
            Described::read(&text.as_bytes()[..end]),
            Err(CroissantError::Form(_))
        ));
    }
    let deep = format!("{{\"@context\":{}", "[".repeat(100_000));
    assert!(Described::read(deep.as_bytes()).is_err());
    assert!(!looks_like(deep.as_bytes()) && looks_like(text.as_bytes()));
    assert!(!looks_like(b"{\"format\": \"opendag-manifest/1\"}"));
}

proptest! {
    #[test]
    fn whatever_a_document_says_a_record_can_say(
        text in "\\PC{0,40}", list in proptest::collection::vec("\\PC{0,80}", 0..4), number: u64,
    ) {
        let document = json!({
            "conformsTo": "http://mlcommons.org/croissant/1.1",
            "name": text, "alternateName": list, "description": { "@value": text },
            "license": text, "url": text, "version": number, "keywords": list, "inLanguage": list,
            "distribution": [{ "@type": text, "sha256": SHA256 },
                { "@type": "FileObject", "contentUrl": text, "name": text, "contentSize": text, "sha256": SHA256 }],
        });
        let described = read(&document);
        let owners = crate::testing::first_record(&[1], 1);
        let fields = crate::record::ManifestFields {
            label: described.label,
            title: described.title,
            description: described.description,
            license: described.license,
            languages: described.languages,
            tags: described.tags,
            homepage: described.homepage,
            ..crate::testing::manifest_fields(&owners, 0, None)
        };
        prop_assert!(crate::record::Manifest::new(fields).is_ok());
    }
}
