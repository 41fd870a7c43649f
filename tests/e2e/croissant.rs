//! A version as Croissant: at a gateway that holds nothing, and as a file beside what was fetched.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    http::request,
    world::{COMMAND_TIME_MAX, text},
};
use serde_json::Value;

use crate::common::{ensure_says, world};

const LINES: &str = "{\"id\": 1, \"who\": {\"name\": \"a\"}}\n{\"id\": 2}\n";

/// A folder with a small table, one whose name needs care, and one far larger than its first lines.
fn folder(source: &Path) -> Result<()> {
    fs::create_dir_all(source.join("odd"))?;
    fs::write(source.join("README.md"), "---\nlicense: mit\n---\n")?;
    fs::write(source.join("rows.jsonl"), LINES)?;
    fs::write(source.join("odd/a b+c%.csv"), "name,price\na,1.5\n")?;
    let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(1000));
    fs::write(source.join("large.jsonl"), line.repeat(30_000))?;
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(path).output()?;
    let text = String::from_utf8(output.stdout)?;
    let digest = text.trim_start_matches('\\').split(' ').next();
    Ok(digest.context("a digest")?.to_owned())
}

/// The entry of a list that is called so.
fn named<'a>(list: &'a Value, name: &str) -> Result<&'a Value> {
    let mut entries = list.as_array().context("a list")?.iter();
    let found = entries.find(|entry| entry["name"] == name);
    found.with_context(|| format!("no {name} in {list}"))
}

#[test]
fn a_gateway_describes_what_it_does_not_hold() -> Result<()> {
    let world = world()?;
    let source = world.path("source");
    folder(&source)?;
    let seed = world.node("author");
    let options = [
        "--name",
        "rows",
        "--license",
        "CC-BY-4.0",
        "--label",
        "v1.2",
    ];
    let path = source.to_str().context("a path in UTF-8")?;
    let published = seed
        .run([&["publish", path][..], &options].concat())?
        .ok()?;
    let published = published.event("published")?;
    let (dataset, manifest) = (text(&published, "dataset")?, text(&published, "manifest")?);
    let seed = seed.daemon::<&str>([])?;
    let args = ["--gateway", "127.0.0.1:0", "--bootstrap", seed.address()?];
    let gateway = world.node("gateway").daemon(args)?;
    let url = text(&gateway.ready, "gateway")?;

    let route = format!("/api/datasets/opendag/{dataset}/croissant");
    let answer = request(&url, "GET", &route, &[], "")?;
    ensure!(answer.status == 200, "{}", answer.head);
    ensure!(answer.head.contains("content-type: application/ld+json"));
    ensure!(answer.head.contains("x-content-type-options: nosniff"));
    let document: Value = serde_json::from_slice(&answer.body)?;
    ensure!(document["conformsTo"] == "http://mlcommons.org/croissant/1.1");
    ensure!(document["license"] == "https://spdx.org/licenses/CC-BY-4.0");
    ensure!(document["version"] == "1.2");
    ensure!(document["identifier"] == format!("opendag:{manifest}"));
    ensure!(
        document.get("comment").is_none(),
        "left out: {}",
        document["comment"]
    );
    for name in ["README.md", "rows.jsonl", "odd/a b+c%.csv", "large.jsonl"] {
        let file = named(&document["distribution"], name)?;
        ensure!(file["sha256"] == sha256(&source.join(name))?, "{file}");
    }
    // Only the beginning of the large file came.
    let kept = opendag_tests::tree::paths(gateway.node().data_dir())?;
    let large = kept.iter().filter_map(|path| fs::metadata(path).ok());
    let on_disk: u64 = large
        .filter(fs::Metadata::is_file)
        .map(|it| allocated(&it))
        .sum();
    ensure!(
        on_disk < 12_000_000,
        "{on_disk} bytes on disk for the first lines"
    );
    let file = named(&document["distribution"], "odd/a b+c%.csv")?;
    let at = text(file, "contentUrl")?;
    let at = at.strip_prefix(&url).context("a URL of this gateway")?;
    let bytes = request(&url, "GET", at, &[], "")?;
    ensure!(bytes.status == 200 && bytes.body == fs::read(source.join("odd/a b+c%.csv"))?);

    let rows = named(&document["recordSet"], "rows.jsonl")?;
    ensure!(named(&rows["field"], "id")?["dataType"] == "sc:Integer");
    let who = named(&rows["field"], "who")?;
    ensure!(named(&who["subField"], "name")?["dataType"] == "sc:Text");
    let table = named(&document["recordSet"], "odd/a b+c%.csv")?;
    ensure!(named(&table["field"], "price")?["dataType"] == "sc:Float");
    ensure!(table["@id"] == "odd/a%20b%2Bc%25.csv#records");

    // It is kept: the same comes without the seed.
    seed.stop()?;
    let again = request(&url, "GET", &route, &[], "")?;
    ensure!(again.status == 200 && again.body == answer.body);
    let unknown = request(
        &url,
        "GET",
        "/api/datasets/opendag/unknown/croissant",
        &[],
        "",
    )?;
    ensure!(unknown.status == 404, "{}", unknown.head);
    gateway.stop()?;
    Ok(())
}

