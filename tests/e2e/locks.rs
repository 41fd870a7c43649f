//! Lockfiles and receipts, as a user of a project has them.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Daemon, Finished, Tree, World,
    tree::{Mtime, flip_bit},
    world::{Node, number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, ensure_says, world};

/// A publisher with two versions of `data`, the first labelled, and one of `other`.
struct Project {
    world: World,
    publisher: Daemon,
    first: Value,
    second: Value,
}

impl Project {
    fn start() -> Result<Self> {
        let world = world()?;
        let publisher = world.node("publisher").daemon::<&str>([])?;
        let node = publisher.node();
        let old = Tree::new(1)
            .file("train/x", 5000)
            .file("test/y", 10)
            .write(&world.path("old"))?;
        let path = old.display().to_string();
        let line = [
            "publish",
            &path,
            "--name",
            "data",
            "--license",
            "CC0-1.0",
            "--label",
            "v1",
        ];
        let first = node.run(line)?.ok()?.event("published")?;
        let new = Tree::new(2)
            .file("train/x", 6000)
            .write(&world.path("new"))?;
        let second = node.publish(&new, "data")?;
        let other = Tree::new(3).file("z", 100).write(&world.path("other"))?;
        node.publish(&other, "other")?;
        Ok(Self {
            world,
            publisher,
            first,
            second,
        })
    }

