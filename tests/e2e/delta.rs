//! Fetching what changed between two versions, and nothing else.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    MIB, Node, World,
    hostile::{Author, Conduct, Files, Library, Peer, Version},
    world::{number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, world};

/// Lines as in JSONL, from row `first` on.
pub(crate) fn rows(first: u64, count: u64) -> Vec<u8> {
    let row = |id: u64| {
        let value = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "{{\"id\":{id},\"value\":{value},\"name\":\"row {:x}\"}}\n",
            value.rotate_left(17)
        )
    };
    (first..first + count)
        .flat_map(|id| row(id).into_bytes())
        .collect()
}

pub(crate) fn files<const N: usize>(list: [(&str, Vec<u8>); N]) -> Files {
    list.map(|(path, bytes)| (path.to_owned(), bytes)).into()
}

pub(crate) fn write(files: &Files, folder: &Path) -> Result<()> {
    for (path, bytes) in files {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, bytes)?;
    }
    Ok(())
}

/// Two versions by hand: the second has chunk maps. `described` is what the maps say, if they lie.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) old: Version,
    pub(crate) new: Version,
    files: Files,
}

impl Scene {
    pub(crate) fn new(
        seed: u8,
        old: &Files,
        new: &Files,
        described: Option<&Files>,
    ) -> Result<Self> {
        let world = world()?;
        let author = Author::new(seed, "versions")?;
        let old = author.mapped(0, None, old, old)?;
        let described = described.unwrap_or(new);
        let version = author.mapped(1, Some(old.manifest), new, described)?;
        Ok(Self {
            world,
            old,
            new: version,
            files: new.clone(),
        })
    }

    pub(crate) fn peer(&self, seed: u8, version: &Version, conduct: Conduct) -> Result<Peer> {
        Peer::start(
            self.world.network(),
            seed,
            Library::from(version.clone()),
            conduct,
        )
    }

    /// An honest peer that gives no shard before `first` was asked for one.
    pub(crate) fn peer_after(&self, first: &Peer, seed: u8, version: &Version) -> Result<Peer> {
        let library = Library::from(version.clone()).after(first);
        Peer::start(self.world.network(), seed, library, Conduct::Honest)
    }

    /// A node that has the old version in the folder `old`.
    pub(crate) fn node(&self) -> Result<Node> {
        let node = self.world.node("fetcher");
        let peer = self.peer(100, &self.old, Conduct::Honest)?;
        let old = self.world.path("old");
        let options = ["--peer", peer.address()];
        node.fetch(&self.old.manifest.to_string(), &old, &options)?
            .ok()?;
        Ok(node)
    }

    /// Fetches the new version and compares all of it.
    pub(crate) fn fetch_new(&self, node: &Node, output: &str, options: &[&str]) -> Result<Value> {
        let output = self.world.path(output);
        let fetched = node
            .fetch(&self.new.manifest.to_string(), &output, options)?
            .ok()?;
        let expected = self.world.path("expected");
        write(&self.files, &expected)?;
        ensure_equal(&expected, &output)?;
        fetched.event("fetched")
    }
}

/// The number of bytes that a fetch received, at most `most`.
fn ensure_received(fetched: &Value, most: u64) -> Result<()> {
    let received = number(fetched, "received_bytes")?;
    ensure!(
        received <= most,
        "{received} bytes were received, more than {most}: {fetched}"
    );
    let (bytes, reused) = (number(fetched, "bytes")?, number(fetched, "reused_bytes")?);
    ensure!(reused + most >= bytes, "{fetched}");
    Ok(())
}

