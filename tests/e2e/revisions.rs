//! Links with a revision, how fresh an answer is, and what differs between versions.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Daemon, Tree, World,
    world::{Node, number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, ensure_says, world};

/// Publishes a version with a label.
fn publish(node: &Node, folder: &Path, label: Option<&str>) -> Result<Value> {
    let path = folder.display().to_string();
    let mut line = vec!["publish", &path, "--name", "data", "--license", "CC0-1.0"];
    line.extend(label.iter().flat_map(|label| ["--label", label]));
    node.run(line)?.ok()?.event("published")
}

/// A daemon with versions of one dataset, and the folders that they were.
struct Publisher {
    world: World,
    daemon: Daemon,
    versions: Vec<Value>,
}

impl Publisher {
    fn start(labels: &[Option<&str>]) -> Result<Self> {
        let world = world()?;
        let daemon = world.node("publisher").daemon::<&str>([])?;
        let mut versions = Vec::new();
        for (number, label) in labels.iter().enumerate() {
            let folder = world.path(format!("v{number}"));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("x"), format!("version {number}"))?;
            versions.push(publish(daemon.node(), &folder, *label)?);
        }
        Ok(Self {
            world,
            daemon,
            versions,
        })
    }

    fn dataset(&self) -> Result<String> {
        self.text_of(0, "dataset")
    }

    fn manifest(&self, number: usize) -> Result<String> {
        self.text_of(number, "manifest")
    }

    fn text_of(&self, number: usize, field: &str) -> Result<String> {
        let version = self.versions.get(number).context("no such version")?;
        text(version, field)
    }

    /// Runs a command of a node that asks the publisher.
    fn ask(&self, node: &Node, line: &[&str]) -> Result<opendag_tests::Finished> {
        let peer = ["--peer", self.daemon.address()?];
        node.run(line.iter().chain(&peer))
    }
}

/// As the gateway and every listing says it.
fn commit(manifest: &str) -> Result<String> {
    let id: opendag_protocol::ManifestId = manifest.parse()?;
    Ok(opendag_protocol::revision::commit(id))
}

#[test]
fn a_label_a_number_and_a_commit_mean_a_version_that_is_not_known_yet() -> Result<()> {
    let publisher = Publisher::start(&[Some("v1.0"), Some("final @ last"), None, Some("v2")])?;
    let dataset = publisher.dataset()?;
    let oldest = publisher.manifest(0)?;
    let links = [
        (format!("{dataset}@v1.0"), 0),
        (format!("opendag:{dataset}@final%20%40%20last?name=data"), 1),
        (format!("{dataset}@2"), 2),
        (format!("{dataset}@main"), 3),
        (format!("{dataset}@{}", commit(&oldest)?), 0),
        (format!("{dataset}@{oldest}"), 0),
        // Of a version another one of its dataset.
        (format!("{oldest}@v2"), 3),
    ];
    for (number, (link, version)) in links.iter().enumerate() {
        // Each is new: it knows nothing of the dataset.
        let node = publisher.world.node(&format!("fetcher{number}"));
        let output = publisher.world.path(format!("out{number}"));
        let fetched = node.fetch(link, &output, &["--peer", publisher.daemon.address()?])?;
        let fetched = fetched.ok()?.event("fetched")?;
        let expected = publisher.manifest(*version)?;
        ensure!(
            fetched["manifest"] == expected.as_str(),
            "{link}: {fetched}"
        );
        ensure_equal(&publisher.world.path(format!("v{version}")), &output)?;
    }
    Ok(())
}

#[test]
fn every_command_takes_a_revision_and_a_name() -> Result<()> {
    let publisher = Publisher::start(&[Some("v1"), Some("v2")])?;
    let (node, old) = (publisher.world.node("reader"), publisher.manifest(0)?);
    let link = format!("{}@v1", publisher.dataset()?);
    publisher.ask(&node, &["mirror", &link])?.ok()?;
    // From now on it is known by its name, and nobody has to be asked.
    publisher.daemon.stop()?;
    let shown = node.run(["show", "data@v1"])?.ok()?.event("versions")?;
    ensure!(shown["versions"][0]["manifest"] == old.as_str(), "{shown}");
    ensure!(shown["versions"][0]["newest"] == false, "{shown}");
    ensure!(shown["versions"][0]["head"]["sequence"] == 1, "{shown}");
    node.run(["ls", "data@0"])?.ok()?.event("files")?;
    node.run(["verify", "data@v1"])?.ok()?;
    node.run(["verify", "data@v2"])?.code(2)?;
    let file = node.data_dir().join("exported").display().to_string();
    node.run(["manifest", "export", "data@v1", "-o", &file])?
        .ok()?;
    let same = node.run(["show", &file])?.ok()?.event("versions")?;
    ensure!(same["versions"][0]["manifest"] == old.as_str(), "{same}");
    let diff = node
        .run(["diff", "data@v1", "data@0"])?
        .ok()?
        .event("diff")?;
    ensure!(diff["from"] == diff["to"], "{diff}");
    node.run(["unpin", "data@v1"])?.ok()?;
    Ok(())
}

