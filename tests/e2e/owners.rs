//! Datasets of several owners: signatures gathered as files, owners that come and go.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Finished, Tree, World,
    world::{Node, number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, ensure_says, world};

/// How long a daemon may take to sign a head again that is due.
const RENEWED_MAX: Duration = Duration::from_secs(60);

/// The public key with which a node publishes.
fn public(node: &Node) -> Result<String> {
    let keys = node.run(["key", "list"])?.ok()?.event("keys")?;
    text(&keys["keys"][0], "public")
}

/// Three data directories on what could be three machines, and their shared inbox.
struct Owners {
    world: World,
    nodes: [Node; 3],
    keys: [String; 3],
    folder: PathBuf,
}

impl Owners {
    /// A published dataset of three owners, two of whom must sign.
    fn two_of_three(seed: u64) -> Result<Self> {
        let world = world()?;
        let nodes = ["one", "two", "three"].map(|name| world.node(name));
        let folder = Tree::interesting(seed).write(&world.path("folder"))?;
        nodes[0].publish(&folder, "data")?;
        for node in &nodes[1..] {
            node.run(["key", "new", "default"])?.ok()?;
        }
        let keys = [public(&nodes[0])?, public(&nodes[1])?, public(&nodes[2])?];
        for key in &keys[1..] {
            nodes[0].run(["owners", "add", "data", key])?.ok()?;
        }
        // Two of the new owners must agree that two must sign.
        let refused = nodes[0]
            .run(["owners", "threshold", "data", "2"])?
            .code(4)?;
        ensure_says(&refused, &["--draft"])?;
        let owners = Self {
            world,
            nodes,
            keys,
            folder,
        };
        let draft = owners.file("threshold");
        owners.nodes[0]
            .run(["owners", "threshold", "data", "2", "--draft", &draft])?
            .ok()?;
        owners.nodes[1].run(["sign", &draft])?.ok()?;
        let rotated = owners.finish(0, &[&draft])?.ok()?.event("rotated")?;
        ensure!(number(&rotated, "threshold")? == 2, "{rotated}");
        Ok(owners)
    }

    fn file(&self, name: &str) -> String {
        self.world.path(name).display().to_string()
    }

    fn finish(&self, node: usize, files: &[&str]) -> Result<Finished> {
        let line = ["publish", "--finish"].iter().chain(files);
        self.nodes[node].run(line)
    }

    fn draft(&self, name: &str) -> Result<(String, Value)> {
        let file = self.file(name);
        let folder = self.folder.display().to_string();
        let line = ["publish", &folder, "--name", "data", "--draft", &file];
        let draft = self.nodes[0].run(line)?.ok()?.event("draft")?;
        Ok((file, draft))
    }
}

fn copy(from: &str, to: &str) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{from} to {to}"))?;
    Ok(())
}

/// Fetches as somebody who never heard of the dataset.
fn ensure_a_stranger_gets(world: &World, from: &Node, dataset: &str, folder: &Path) -> Result<()> {
    let daemon = from.daemon::<&str>([])?;
    let output = world.path("stranger-output");
    world
        .node("stranger")
        .fetch(dataset, &output, &["--peer", daemon.address()?])?
        .ok()?;
    ensure_equal(folder, &output)?;
    daemon.stop()?;
    Ok(())
}

/// The second version, signed on three machines in whatever order, with copies that part and meet again.
fn publish_second(owners: &Owners) -> Result<Value> {
    let [one, two, three] = &owners.nodes;
    fs::write(owners.folder.join("second"), b"2")?;
    let (draft, drafted) = owners.draft("second.draft")?;
    ensure!(drafted["kind"] == "version", "{drafted}");
    ensure!(number(&drafted["version"], "sequence")? == 1, "{drafted}");
    ensure!(drafted["signed_now"] == serde_json::json!([owners.keys[0]]));
    ensure!(number(&drafted["missing"][0], "count")? == 1, "{drafted}");
    let alone = owners.finish(0, &[&draft])?.code(4)?;
    ensure_says(&alone, &["signature", &owners.keys[1], &owners.keys[2]])?;
    let (for_two, for_three) = (owners.file("for-two"), owners.file("for-three"));
    copy(&draft, &for_two)?;
    copy(&draft, &for_three)?;
    let shown = two
        .run(["sign", &for_two, "--show"])?
        .ok()?
        .event("draft")?;
    ensure!(shown["signed_now"] == serde_json::json!([]), "{shown}");
    let signed = two.run(["sign", &for_two])?.ok()?.event("draft")?;
    ensure!(signed["signed_now"] == serde_json::json!([owners.keys[1]]));
    ensure!(signed["missing"] == serde_json::json!([]), "{signed}");
    three.run(["sign", &for_three])?.ok()?;
    let published = owners
        .finish(0, &[&draft, &for_three, &for_two])?
        .ok()?
        .event("published")?;
    ensure!(number(&published, "sequence")? == 1, "{published}");
    ensure!(published["license"] == "CC0-1.0", "{published}");
    one.run(["verify", "data"])?.ok()?;
    Ok(published)
}

