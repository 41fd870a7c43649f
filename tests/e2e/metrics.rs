//! The figures that a daemon tells Prometheus, and the dashboard and document that go with its API.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use opendag_tests::{
    Daemon, MIB, Running, Tree,
    http::request,
    world::{number, text},
};

use crate::{
    clients::{python, scripts},
    common::world,
};

/// What is told in the background must be told within this.
const SOON: Duration = Duration::from_secs(20);
/// All names of labels; each has few values, which the code knows.
const LABELS: &[&str] = &[
    "class",
    "content",
    "direction",
    "from",
    "kind",
    "le",
    "outcome",
    "owner",
    "reason",
    "route",
    "status",
    "transport",
    "version",
];

/// Figures of a node at one moment, by name and labels.
struct Figures(BTreeMap<String, f64>);

impl Figures {
    fn of(daemon: &Daemon) -> Result<Self> {
        Self::parse(&page(daemon)?)
    }

    /// Reads a page, and checks that each metric has a help, a type and a unit that ends its name, and
    /// that no label is one that strangers could fill.
    fn parse(page: &str) -> Result<Self> {
        let body = page.strip_suffix("# EOF\n").context("a page has an end")?;
        let mut figures = BTreeMap::new();
        let mut about: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (Some(what), Some(name), Some(said)) =
                    (words.next(), words.next(), words.next())
                else {
                    bail!("half a line: {line}");
                };
                ensure!(!said.is_empty(), "{line}");
                ensure!(
                    what != "UNIT" || name.ends_with(&format!("_{said}")),
                    "{line}"
                );
                ensure!(about.entry(name).or_default().insert(what), "twice: {line}");
                continue;
            }
            let (name, value) = line.rsplit_once(' ').context("a number")?;
            let (family, labels) = name.split_once('{').unwrap_or((name, ""));
            let known = about.iter().any(|(of, said)| {
                let is_info = *of == "opendag_build";
                let needed: &[&str] = if is_info {
                    &["HELP", "TYPE"]
                } else {
                    &["HELP", "TYPE", "UNIT"]
                };
                let rest = family.strip_prefix(of);
                rest.is_some_and(|rest| {
                    matches!(
                        rest,
                        "" | "_total" | "_info" | "_sum" | "_count" | "_bucket"
                    )
                }) && needed.iter().all(|word| said.contains(word))
            });
            ensure!(known, "{family} has no help, type or unit");
            for label in labels
                .trim_end_matches('}')
                .split(',')
                .filter(|label| !label.is_empty())
            {
                let (label, value) = label.split_once('=').context("a label's value")?;
                ensure!(LABELS.contains(&label), "an unknown label: {line}");
                ensure!(value.len() < 24, "the value of a label is long: {line}");
            }
            ensure!(
                figures.insert(name.to_owned(), value.parse()?).is_none(),
                "twice: {line}"
            );
        }
        Ok(Self(figures))
    }

    fn get(&self, name: &str) -> Result<f64> {
        let found = self.0.get(name);
        found.copied().with_context(|| format!("no figure {name}"))
    }

    /// By how much a figure grew since `before`.
    fn grew(&self, before: &Self, name: &str) -> Result<f64> {
        Ok(self.get(name)? - before.get(name)?)
    }

    /// Names without labels.
    fn names(&self) -> BTreeSet<&str> {
        let names = self.0.keys().filter_map(|name| name.split('{').next());
        names.collect()
    }
}

/// The page, asked for with the token that opens nothing else.
fn page(daemon: &Daemon) -> Result<String> {
    let token = fs::read_to_string(daemon.node().data_dir().join("metrics_token"))?;
    let token = format!("Bearer {token}");
    let api = text(&daemon.ready, "api")?;
    let answer = request(&api, "GET", "/metrics", &[("Authorization", &token)], "")?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(String::from_utf8(answer.body)?)
}

/// Asks for figures until `is_so`, which must be soon.
fn until(daemon: &Daemon, what: &str, is_so: impl Fn(&Figures) -> Result<bool>) -> Result<Figures> {
    let deadline = Instant::now() + SOON;
    loop {
        let figures = Figures::of(daemon)?;
        if is_so(&figures)? {
            return Ok(figures);
        }
        ensure!(Instant::now() < deadline, "{what}: {:#?}", figures.0);
        thread::yield_now();
    }
}

/// Equal, as counts of bytes and things are.
#[expect(
    clippy::cast_precision_loss,
    reason = "a test moves less than 2^53 bytes"
)]
fn is(figure: f64, number: u64) -> bool {
    (figure - number as f64).abs() < 0.5
}