#[test]
fn only_appended_edited_and_inserted_rows_of_a_large_file_are_received() -> Result<()> {
    let old = rows(0, 60_000);
    let size = u64::try_from(old.len())?;
    ensure!(size > 3 * MIB);
    let half = old.len() / 2;
    let mut edited = old.clone();
    edited[half..half + 20].fill(b'x');
    let changed = [
        (
            "appended",
            [old.clone(), rows(60_000, 3000)].concat(),
            3000 * 62,
        ),
        ("edited", edited, 40),
        (
            "inserted",
            [&old[..half], &rows(90_000, 10)[..], &old[half..]].concat(),
            620,
        ),
    ];
    for (seed, (what, new, new_bytes)) in (1..).zip(changed) {
        let (old, new) = (
            files([("rows.jsonl", old.clone())]),
            files([("rows.jsonl", new)]),
        );
        let scene = Scene::new(seed, &old, &new, None)?;
        let node = scene.node()?;
        let seed = scene.peer(101, &scene.new, Conduct::Honest)?;
        let peer = ["--peer", seed.address()];
        let plan = ["--plan", "--peer", seed.address()];
        let planned = node
            .fetch(
                &scene.new.manifest.to_string(),
                &scene.world.path("new"),
                &plan,
            )?
            .ok()?
            .event("plan")?;
        let fetched = scene.fetch_new(&node, "new", &peer)?;
        // The change, with the chunks at both its ends, and the map.
        let map = scene
            .new
            .descriptions
            .values()
            .map(|blob| blob.len() as u64)
            .sum::<u64>();
        let most = new_bytes + 4 * 8 * 1024 + map;
        ensure_received(&fetched, most).with_context(|| what)?;
        ensure!(
            number(&planned, "reused_bytes")? == number(&fetched, "reused_bytes")?,
            "{planned}"
        );
        // Negative control: without it all is received.
        let again = scene.world.node("again");
        let old_peer = scene.peer(102, &scene.old, Conduct::Honest)?;
        let older = ["--peer", old_peer.address()];
        let place = scene.world.path("in-place");
        again
            .fetch(&scene.old.manifest.to_string(), &place, &older)?
            .ok()?;
        let whole = scene.fetch_new(&again, "in-place", &["--no-delta", peer[0], peer[1]])?;
        ensure!(number(&whole, "received_bytes")? > size, "{whole}");
    }
    Ok(())
}

/// `count` small files of rows.
pub(crate) fn small_files(count: u64) -> Files {
    let file = |at: u64| {
        let content = rows(at * 1000, 30 + at % 7 * 60);
        (format!("d{}/f{at:04}.txt", at / 40), content)
    };
    (0..count).map(file).collect()
}

#[test]
fn a_tree_of_small_edited_files_costs_what_changed_also_in_place() -> Result<()> {
    let world = world()?;
    let (source, output) = (world.path("source"), world.path("fetched"));
    let mut files = small_files(200);
    write(&files, &source)?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let old = publisher.node().publish(&source, "data")?;
    let node = world.node("fetcher").daemon::<&str>([])?;
    let (dataset, peer) = (text(&old, "dataset")?, ["--peer", publisher.address()?]);
    node.node().fetch(&dataset, &output, &peer)?.ok()?;

    let mut changed = 0_u64;
    for (at, content) in files.values_mut().enumerate() {
        match at % 10 {
            3 => content.extend(rows(1_000_000, 2)),
            7 => {
                let middle = content.len() / 2;
                content[middle..middle + 10].fill(b'!');
            }
            _ => continue,
        }
        changed += 1;
    }
    // One has a new name besides, and one is new.
    let moved = files.remove("d1/f0043.txt").context("a file to move")?;
    files.insert("moved/here.txt".to_owned(), moved);
    fs::remove_file(source.join("d1/f0043.txt"))?;
    files.insert("new.txt".to_owned(), rows(2_000_000, 20));
    write(&files, &source)?;
    let new = publisher.node().publish(&source, "data")?;
    ensure!(number(&new, "sequence")? == 1, "{new}");
    // The chunks at both ends of each change, the new file, and the maps.
    let bytes = number(&new, "bytes")?;
    let most = changed * 3 * 1024 + 3000 + bytes / 20;
    ensure!(
        most < bytes / 3,
        "the test shows nothing: {most} of {bytes}"
    );

    let planned = world.path("elsewhere");
    let plan = node
        .node()
        .fetch(&dataset, &planned, &["--plan", peer[0], peer[1]])?;
    let plan = plan.ok()?.event("plan")?;
    ensure!(number(&plan, "missing_bytes")? <= most, "{plan}");
    let fetched = node.node().fetch(&dataset, &output, &peer)?;
    let fetched = fetched.ok()?.event("fetched")?;
    ensure!(fetched["manifest"] == new["manifest"], "{fetched}");
    ensure_received(&fetched, most)?;
    fs::remove_file(output.join("d1/f0043.txt"))?;
    ensure_equal(&source, &output)?;
    // The maps came with it: who has the second version helps others to it in the same way.
    publisher.stop()?;
    let third = world.node("third");
    let from = ["--peer", node.address()?];
    third
        .fetch(&text(&new, "manifest")?, &world.path("third"), &from)?
        .ok()?;
    ensure_equal(&source, &world.path("third"))
}