#[test]
fn two_of_three_owners_publish_and_part() -> Result<()> {
    let owners = Owners::two_of_three(301)?;
    let [one, two, three] = &owners.nodes;

    let published = publish_second(&owners)?;
    let dataset = text(&published, "dataset")?;

    // The second owner goes: the others agree, and what was drafted with it before comes too late.
    fs::write(owners.folder.join("third"), b"3")?;
    let (late, _) = owners.draft("late.draft")?;
    let change = owners.file("change.draft");
    let line = [
        "owners",
        "remove",
        "data",
        &owners.keys[1],
        "--draft",
        &change,
    ];
    let drafted = one.run(line)?.ok()?.event("draft")?;
    let before = drafted["owners_before"]["keys"].as_array().map(Vec::len);
    let after = drafted["owners_after"]["keys"].as_array().map(Vec::len);
    ensure!((before, after) == (Some(3), Some(2)), "{drafted}");
    three.run(["sign", &change])?.ok()?;
    // It is finished where the files are not: the machine does not matter.
    let rotated = owners.finish(2, &[&change])?.ok()?.event("rotated")?;
    ensure!(rotated["dataset"] == dataset.as_str(), "{rotated}");
    owners.finish(0, &[&change])?.ok()?;
    three.run(["sign", &late])?.code(4)?;
    let refused = owners.finish(0, &[&late])?.code(4)?;
    ensure_says(&refused, &["owners", "changed"])?;

    // Who went has no say any more.
    let (third, _) = owners.draft("third.draft")?;
    let refused = two.run(["sign", &third])?.code(4)?;
    ensure_says(&refused, &["has a say", &owners.keys[2]])?;
    three.run(["sign", &third])?.ok()?;
    let published = owners.finish(0, &[&third])?.ok()?.event("published")?;
    ensure!(number(&published, "sequence")? == 2, "{published}");
    ensure!(published["dataset"] == dataset.as_str(), "{published}");

    let shown = one.run(["owners", "show", "data"])?.ok()?.event("owners")?;
    let records = shown["records"].as_array().map(Vec::len);
    ensure!(records == Some(5), "{shown}");
    ensure!(shown["here"][0]["name"] == "default", "{shown}");
    ensure_a_stranger_gets(&owners.world, one, &dataset, &owners.folder)
}

#[test]
fn a_draft_that_was_overtaken_or_spoiled_is_refused() -> Result<()> {
    let owners = Owners::two_of_three(302)?;
    let [one, two, _] = &owners.nodes;
    fs::write(owners.folder.join("a"), b"a")?;
    let (first, _) = owners.draft("first.draft")?;
    fs::write(owners.folder.join("b"), b"b")?;
    let (second, _) = owners.draft("second.draft")?;
    // What is not the same draft is not merged.
    owners.finish(0, &[&first, &second])?.code(4)?;
    two.run(["sign", &second])?.ok()?;
    owners.finish(0, &[&second])?.ok()?;
    let refused = one.run(["sign", &first])?.code(4)?;
    ensure_says(&refused, &["version 1", "again"])?;

    // The files are no longer those that were signed.
    fs::write(owners.folder.join("c"), b"c")?;
    let (third, _) = owners.draft("third.draft")?;
    two.run(["sign", &third])?.ok()?;
    fs::write(owners.folder.join("c"), b"changed")?;
    let refused = owners.finish(0, &[&third])?.code(4)?;
    ensure_says(&refused, &["changed", "--draft"])?;
    fs::write(owners.folder.join("c"), b"c")?;
    owners.finish(0, &[&third])?.ok()?;

    // A draft never replaces a file, and what is none is told.
    let folder = owners.folder.display().to_string();
    let line = ["publish", &folder, "--name", "data", "--draft", &third];
    one.run(line)?.code(2)?;
    one.run(["sign", "/no/such/draft"])?.code(2)?;
    let noise = owners.file("noise");
    for bytes in [
        &b""[..],
        b"opendag-draft/1\nAAAA\n",
        b"opendag-draft/9\n",
        &[7; 5000],
    ] {
        fs::write(&noise, bytes)?;
        let refused = one.run(["sign", &noise])?.code(4)?;
        ensure_says(&refused, &["noise"])?;
    }
    // A signature that does not hold.
    let mut broken = fs::read(&third)?;
    let last = broken.len() - 30;
    broken[last] = if broken[last] == b'A' { b'B' } else { b'A' };
    fs::write(&noise, broken)?;
    one.run(["sign", &noise])?.code(4)?;
    Ok(())
}