#[test]
fn a_fetch_moves_the_figures_of_both_sides_by_what_it_moved() -> Result<()> {
    let world = world()?;
    let tree = Tree::new(401)
        .file("large.bin", 5 * MIB + 7)
        .file("small.bin", 70_000);
    let source = tree.write(&world.path("source"))?;
    let seed = world.node("seed").daemon::<&str>([])?;
    let published = seed.node().publish(&source, "data")?;
    let (dataset, bytes) = (text(&published, "dataset")?, number(&published, "bytes")?);
    let fetcher = world
        .node("fetcher")
        .daemon(["--bootstrap", seed.address()?])?;
    let connected = |figures: &Figures| Ok(is(figures.get("opendag_swarm_connected_peers")?, 1));
    let before = until(&fetcher, "no connection", connected)?;
    let seed_before = Figures::of(&seed)?;

    let output = world.path("fetched");
    let finished = fetcher.node().fetch(&dataset, &output, &[])?.ok()?;
    let fetched = finished.event("fetched")?;
    let (received, wasted) = (
        number(&fetched, "received_bytes")?,
        number(&fetched, "wasted_bytes")?,
    );
    ensure!(received - wasted >= bytes, "{fetched}");

    let after = Figures::of(&fetcher)?;
    for (name, by) in [
        ("opendag_transfer_verified_bytes_total", received - wasted),
        ("opendag_transfer_wasted_bytes_total", wasted),
        (
            "opendag_transfer_failed_requests_total{reason=\"wrong_bytes\"}",
            0,
        ),
        ("opendag_store_kept_versions{kind=\"fetched\"}", 1),
        ("opendag_store_located_shards", 2),
        ("opendag_store_kept_bytes{content=\"versions\"}", bytes),
    ] {
        let grew = after.grew(&before, name)?;
        ensure!(is(grew, by), "{name} grew by {grew}: {fetched}");
    }
    // Owners, manifest and head; a file table. Gossip may have brought some before.
    ensure!(after.get("opendag_store_signed_records")? >= 3.0);
    ensure!(after.get("opendag_store_description_blobs")? >= 1.0);
    let requests = after.grew(&before, "opendag_transfer_sent_requests_total")?;
    ensure!(requests >= 1.0, "{requests}");
    // The version's description comes on top, and is small.
    let blobs = after.grew(
        &before,
        "opendag_transfer_received_bytes_total{kind=\"blobs\"}",
    )?;
    let described = blobs - after.grew(&before, "opendag_transfer_verified_bytes_total")?;
    ensure!(
        (0.0..100_000.0).contains(&described),
        "{described} {fetched}"
    );

    // What one side sent the other received, without loss; and the seed answered all that was asked.
    let sent = "opendag_transfer_sent_bytes_total{kind=\"blobs\"}";
    let answered = "opendag_transfer_answered_requests_total{kind=\"blobs\",outcome=\"whole\"}";
    until(&seed, "the seed sent something else", |figures| {
        let sent = figures.grew(&seed_before, sent)?;
        let answered = figures.grew(&seed_before, answered)?;
        Ok((sent - blobs).abs() < 0.5 && answered >= requests)
    })?;
    Ok(())
}

#[test]
fn the_gateway_and_gossip_are_counted() -> Result<()> {
    let world = world()?;
    let tree = Tree::new(402).file("a.bin", MIB + 3);
    let source = tree.write(&world.path("source"))?;
    let seed = world.node("seed").daemon::<&str>([])?;
    let dataset = text(&seed.node().publish(&source, "data")?, "dataset")?;
    let args = [
        "--gateway",
        "127.0.0.1:0",
        "--s3",
        "127.0.0.1:0",
        "--bootstrap",
        seed.address()?,
    ];
    let reader = world.node("reader").daemon(args)?;
    let connected = |figures: &Figures| Ok(is(figures.get("opendag_swarm_connected_peers")?, 1));
    let before = until(&reader, "no connection", connected)?;

    let (gateway, s3) = (text(&reader.ready, "gateway")?, text(&reader.ready, "s3")?);
    let file = format!("/d/{dataset}/a.bin");
    for _ in 0..2 {
        let answer = request(&gateway, "GET", &file, &[], "")?;
        ensure!(
            answer.status == 200 && answer.body.len() as u64 == MIB + 3,
            "{}",
            answer.status
        );
    }
    ensure!(request(&gateway, "GET", &format!("/d/{dataset}/none"), &[], "")?.status == 404);
    ensure!(request(&s3, "GET", "/none/none", &[], "")?.status == 404);
    let after = Figures::of(&reader)?;
    let grew = |name: &str| after.grew(&before, name);
    let answered = |route: &str, status: &str| {
        grew(&format!(
            "opendag_gateway_answered_requests_total{{route=\"{route}\",status=\"{status}\"}}"
        ))
    };
    ensure!(is(answered("plain", "2xx")?, 2) && is(answered("plain", "4xx")?, 1));
    ensure!(is(answered("s3", "4xx")?, 1) && is(answered("hub_api", "2xx")?, 0));
    let sent = grew("opendag_gateway_sent_bytes_total{route=\"plain\"}")?;
    ensure!((2_097_158.0..2_098_000.0).contains(&sent), "{sent}");
    ensure!(is(
        grew("opendag_gateway_answer_latency_seconds_count{route=\"plain\"}")?,
        3
    ));
    let read = |from: &str| {
        grew(&format!(
            "opendag_gateway_read_bytes_total{{from=\"{from}\"}}"
        ))
    };
    let (peers, cache) = (read("peers")?, read("cache")?);
    ensure!(peers >= 1.0, "the first bytes were waited for");
    ensure!(cache >= 1_048_579.0, "the second time all was there");
    ensure!(is(peers + cache, 2 * (MIB + 3)) && is(read("store")?, 0));
    ensure!(is(after.get("opendag_gateway_waiting_readers")?, 0));
    ensure!(after.get("opendag_cache_used_bytes")? >= 1_048_579.0);

    fs::write(source.join("b.bin"), "more")?;
    seed.node().publish(&source, "data")?;
    until(&reader, "no gossip", |figures| {
        let grew =
            |name: &str| figures.grew(&before, &format!("opendag_gossip_{name}_messages_total"));
        Ok(grew("received")? >= 1.0 && grew("accepted")? >= 1.0 && is(grew("rejected")?, 0))
    })?;
    Ok(())
}