fn allocated(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.blocks() * 512
}

#[test]
fn a_description_is_exported_beside_the_files() -> Result<()> {
    let world = world()?;
    let source = world.path("source");
    folder(&source)?;
    let node = world.node("author");
    let manifest = text(&node.publish(&source, "rows")?, "manifest")?;
    let (out, export) = (world.path("croissant.json"), ["manifest", "export", "rows"]);
    let croissant = [
        "--format",
        "croissant",
        "-o",
        out.to_str().context("UTF-8")?,
    ];
    node.run([&export[..], &croissant].concat())?.ok()?;
    let document: Value = serde_json::from_slice(&fs::read(&out)?)?;
    let file = named(&document["distribution"], "odd/a b+c%.csv")?;
    ensure!(file["contentUrl"] == "odd/a b+c%.csv", "{file}");
    ensure!(document["recordSet"].as_array().map(Vec::len) == Some(3));

    let gateway = ["--format", "croissant", "--gateway", "http://127.0.0.1:1/"];
    let printed = node.run([&export[..], &gateway].concat())?.ok()?;
    let document: Value = serde_json::from_str(&printed.lines.join("\n"))?;
    let file = named(&document["distribution"], "rows.jsonl")?;
    ensure!(file["contentUrl"] == format!("http://127.0.0.1:1/d/{manifest}/rows.jsonl"));

    // What exists is not replaced; a gateway has a URL, and records none.
    for (options, code) in [
        (&croissant[..], 1),
        (&["--format", "croissant", "--gateway", "here"], 2),
        (&["--gateway", "http://127.0.0.1:1"], 2),
    ] {
        let refused = node.run([&export[..], options].concat())?;
        ensure!(
            refused.code == Some(code),
            "{options:?}: {:?}",
            refused.code
        );
    }
    Ok(())
}

/// What `manifest export --format croissant` says comes back, equal in all that a manifest can say.
#[test]
fn a_description_of_our_own_becomes_the_same_version_again() -> Result<()> {
    let world = world()?;
    let source = world.path("source");
    folder(&source)?;
    let author = world.node("author");
    let path = source.to_str().context("UTF-8")?;
    let first = text(&author.publish(&source, "rows")?, "manifest")?;
    let options = [
        "--name=rows",
        "--license=MIT OR Apache-2.0",
        "--title=Rows & more",
        "--description=Some\n\nlines.",
        "--language=en",
        "--tag=text",
        "--homepage=https://example.org/",
        "--derived-from",
        &first,
    ];
    author
        .run([&["publish", path][..], &options].concat())?
        .ok()?;
    let document = world.path("croissant.json");
    let document = document.to_str().context("UTF-8")?;
    let export = ["manifest", "export", "rows", "--format", "croissant"];
    author
        .run([&export[..], &["-o", document]].concat())?
        .ok()?;

    let other = world.node("other");
    let listed = other.run(["manifest", "import", document])?.ok()?;
    let listed = listed.event("sources")?;
    ensure!(
        listed["files"].as_array().map(Vec::len) == Some(4),
        "{listed}"
    );

    // Others' files beside them stay out.
    fs::write(source.join("note.txt"), "not described")?;
    let draft = world.path("rows.draft");
    let draft = draft.to_str().context("UTF-8")?;
    let import = ["manifest", "import", document, "--files", path, "-o", draft];
    let made = other.run(import)?.ok()?.event("draft")?;
    ensure!(
        made["signed_by"].as_array().is_some_and(Vec::is_empty),
        "{made}"
    );
    other.run(["sign", draft])?.ok()?;
    other.run(["publish", "--finish", draft])?.ok()?;
    let shown = |node: &opendag_tests::Node| -> Result<Value> {
        let shown = node.run(["show", "rows"])?.ok()?.event("versions")?;
        Ok(shown["versions"][0].clone())
    };
    let (ours, theirs) = (shown(&author)?, shown(&other)?);
    for field in [
        "name",
        "title",
        "description",
        "license",
        "languages",
        "tags",
        "homepage",
        "derived_from",
        "files",
        "bytes",
    ] {
        ensure!(ours[field] == theirs[field], "{field}: {ours} {theirs}");
    }
    ensure!(
        ours["dataset"] != theirs["dataset"],
        "another owner has another dataset"
    );
    Ok(())
}

