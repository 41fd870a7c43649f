//! What people say of datasets.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_node::store::{DataDir, Store};
use opendag_protocol::{
    DatasetId, RecordId,
    key::SecretKey,
    record::{SignedRecord, Statement, StatementFields, Subject},
};
use opendag_tests::{
    Node, Tree,
    world::{number, text},
};
use serde_json::Value;

use crate::common::{ensure_says, world};

/// How long what is said may take to come: catalogues are compared about once a minute.
const HEARD_MAX: Duration = Duration::from_secs(150);

fn reviews(node: &Node, link: &str) -> Result<Value> {
    let shown = node.run(["show", link])?.ok()?.event("versions")?;
    Ok(shown["versions"][0]["reviews"].clone())
}

/// How many people say something, and what each says, the newest first.
pub(crate) fn ensure_said(
    node: &Node,
    link: &str,
    mean: Option<f64>,
    ratings: &[u64],
) -> Result<()> {
    let reviews = reviews(node, link)?;
    let said: Vec<_> = reviews["newest"]
        .as_array()
        .context("reviews")?
        .iter()
        .filter_map(|review| review["opinion"]["rating"].as_u64())
        .collect();
    ensure!(said == ratings, "{reviews}");
    ensure!(number(&reviews, "count")? == u64::try_from(ratings.len())?);
    ensure!(reviews["mean"].as_f64() == mean, "{reviews}");
    Ok(())
}

#[test]
fn reviews_are_said_changed_taken_back_and_survive() -> Result<()> {
    let world = world()?;
    let (source, node) = (world.path("source"), world.node("reader"));
    Tree::new(91).file("x", 1000).write(&source)?;
    let published = node.publish(&source, "reviewed")?;
    let manifest = text(&published, "manifest")?;
    ensure_said(&node, "reviewed", None, &[])?;

    let why = world.path("why");
    fs::write(&why, "Clean.\r\nFew duplicates.\r\n")?;
    let why = why.to_string_lossy().into_owned();
    let by_file = ["review", "reviewed", "--rating", "2", "--file", &why];
    let said = node.run(by_file)?.ok()?.event("reviewed")?;
    ensure!(said["of_version"] == false, "{said}");
    // Said again in the same second, and by whom alone it counts.
    let again = [
        "review", "reviewed", "--rating", "5", "--text", "Mended.", "--tag", "clean",
    ];
    node.run(again)?.ok()?;
    ensure_said(&node, "reviewed", Some(5.0), &[5])?;
    node.run(["key", "new", "bob"])?.ok()?;
    let bob = ["--key", "bob"];
    let of_version = ["review", &manifest, "--rating", "2"];
    let said = node.run(of_version.iter().chain(&bob))?.ok()?;
    ensure!(said.event("reviewed")?["of_version"] == true);
    let reviews = reviews(&node, "reviewed")?;
    ensure!(reviews["mean"] == 3.5, "{reviews}");
    let texts = reviews["newest"].to_string();
    ensure!(
        texts.contains("Mended.") && !texts.contains("Few"),
        "{texts}"
    );

    node.run(["reindex"])?.ok()?;
    let ratings = |of: &Value| of["count"].as_u64();
    ensure!(ratings(&self::reviews(&node, "reviewed")?) == Some(2));
    node.run(["review", "rm", "reviewed"])?.ok()?;
    ensure_said(&node, "reviewed", Some(2.0), &[2])?;
    let nothing = node.run(["review", "rm", "reviewed"])?.code(2)?;
    ensure_says(&nothing, &["has said nothing"])?;
    node.run(["review", "rm", &manifest, "--key", "bob"])?
        .ok()?;
    ensure_said(&node, "reviewed", None, &[])?;
    node.run(["review", "reviewed", "--rating", "6"])?.code(2)?;
    node.run([
        "review",
        "reviewed",
        "--rating",
        "3",
        "--text",
        "a\u{202e}b",
    ])?
    .code(2)?;
    Ok(())
}

/// Waits until a node has heard one review of a dataset. Each look is a command of its own, so nothing spins.
fn until_heard(node: &Node, dataset: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        let shown = node.run(["show", dataset, "--timeout", "5s"])?;
        let heard = shown.event("versions");
        if heard.is_ok_and(|shown| shown["versions"][0]["reviews"]["count"] == 1) {
            return Ok(());
        }
        ensure!(start.elapsed() < HEARD_MAX, "no review was heard of");
    }
}

/// A statement about a dataset, of a type that no program knows.
fn unheard_of(subject: Subject) -> Result<SignedRecord> {
    let author = SecretKey::from_bytes(&[78; 32]);
    let words = "what nobody understands".to_owned().into();
    let said = Statement::new(StatementFields {
        kind: "x-unheard-of".to_owned(),
        author: author.public(),
        issued_at: opendag_tests::catalogue::now(),
        subject: Some(subject),
        expires_at: None,
        more: BTreeMap::from([("words".to_owned(), words)]),
    })?;
    Ok(SignedRecord::sign(&said.into(), &[&author])?)
}

/// Works on the store of a node that does not run.
fn in_store<T>(data_dir: &Path, work: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let store = Store::open(&DataDir::open(data_dir)?).await?;
        let worked = tokio::task::block_in_place(|| work(&store));
        store.shutdown().await?;
        worked
    })
}

#[test]
fn reviews_and_what_nobody_understands_reach_those_who_were_not_there() -> Result<()> {
    let world = world()?;
    let source = world.path("source");
    Tree::new(92).file("x", 1000).write(&source)?;
    let author = world.node("author");
    let dataset = text(&author.publish(&source, "reviewed")?, "dataset")?;
    author
        .run(["review", "reviewed", "--rating", "4", "--text", "Good."])?
        .ok()?;
    let subject = Subject::Record(RecordId::from(dataset.parse::<DatasetId>()?));
    let unknown = unheard_of(subject)?;
    in_store(author.data_dir(), |store| {
        store.put_statement(&unknown, opendag_tests::catalogue::now())?;
        Ok(())
    })?;
    let first = author.daemon::<&str>([])?;
    let relay = world.node("relay");
    let second = relay.daemon(["--bootstrap", first.address()?])?;
    until_heard(&relay, &dataset)?;
    first.stop()?;
    let late = world.node("late");
    let third = late.daemon(["--bootstrap", second.address()?])?;
    until_heard(&late, &dataset)?;
    ensure_said(&late, &dataset, Some(4.0), &[4])?;
    let shown = late.run(["show", &dataset])?.ok()?;
    let shown = format!("{}{}", shown.lines.join("\n"), shown.stderr);
    ensure!(!shown.contains("nobody understands"), "{shown}");
    third.stop()?;
    let kept = in_store(late.data_dir(), |store| Ok(store.statements(&subject)?))?;
    ensure!(kept.contains(&unknown), "it was not passed on");
    Ok(())
}