    /// The folder of a project on one machine.
    fn folder(&self, name: &str) -> Result<std::path::PathBuf> {
        let folder = self.world.path(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Runs a command in a folder.
    fn run(node: &Node, folder: &Path, line: &[&str]) -> Result<Finished> {
        node.clone().inside(folder).run(line)
    }
}

#[test]
fn a_lockfile_restores_the_same_on_another_machine_and_offline() -> Result<()> {
    let project = Project::start()?;
    let (alice, bob) = (project.world.node("alice"), project.world.node("bob"));
    let (here, there) = (project.folder("here")?, project.folder("there")?);
    let peer = ["--peer", project.publisher.address()?];
    let dataset = text(&project.first, "dataset")?;
    let link = format!("{dataset}@v1");
    let line = [
        "lock",
        &link,
        "--include",
        "train/*",
        "-o",
        "in/data",
        peer[0],
        peer[1],
    ];
    let locked = Project::run(&alice, &here, &line)?.ok()?.event("locked")?;
    ensure!(locked["datasets"][0]["change"] == "added", "{locked}");
    let written = fs::read_to_string(here.join("opendag.lock"))?;
    let again = Project::run(&alice, &here, &line)?.ok()?.event("locked")?;
    ensure!(again["datasets"][0]["change"] == "same", "{again}");
    ensure!(
        fs::read_to_string(here.join("opendag.lock"))? == written,
        "{written}"
    );

    fs::copy(here.join("opendag.lock"), there.join("opendag.lock"))?;
    let restore = ["fetch", "--locked", peer[0], peer[1]];
    let restored = Project::run(&bob, &there, &restore)?.ok()?;
    let fetched = restored.event("fetched")?;
    ensure!(
        fetched["manifest"] == project.first["manifest"],
        "{fetched}"
    );
    ensure!(restored.event("restored")?["files"] == 1, "{restored:?}");
    let old = fs::read(project.world.path("old/train/x"))?;
    ensure!(fs::read(there.join("in/data/train/x"))? == old);
    ensure!(!there.join("in/data/test").exists());

    // The publisher is gone, and so is a file: from another place of this node it comes all the same.
    let elsewhere = project.folder("elsewhere")?;
    project.publisher.stop()?;
    let line = ["fetch", "--locked", "-o", &elsewhere.display().to_string()];
    let offline = Project::run(&bob, &there, &line)?.ok()?.event("restored")?;
    ensure!(number(&offline, "received_bytes")? == 0, "{offline}");
    ensure!(fs::read(elsewhere.join("in/data/train/x"))? == old);
    Ok(())
}

#[test]
fn a_lockfile_is_updated_on_purpose_only() -> Result<()> {
    let project = Project::start()?;
    let (node, here) = (project.world.node("alice"), project.folder("here")?);
    let peer = ["--peer", project.publisher.address()?];
    let dataset = text(&project.first, "dataset")?;
    let lock = |line: &[&str]| Project::run(&node, &here, &[&["lock"], line, &peer].concat());
    lock(&[&format!("{dataset}@0")])?.ok()?;
    let fetch = |line: &[&str]| {
        Project::run(
            &node,
            &here,
            &[&["fetch", "--locked"], line, &peer].concat(),
        )
    };
    fetch(&["data"])?.ok()?;
    ensure_equal(&project.world.path("old"), &here.join("data"))?;

    // What the file does not say is refused, and nothing moves.
    let refused = fetch(&["data@1"])?.code(4)?;
    ensure_says(&refused, &["data@1", "data@0 (v1)", "lock"])?;
    fetch(&[&text(&project.second, "manifest")?])?.code(4)?;
    fetch(&["other"])?.code(4)?;
    ensure_equal(&project.world.path("old"), &here.join("data"))?;

    let updated = lock(&["--update", "data"])?.ok()?.event("locked")?;
    ensure!(updated["datasets"][0]["change"] == "updated", "{updated}");
    ensure!(updated["datasets"][0]["before"] == 0, "{updated}");
    lock(&["--update", "other"])?.code(4)?;
    let fetched = fetch(&["data@1"])?.ok()?.event("fetched")?;
    ensure!(
        fetched["manifest"] == project.second["manifest"],
        "{fetched}"
    );
    let file = project.world.path("new/train/x");
    ensure!(fs::read(here.join("data/train/x"))? == fs::read(file)?);
    Ok(())
}

#[test]
fn p3_a_lockfile_of_a_stranger_leads_nowhere_else() -> Result<()> {
    let project = Project::start()?;
    let (node, here) = (project.world.node("alice"), project.folder("here")?);
    let peer = ["--peer", project.publisher.address()?];
    let fetch = || Project::run(&node, &here, &["fetch", "--locked", peer[0], peer[1]]);
    ensure_says(&fetch()?.code(2)?, &["no opendag.lock", "opendag lock"])?;
    let dataset = text(&project.first, "dataset")?;
    Project::run(
        &node,
        &here,
        &["lock", &format!("{dataset}@v1"), peer[0], peer[1]],
    )?
    .ok()?;
    let file = here.join("opendag.lock");
    let good = fs::read_to_string(&file)?;
    let with = |from: &str, to: &str| -> Result<Finished> {
        ensure!(good.contains(from), "{good}");
        fs::write(&file, good.replacen(from, to, 1))?;
        fetch()
    };
    let target = "target = \"data\"";
    ensure_says(
        &with(target, "target = \"../out\"")?.code(2)?,
        &["../out", "refused"],
    )?;
    with(target, "target = \".git/hooks\"")?.code(2)?;
    with("version = 1", "version = 7")?.code(2)?;
    with("sequence = 0", "sequence = 0\nrun = \"x\"")?.code(2)?;
    // Signed records say what a version is, not the file.
    let manifest = text(&project.second, "manifest")?;
    let lied = with(&text(&project.first, "manifest")?, &manifest)?.code(4)?;
    ensure_says(&lied, &["owners signed", "version 1"])?;
    with("label = \"v1\"", "label = \"v2\"")?.code(4)?;
    let outside = project.folder("outside")?;
    std::os::unix::fs::symlink(&outside, here.join("data"))?;
    ensure_says(&with(target, target)?.code(4)?, &["symbolic link"])?;
    ensure!(
        fs::read_dir(&outside)?.next().is_none(),
        "files went outside"
    );
    // Negative control: as it was written it is restored.
    fs::remove_file(here.join("data"))?;
    with(target, target)?.ok()?;
    ensure_equal(&project.world.path("old"), &here.join("data"))
}

#[test]
fn a_receipt_states_what_was_verified_and_anyone_can_check_it() -> Result<()> {
    let project = Project::start()?;
    let (node, here) = (project.world.node("alice"), project.folder("here")?);
    let peer = ["--peer", project.publisher.address()?];
    let link = format!("{}@v1", text(&project.first, "dataset")?);
    Project::run(&node, &here, &["fetch", &link, "-o", "d", peer[0], peer[1]])?.ok()?;
    Project::run(&node, &here, &["receipt", "data@v1", "-o", "r"])?.ok()?;
    let file = here.join("r");
    let checked = Project::run(&node, &here, &["verify", "--receipt", "r"])?;
    let checked = checked.ok()?.event("receipt")?;
    let id = node.run(["id"])?.ok()?.event("id")?;
    ensure!(
        checked["files"] == 2 && checked["bytes"] == 5010,
        "{checked}"
    );
    ensure!(
        checked["node"] == id["peer"] && checked["signed_by"] == "node",
        "{checked}"
    );
    ensure!(checked["here"].is_string(), "{checked}");

    // Somebody who has nothing of it asks for the file table alone.
    let other = project.world.node("bob");
    let line = [
        "verify",
        "--receipt",
        &file.display().to_string(),
        peer[0],
        peer[1],
    ];
    let elsewhere = other.run(line)?.ok()?.event("receipt")?;
    ensure!(elsewhere["digest"] == checked["digest"] && elsewhere["here"].is_null());

    // A file that changed: the receipt holds, the files do not; and no new receipt is signed.
    flip_bit(&here.join("d/train/x"), 0, Mtime::Keep)?;
    let bad = Project::run(&node, &here, &["verify", "--receipt", "r"])?.code(1)?;
    ensure!(
        bad.event("receipt")?["bad"][0]["problem"] == "changed",
        "{bad:?}"
    );
    let refused = Project::run(&node, &here, &["receipt", "data@v1", "-o", "r2"])?.code(1)?;
    ensure_says(&refused, &["1 of 2 files", "no receipt"])?;
    ensure!(!here.join("r2").exists());
    Ok(())
}

#[test]
fn s7_a_receipt_that_states_something_else_is_refused() -> Result<()> {
    use opendag_protocol::{
        key::SecretKey,
        receipt::{Receipt, SignerKind, Subject, Verified},
    };

    let project = Project::start()?;
    let node = project.publisher.node();
    let file = project.world.path("receipt");
    let path = file.display().to_string();
    node.run(["receipt", "data@v1", "-o", &path, "--key", "default"])?
        .ok()?;
    let good = Receipt::parse(&fs::read(&file)?)?;
    let fields = good.fields().clone();
    let subject = Subject {
        dataset: fields.dataset,
        manifest: fields.manifest,
        sequence: fields.sequence,
        table: fields.table,
    };
    let sign = |subject, verified| -> Result<Finished> {
        let key = SecretKey::from_bytes(&[9; 32]);
        let what = (verified, fields.verified_at);
        let by = (&key, SignerKind::Publisher);
        let receipt = Receipt::sign(subject, (Vec::new(), Vec::new()), what, by)?;
        fs::write(&file, receipt.to_text()?)?;
        node.run(["verify", "--receipt", &path])
    };
    let verified = fields.verified();
    // Negative control: whoever has verified the same may sign the same.
    let checked = sign(subject, verified)?.ok()?.event("receipt")?;
    ensure!(
        checked["signed_by"] == "publisher" && checked["node"].is_null(),
        "{checked}"
    );
    let more = Verified {
        files: verified.files + 1,
        ..verified
    };
    ensure_says(&sign(subject, more)?.code(4)?, &["other files or hashes"])?;
    let digest = opendag_protocol::Hash::of(b"other");
    sign(subject, Verified { digest, ..verified })?.code(4)?;
    let sequence = subject.sequence + 1;
    let other = sign(
        Subject {
            sequence,
            ..subject
        },
        verified,
    )?
    .code(4)?;
    ensure_says(&other, &["not what the owners signed"])?;

    // A byte of the signature or the payload.
    let mut text = good.to_text()?.into_bytes();
    let middle = text.get_mut(100).context("a receipt")?;
    *middle = if *middle == b'A' { b'B' } else { b'A' };
    fs::write(&file, &text)?;
    let refused = node.run(["verify", "--receipt", &path])?;
    ensure!(matches!(refused.code, Some(2 | 4)), "{refused:?}");
    fs::write(&file, "no receipt")?;
    node.run(["verify", "--receipt", &path])?.code(2)?;
    Ok(())
}