#[test]
fn a_history_is_asked_for_from_the_newest_to_the_first() -> Result<()> {
    let labels: Vec<String> = (0..70).map(|number| format!("v{number}")).collect();
    let labels: Vec<_> = labels.iter().map(|label| Some(label.as_str())).collect();
    let publisher = Publisher::start(&labels)?;
    let (node, dataset) = (publisher.world.node("reader"), publisher.dataset()?);
    let log = publisher
        .ask(&node, &["log", &dataset])?
        .ok()?
        .event("versions")?;
    let log = log["versions"].as_array().context("versions")?;
    let numbers: Vec<_> = log
        .iter()
        .map(|version| version["sequence"].as_u64())
        .collect();
    let expected: Vec<_> = (0..70).rev().map(Some).collect();
    ensure!(numbers == expected, "{numbers:?}");
    // It is known now, though nobody is there.
    publisher.daemon.stop()?;
    let shown = node.run(["show", "data@v3"])?.ok()?.event("versions")?;
    ensure!(shown["versions"][0]["sequence"] == 3, "{shown}");
    Ok(())
}

#[test]
fn what_nothing_or_more_than_one_is_called_is_refused_with_what_there_is() -> Result<()> {
    let publisher = Publisher::start(&[Some("v1.0"), Some("v1.1"), Some("twice"), Some("twice")])?;
    let (node, dataset) = (publisher.world.node("reader"), publisher.dataset()?);
    let unknown = publisher.ask(&node, &["show", &format!("{dataset}@v1.2")])?;
    let unknown = unknown.code(3)?;
    ensure_says(
        &unknown,
        &["v1.2", "nearest labels", "v1.0", "v1.1", "0 to 3"],
    )?;
    let several = node.run(["show", "data@twice"])?.code(2)?;
    let (one, other) = (publisher.manifest(2)?, publisher.manifest(3)?);
    ensure_says(&several, &["several versions", &one, &other])?;
    // Negative control: by its number each of them is meant alone.
    let shown = node.run(["show", "data@2"])?.ok()?.event("versions")?;
    ensure!(shown["versions"][0]["manifest"] == one.as_str(), "{shown}");
    Ok(())
}

#[test]
fn a_neighbour_that_knows_a_dataset_answers_within_a_second() -> Result<()> {
    let publisher = Publisher::start(&[None])?;
    let node = publisher.world.node("reader");
    let reader = node.daemon(["--bootstrap", publisher.daemon.address()?])?;
    // The best of some: a machine that is full of other work is slow once in a while.
    let mut best = Duration::MAX;
    for number in 0..5 {
        let name = format!("asked{number}");
        let folder = Tree::new(number)
            .file("x", 10)
            .write(&publisher.world.path(&name))?;
        let published = publisher.daemon.node().publish(&folder, &name)?;
        let start = Instant::now();
        let shown = reader
            .node()
            .run(["show", &text(&published, "dataset")?])?
            .ok()?;
        best = best.min(start.elapsed());
        let shown = shown.event("versions")?;
        let head = &shown["versions"][0]["head"];
        ensure!(
            head["expired"] == false && head["issued_at"].is_u64(),
            "{shown}"
        );
        ensure!(
            head["expires_at"].as_u64() > head["issued_at"].as_u64(),
            "{shown}"
        );
    }
    ensure!(best < Duration::from_secs(1), "{best:?}");
    Ok(())
}

