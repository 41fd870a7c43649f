//! Fetching what changed between two versions, and nothing else.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use opendag_tests::{
    MIB, Node, World,
    hostile::{Author, Conduct, Files, Library, Peer, Version},
    world::number,
};
use serde_json::Value;

use crate::common::{ensure_equal, world};

/// Lines as in JSONL, from row `first` on.
fn rows(first: u64, count: u64) -> Vec<u8> {
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

fn files<const N: usize>(list: [(&str, Vec<u8>); N]) -> Files {
    list.map(|(path, bytes)| (path.to_owned(), bytes)).into()
}

fn write(files: &Files, folder: &Path) -> Result<()> {
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
struct Scene {
    world: World,
    old: Version,
    new: Version,
    files: Files,
}

impl Scene {
    fn new(seed: u8, old: &Files, new: &Files, described: Option<&Files>) -> Result<Self> {
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

    fn peer(&self, seed: u8, version: &Version, conduct: Conduct) -> Result<Peer> {
        Peer::start(
            self.world.network(),
            seed,
            Library::from(version.clone()),
            conduct,
        )
    }

    /// A node that has the old version in the folder `old`.
    fn node(&self) -> Result<Node> {
        let node = self.world.node("fetcher");
        let peer = self.peer(100, &self.old, Conduct::Honest)?;
        let old = self.world.path("old");
        let options = ["--peer", peer.address()];
        node.fetch(&self.old.manifest.to_string(), &old, &options)?
            .ok()?;
        Ok(node)
    }

    /// Fetches the new version and compares all of it.
    fn fetch_new(&self, node: &Node, output: &str, options: &[&str]) -> Result<Value> {
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
    edited
        .get_mut(half..half + 20)
        .map(|bytes| bytes.fill(b'x'));
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
        println!("{what}: {fetched} of {size}, map {map}, plan {planned}");
        ensure_received(&fetched, most)?;
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