#[test]
fn owners_are_added_and_removed_by_one_who_may() -> Result<()> {
    let world = world()?;
    let folder = Tree::new(303).file("x", 10).write(&world.path("folder"))?;
    let node = world.node("publisher");
    node.publish(&folder, "data")?;
    node.run(["key", "new", "second"])?.ok()?;
    node.run(["owners", "remove", "data", "second"])?.code(2)?;
    node.run(["owners", "remove", "data", "default"])?.code(2)?;
    node.run(["owners", "add", "data", "second"])?.ok()?;
    node.run(["owners", "add", "data", "second"])?.code(2)?;
    // Both keys are here, so nothing has to be gathered.
    node.run(["owners", "threshold", "data", "2"])?.ok()?;
    node.run(["owners", "remove", "data", "second"])?.code(2)?;
    fs::write(folder.join("y"), b"y")?;
    let published = node.publish(&folder, "data")?;
    ensure!(number(&published, "sequence")? == 1, "{published}");
    Ok(())
}

#[test]
fn p7_owners_are_told_in_time_to_sign_a_head_again_and_do() -> Result<()> {
    let owners = Owners::two_of_three(87)?;
    let [one, two, _] = &owners.nodes;
    let shown = || -> Result<Value> {
        let shown = one.run(["show", "data"])?.ok()?.event("versions")?;
        Ok(shown["versions"][0].clone())
    };
    let waiting = |node: &Node| -> Result<u64> {
        let status = node.run(["status"])?.ok()?.event("status")?;
        number(&status["counters"], "heads_to_renew")
    };
    ensure!(shown()?["renewal"].is_null() && waiting(one)? == 0);
    // From now on heads shall live so long that this one has less than half of that left.
    one.config("head_lifetime = \"90d\"\n")?;
    let before = shown()?;
    ensure!(number(&before["renewal"], "threshold")? == 2, "{before}");
    ensure!(number(&before["renewal"], "here")? == 1, "{before}");
    ensure!(
        waiting(one)? == 1 && waiting(two)? == 0,
        "nothing of it lies there"
    );
    // What it can sign alone the daemon signs; here it says who must.
    let single = Tree::interesting(88).write(&owners.world.path("single"))?;
    one.config("")?.publish(&single, "single")?;
    one.config("head_lifetime = \"90d\"\n")?;
    ensure!(
        waiting(one)? == 1,
        "an owner alone is in time by the daemon"
    );
    let daemon = one.daemon::<&str>([])?;
    let start = Instant::now();
    let expires = |name: &str| -> Result<u64> {
        let shown = one.run(["show", name])?.ok()?.event("versions")?;
        number(&shown["versions"][0]["head"], "expires_at")
    };
    let data = expires("data")?;
    // Both are looked at together.
    while expires("single")? <= data + 24 * 60 * 60 {
        ensure!(start.elapsed() < RENEWED_MAX, "it was not renewed");
    }
    let said = daemon.stop()?;
    ensure_says(&said, &["owners renew data --draft"])?;

    let alone = one.run(["owners", "renew", "data"])?.code(4)?;
    ensure_says(&alone, &["--draft"])?;
    let draft = owners.file("renewal");
    let made = one
        .run(["owners", "renew", "data", "--draft", &draft])?
        .ok()?;
    ensure!(made.event("draft")?["kind"] == "head");
    owners.finish(0, &[&draft])?.code(4)?;
    two.run(["sign", &draft])?.ok()?;
    owners.finish(0, &[&draft])?.ok()?;
    let after = shown()?;
    ensure!(
        after["manifest"] == before["manifest"] && after["renewal"].is_null(),
        "{after}"
    );
    ensure!(expires("data")? > data, "{after}");
    ensure!(waiting(one)? == 0);
    Ok(())
}