#[test]
fn a_difference_tells_what_moved_and_reads_no_shared_page() -> Result<()> {
    let world = world()?;
    let folder = world.path("folder");
    for number in 0..12_000 {
        let dir = folder.join(format!("d{:02}", number / 500));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(format!("{number:05}")), b"the same")?;
    }
    fs::write(folder.join("d05/old-name"), b"moved")?;
    fs::write(folder.join("d05/x"), b"changed")?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let first = text(&publish(publisher.node(), &folder, None)?, "manifest")?;
    fs::rename(folder.join("d05/old-name"), folder.join("d05/new-name"))?;
    fs::write(folder.join("d05/x"), b"changed once more")?;
    let second = text(&publish(publisher.node(), &folder, None)?, "manifest")?;
    for number in 0..12_000 {
        let dir = folder.join(format!("d{:02}", number / 500));
        fs::write(dir.join(format!("{number:05}")), b"not the same")?;
    }
    let third = text(&publish(publisher.node(), &folder, None)?, "manifest")?;

    let diff = |name: &str, from: &str, to: &str| {
        let peer = publisher.address()?;
        let line = ["diff", from, to, "--peer", peer];
        world.node(name).run(line)?.ok()?.event("diff")
    };
    let little = diff("one", &first, &second)?;
    ensure!(little["moved"][0]["from"] == "d05/old-name", "{little}");
    ensure!(little["moved"][0]["path"] == "d05/new-name", "{little}");
    ensure!(little["changed"][0]["path"] == "d05/x", "{little}");
    ensure!(
        little["bytes"]["moved"] == 5 && little["bytes"]["changed"] == 17,
        "{little}"
    );
    ensure!(little["added"] == little["removed"], "{little}");
    ensure!(number(&little, "pages_shared")? >= 2, "{little}");
    // Negative control: where no page is shared, both tables are read whole.
    let all = diff("other", &first, &third)?;
    ensure!(all["pages_shared"] == 0, "no page is shared");
    let (little, all) = (
        number(&little, "received_bytes")?,
        number(&all, "received_bytes")?,
    );
    ensure!(
        little > 0 && little * 2 < all,
        "{little} bytes came, {all} for both tables"
    );
    Ok(())
}

#[test]
fn a_difference_of_schemas_says_which_field_breaks_a_reader() -> Result<()> {
    let world = world()?;
    // Each version in a folder of its own: what is read of the older must lie somewhere.
    let versions = [
        [
            ("t/a.csv", "id,name\n1,x\n2,y\n"),
            ("b.jsonl", "{\"user\": {\"age\": 1}, \"gone\": true}\n"),
            ("same.tsv", "a\tb\n1\t2\n"),
            ("readme", "no table"),
        ],
        [
            ("t/a.csv", "id,name\n1.5,x\n,y\n"),
            ("b.jsonl", "{\"user\": {\"age\": \"one\"}, \"new\": 1}\n"),
            ("same.tsv", "a\tb\n1\t2\n"),
            ("readme", "no table either"),
        ],
    ];
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let mut manifests = Vec::new();
    for (number, files) in versions.iter().enumerate() {
        let folder = world.path(format!("v{number}"));
        fs::create_dir_all(folder.join("t"))?;
        for (path, text) in files {
            fs::write(folder.join(path), text)?;
        }
        let published = publish(publisher.node(), &folder, None)?;
        manifests.push(text(&published, "manifest")?);
    }
    let (first, second) = (manifests[0].clone(), manifests[1].clone());

    let diff = |name: &str, line: &[&str]| {
        let peer = ["--peer", publisher.address()?];
        let node = world.node(name);
        node.run(line.iter().chain(&peer))?.ok()?.event("diff")
    };
    let info = diff("reader", &["diff", "--schema", &first, &second])?;
    let groups = info["schemas"].as_array().context("schemas")?;
    let of = |format: &str| groups.iter().find(|group| group["format"] == format);
    ensure!(groups.len() == 2 && of("TSV").is_none(), "{info}");
    let fields = |group: &Value| -> Vec<(String, String)> {
        let fields = group["fields"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        fields
            .map(|field| (text(&field["field"]), text(&field["fit"])))
            .collect()
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(field, fit)| ((*field).to_owned(), (*fit).to_owned()))
            .collect()
    };
    let csv = of("CSV").context("CSV")?;
    ensure!(csv["folder"] == "t/" && csv["fit"] == "widened", "{csv}");
    ensure!(
        fields(csv) == pairs(&[("id", "widened"), ("id", "widened")]),
        "{csv}"
    );
    let json = of("JSON Lines").context("JSON Lines")?;
    ensure!(json["fit"] == "broken", "{json}");
    let expected = [
        ("gone", "broken"),
        ("new", "compatible"),
        ("user.age", "broken"),
    ];
    ensure!(fields(json) == pairs(&expected), "{json}");
    // Negative control: nothing is read that was not asked for.
    ensure!(diff("other", &["diff", &first, &second])?["schemas"].is_null());
    Ok(())
}