/// Names of metrics in the expressions of a dashboard.
fn named(dashboard: &serde_json::Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = vec![dashboard];
    while let Some(value) = rest.pop() {
        if let Some(expression) = value["expr"].as_str() {
            let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let is_metric =
                |word: &&str| word.starts_with("opendag_") || word.starts_with("process_");
            names.extend(words.filter(is_metric).map(str::to_owned));
        }
        match value {
            serde_json::Value::Object(fields) => rest.extend(fields.values()),
            serde_json::Value::Array(values) => rest.extend(values),
            _ => {}
        }
    }
    names
}

#[test]
fn the_dashboard_shows_only_what_a_node_tells_and_some_of_each_group() -> Result<()> {
    let world = world()?;
    let daemon = world.node("node").daemon::<&str>([])?;
    let figures = Figures::of(&daemon)?;
    let told = figures.names();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    let shown = named(&dashboard);
    let unknown: Vec<_> = shown
        .iter()
        .filter(|name| !told.contains(name.as_str()))
        .collect();
    ensure!(
        unknown.is_empty(),
        "the dashboard names what no node tells: {unknown:?}"
    );
    for group in [
        "transfer", "store", "cache", "swarm", "dht", "gossip", "gateway",
    ] {
        let prefix = format!("opendag_{group}_");
        ensure!(
            shown.iter().any(|name| name.starts_with(&prefix)),
            "nothing of {group}"
        );
    }
    ensure!(shown.iter().any(|name| name.starts_with("process_")));
    Ok(())
}

#[test]
fn other_programs_understand_the_figures_and_the_document() -> Result<()> {
    let Some(python) = python("metrics")? else {
        return Ok(());
    };
    let world = world()?;
    let seed = world.node("seed").daemon::<&str>([])?;
    let source = Tree::new(403)
        .file("a.bin", 1000)
        .write(&world.path("source"))?;
    let dataset = text(&seed.node().publish(&source, "data")?, "dataset")?;
    let peer = ["--peer", seed.address()?];
    world
        .node("other")
        .fetch(&dataset, &world.path("fetched"), &peer)?
        .ok()?;
    let mut command = Command::new(python);
    command
        .arg(scripts().join("metrics.py"))
        .arg(text(&seed.ready, "api")?)
        .arg(seed.node().data_dir().join("metrics_token"));
    Running::start("metrics.py", command)?
        .finish(SOON * 3)?
        .ok()?;
    Ok(())
}

#[test]
fn a_page_that_lacks_something_is_found_out() -> Result<()> {
    // Negative control of the checks above.
    let good = "# HELP a_bytes A.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total{kind=\"x\"} 1\n# EOF\n";
    Figures::parse(good)?;
    for (from, to) in [
        ("# HELP a_bytes A.\n", ""),
        ("# UNIT a_bytes bytes\n", ""),
        ("# UNIT a_bytes bytes\n", "# UNIT a_bytes seconds\n"),
        ("kind=", "peer="),
        ("# EOF\n", ""),
        (" 1\n", " x\n"),
    ] {
        ensure!(
            Figures::parse(&good.replace(from, to)).is_err(),
            "{from:?} to {to:?}"
        );
    }
    Ok(())
}