#[test]
fn a_tree_that_is_rewritten_as_a_whole_costs_a_full_fetch_and_a_hundredth() -> Result<()> {
    let old = small_files(400);
    let other = |(at, (path, _)): (u64, (&String, &Vec<u8>))| {
        (
            path.clone(),
            rows(900_000_000 + at * 1000, 40 + at % 7 * 60),
        )
    };
    let new: Files = (0..).zip(&old).map(other).collect();
    let scene = Scene::new(51, &old, &new, None)?;
    let seed = scene.peer(101, &scene.new, Conduct::Honest)?;
    let mut received = Vec::new();
    for options in [
        &["--peer", seed.address()][..],
        &["--no-delta", "--peer", seed.address()],
    ] {
        let node = scene.world.node(&format!("fetcher{}", received.len()));
        let old_peer = scene.peer(102, &scene.old, Conduct::Honest)?;
        let place = scene.world.path(format!("old{}", received.len()));
        let first = ["--peer", old_peer.address()];
        node.fetch(&scene.old.manifest.to_string(), &place, &first)?
            .ok()?;
        let new = format!("new{}", received.len());
        let fetched = scene.fetch_new(&node, &new, options)?;
        ensure!(number(&fetched, "reused_bytes")? == 0, "{fetched}");
        received.push(number(&fetched, "received_bytes")?);
    }
    // Maps of all files would cost three hundredths. Requests are put together in another way each time.
    ensure!(received[0] > received[1], "no map was tried: {received:?}");
    ensure!(
        received[0] <= received[1] + received[1] / 80,
        "{received:?}"
    );
    Ok(())
}

#[test]
fn changes_at_the_end_of_a_large_tree_are_found_with_few_maps() -> Result<()> {
    let old = small_files(600);
    let mut new = old.clone();
    let mut changed = 0;
    for (_, content) in new.iter_mut().filter(|(path, _)| path.starts_with("d9/")) {
        content.extend(rows(7_000_000, 1));
        changed += u64::try_from(content.len())?;
    }
    let scene = Scene::new(52, &old, &new, None)?;
    let node = scene.node()?;
    let seed = scene.peer(101, &scene.new, Conduct::Honest)?;
    let fetched = scene.fetch_new(&node, "new", &["--peer", seed.address()])?;
    let received = number(&fetched, "received_bytes")?;
    // The front of the pack, the chunk groups of these maps, and a chunk or two of each file: not the pack, which has
    // half as many bytes as the files.
    ensure!(
        changed > 400_000 && received < changed / 4,
        "{received} of {changed}: {fetched}"
    );
    Ok(())
}

/// Fetches a dataset by a node that has another one of somebody else. Answers what was received, with and without delta.
fn beside_another(seed: u8, here: &Files, wanted: &Files) -> Result<(Value, Value)> {
    let world = world()?;
    let here = Author::new(seed, "here")?.mapped(0, None, here, here)?;
    let version = Author::new(seed + 1, "wanted")?.mapped(0, None, wanted, wanted)?;
    let peer = |seed, version: &Version| {
        let library = Library::from(version.clone());
        Peer::start(world.network(), seed, library, Conduct::Honest)
    };
    let (first, second) = (peer(100, &here)?, peer(101, &version)?);
    let expected = world.path("expected");
    write(wanted, &expected)?;
    let mut fetched = Vec::new();
    for options in [&[][..], &["--no-delta"]] {
        let node = world.node(&format!("node{}", fetched.len()));
        let (other, output) = (
            world.path(format!("other{}", fetched.len())),
            world.path(format!("wanted{}", fetched.len())),
        );
        node.fetch(
            &here.manifest.to_string(),
            &other,
            &["--peer", first.address()],
        )?
        .ok()?;
        let options = [options, &["--peer", second.address()]].concat();
        let done = node.fetch(&version.manifest.to_string(), &output, &options)?;
        fetched.push(done.ok()?.event("fetched")?);
        ensure_equal(&expected, &output)?;
    }
    let whole = fetched.pop().context("two fetches")?;
    Ok((fetched.pop().context("two fetches")?, whole))
}

