//! A version as Croissant: at a gateway that holds nothing, and as a file beside what was fetched.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use opendag_tests::{http::request, world::text};
use serde_json::Value;

use crate::common::world;

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