/// Descriptions of others: what they need is listed for aria2, and only what they name becomes a draft.
#[test]
fn p2_a_description_of_others_becomes_a_draft_of_exactly_its_files() -> Result<()> {
    let world = world()?;
    let (files, node) = (world.path("files"), world.node("reader"));
    fs::create_dir_all(files.join("data"))?;
    fs::write(files.join("data/titanic.csv"), "name,survived\na,1\n")?;
    fs::write(files.join("b c.csv"), "name\na\n")?;
    let file = |name: &str, url: &str, on_disk: &str| -> Result<Value> {
        let sha256 = sha256(&files.join(on_disk))?;
        Ok(serde_json::json!({
            "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": url, "sha256": sha256,
        }))
    };
    let mut document = serde_json::json!({
        "@context": { "@vocab": "https://schema.org/" },
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "org/Titanic",
        "license": "https://example.org/terms",
        "distribution": [
            file("passengers", "data/titanic.csv", "data/titanic.csv")?,
            file("b c.csv", "https://example.org/raw/b%20c.csv", "b c.csv")?,
            { "@type": "cr:FileObject", "name": "old.zip", "contentUrl": "https://example.org/old.zip", "md5": "00" },
            { "@type": "cr:FileSet", "name": "images", "includes": "*.png" },
        ],
    });
    let path = world.path("croissant.json");
    let at = path.to_str().context("UTF-8")?;
    let folder = files.to_str().context("UTF-8")?;
    fs::write(&path, document.to_string())?;
    let command = node.command(["manifest", "import", at]);
    let listed = opendag_tests::Running::start("import", command)?
        .finish(COMMAND_TIME_MAX)?
        .ok()?;
    let sum = sha256(&files.join("b c.csv"))?;
    let expected = [
        "https://example.org/raw/b%20c.csv",
        " out=b c.csv",
        &format!(" checksum=sha-256={sum}"),
        "# data/titanic.csv lies beside the description",
    ];
    ensure!(listed.lines == expected, "{:#?}", listed.lines);
    ensure_says(
        &listed,
        &[
            "old.zip",
            "MD5",
            "images",
            "file set",
            "LicenseRef-example.org-terms",
        ],
    )?;

    let draft = world.path("draft");
    let draft = draft.to_str().context("UTF-8")?;
    let import = ["manifest", "import", at, "--files", folder, "-o", draft];
    // Its name has a slash.
    ensure_says(&node.run(import)?.code(2)?, &["--name"])?;
    let import = [&import[..], &["--name", "titanic"]].concat();
    let refused = |code: i32, words: &[&str]| -> Result<()> {
        ensure_says(&node.run(&import)?.code(code)?, words)?;
        ensure!(!Path::new(draft).exists(), "a draft in spite of it");
        Ok(())
    };
    fs::rename(files.join("b c.csv"), files.join("away"))?;
    refused(2, &["1 of the described files", "b c.csv"])?;
    fs::write(files.join("b c.csv"), "name\nb\n")?;
    refused(4, &["b c.csv", "another SHA-256"])?;
    fs::remove_file(files.join("b c.csv"))?;
    std::os::unix::fs::symlink(files.join("away"), files.join("b c.csv"))?;
    refused(2, &["symbolic link"])?;
    fs::rename(files.join("away"), files.join("b c.csv"))?;
    let made = node.run(&import)?.ok()?.event("draft")?;
    ensure!(
        made["version"]["files"] == 2 && made["name"] == "titanic",
        "{made}"
    );

    // What names no file that can be checked, and what is of another version, becomes nothing.
    for (field, value, words) in [
        (
            "distribution",
            serde_json::json!([]),
            "describes no file with a SHA-256",
        ),
        (
            "conformsTo",
            "http://mlcommons.org/croissant/2.0".into(),
            "not to Croissant 1.0 or 1.1",
        ),
    ] {
        document[field] = value;
        fs::write(&path, document.to_string())?;
        ensure_says(&node.run(["manifest", "import", at])?.code(2)?, &[words])?;
    }
    Ok(())
}