#[test]
fn another_dataset_that_shares_chunks_is_a_base_under_other_names() -> Result<()> {
    let (old, new) = scattered();
    let renamed = |(path, content): (&String, &Vec<u8>)| {
        let path = path
            .replace("large", "renamed")
            .replace("d0/", "texts/deeper/");
        (path, content.clone())
    };
    let new: Files = new.iter().map(renamed).collect();
    let (fetched, whole) = beside_another(61, &old, &new)?;
    let bytes = number(&fetched, "bytes")?;
    // A quarter of the large file is new, and each small file ends in another way.
    ensure!(number(&fetched, "received_bytes")? < bytes / 2, "{fetched}");
    ensure!(number(&fetched, "reused_bytes")? > bytes / 2, "{fetched}");
    ensure!(number(&whole, "received_bytes")? > bytes, "{whole}");
    Ok(())
}

#[test]
fn another_dataset_that_only_looks_alike_costs_a_hundredth() -> Result<()> {
    let (old, _) = scattered();
    let unlike = |(at, (path, content)): (u64, (&String, &Vec<u8>))| {
        let mut other = rows(800_000_000 + at * 1_000_000, content.len() as u64 / 40);
        other.truncate(content.len());
        (path.clone(), other)
    };
    let new: Files = (0..).zip(&old).map(unlike).collect();
    let (fetched, whole) = beside_another(63, &old, &new)?;
    let (received, full) = (
        number(&fetched, "received_bytes")?,
        number(&whole, "received_bytes")?,
    );
    ensure!(number(&fetched, "reused_bytes")? == 0, "{fetched}");
    ensure!(
        received > full && received <= full + full / 80,
        "{received} {full}"
    );
    Ok(())
}

#[test]
fn a_first_fetch_receives_no_maps() -> Result<()> {
    let world = world()?;
    let source = world.path("source");
    let mut all = small_files(50);
    all.insert("large.jsonl".to_owned(), rows(0, 40_000));
    write(&all, &source)?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let link = text(&publisher.node().publish(&source, "data")?, "dataset")?;
    let peer = ["--peer", publisher.address()?];
    let mut received = Vec::new();
    for (name, options) in [
        ("one", &peer[..]),
        ("two", &["--no-delta", peer[0], peer[1]]),
    ] {
        let fetched = world.node(name).fetch(&link, &world.path(name), options)?;
        let fetched = fetched.ok()?.event("fetched")?;
        received.push(number(&fetched, "received_bytes")?);
        ensure!(number(&fetched, "reused_bytes")? == 0, "{fetched}");
    }
    // Not to the byte: how pieces are put together in requests differs.
    ensure!(
        received[0] <= received[1] + received[1] / 500,
        "{received:?}"
    );
    Ok(())
}

/// A large file of which every tenth row changes its value, and small files that change a little.
pub(crate) fn scattered() -> (Files, Files) {
    let old = rows(0, 60_000);
    let mut new = old.clone();
    // A megabyte changes in runs of 20 KB.
    for start in (0..new.len() - 20_000).step_by(80_000) {
        new[start..start + 20_000].fill(b'#');
        for (at, byte) in new[start..start + 20_000].iter_mut().enumerate() {
            *byte = u8::try_from((start + at).wrapping_mul(2_654_435_761) >> 13 & 0x3f)
                .unwrap_or(0)
                + b'!';
        }
    }
    let small = small_files(20);
    let mut changed = small.clone();
    for content in changed.values_mut() {
        content.extend(rows(5_000_000, 1));
    }
    let with = |mut files: Files, large| {
        files.insert("large.jsonl".to_owned(), large);
        files
    };
    (with(small, old), with(changed, new))
}
