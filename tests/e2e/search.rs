//! Finding datasets by words and facets.

use std::fs;

use anyhow::{Result, ensure};
use opendag_tests::{Tree, world::Node};
use serde_json::Value;

use crate::common::{ensure_says, world};

/// The names of what a search finds, and its first hit.
fn found(node: &Node, words: &[&str]) -> Result<(Vec<String>, Value)> {
    let mut line = vec!["search"];
    line.extend(words);
    let outcome = node.run(line)?.ok()?;
    let mut hits = outcome.events()?;
    hits.retain(|event| event["event"] == "found");
    let name = |hit: &Value| hit["name"].as_str().unwrap_or_default().to_owned();
    let first = hits.first().cloned().unwrap_or_default();
    Ok((hits.iter().map(name).collect(), first))
}

fn ensure_found(node: &Node, words: &[&str], expected: &[&str]) -> Result<()> {
    let (names, _) = found(node, words)?;
    ensure!(names == expected, "{words:?} finds {names:?}");
    Ok(())
}

#[test]
fn what_was_published_is_found_at_once_with_and_without_a_daemon() -> Result<()> {
    let world = world()?;
    let node = world.node("node");
    let folder = Tree::new(900)
        .file("train/pictures_of_cats.bin", 100)
        .write(&world.path("cats"))?;
    fs::write(
        folder.join("README.md"),
        "Whiskers \u{1b}[31m were counted by hand.",
    )?;
    let source = folder.display().to_string();
    let publish = |name: &str, title: &str, license: &str| {
        let line = [
            "publish",
            &source,
            "--name",
            name,
            "--title",
            title,
            "--license",
            license,
            "--tag",
            "animals",
        ];
        node.run(line)?.ok().map(drop)
    };
    publish("cats", "Photographs of animals", "CC-BY-4.0")?;
    let all = |node: &Node| -> Result<()> {
        ensure_found(node, &["photograph"], &["cats"])?;
        ensure_found(node, &["whisker"], &["cats"])?;
        ensure_found(node, &["pictures_of"], &["cats"])?;
        ensure_found(node, &["license:cc-by-4.0", "anim"], &["cats"])?;
        ensure_found(node, &["license:mit", "anim"], &[])?;
        ensure_found(node, &["size:>1GB"], &[])
    };
    all(&node)?;
    let daemon = node.daemon::<&str>([])?;
    all(&node)?;
    publish("dogs", "中文图片数据集", "MIT")?;
    ensure_found(&node, &["图片数据"], &["dogs"])?;
    ensure_found(
        &node,
        &["animals", "updated:<1h", "--limit", "1", "--offset", "2"],
        &[],
    )?;
    // The next version takes the place of the first.
    publish("cats", "Felines", "CC-BY-4.0")?;
    ensure_found(&node, &["photograph"], &[])?;
    let (_, hit) = found(&node, &["whiskers", "license:cc-by-4.0"])?;
    ensure!(
        hit["title"] == "Felines" && hit["matched"][0] == "card",
        "{hit}"
    );
    let text = node.command(["search", "whiskers"]).output()?;
    let text = String::from_utf8(text.stdout)?;
    ensure!(text.contains("Whiskers \\u{1b}[31m were"), "{text}");
    daemon.stop()?;
    ensure_found(&node, &["felines"], &["cats"])?;
    // What is lost or damaged comes again by itself.
    let index = node.data_dir().join("index/search");
    fs::write(index.join("meta.json"), "{")?;
    ensure_found(&node, &["felines"], &["cats"])?;
    for file in fs::read_dir(&index)? {
        let path = file?.path();
        if path
            .extension()
            .is_some_and(|kind| kind == "term" || kind == "store")
        {
            fs::write(path, b"damaged")?;
        }
    }
    ensure_found(&node, &["felines"], &["cats"])?;
    fs::remove_dir_all(&index)?;
    node.run(["reindex"])?.ok()?;
    ensure_found(&node, &["felines"], &["cats"])
}

#[test]
fn a_query_that_is_none_is_refused_with_what_would_be_right() -> Result<()> {
    let world = world()?;
    let node = world.node("node");
    for (query, expected) in [
        ("licens:mit", "no facet \"licens:\""),
        ("size:10", "size:>10GB"),
        ("publisher:nobody", "publisher: \"nobody\" is neither"),
    ] {
        ensure_says(&node.run(["search", query])?.code(2)?, &[expected])?;
    }
    Ok(())
}
