//! Records and tables that are forged, replayed or poisoned.

use anyhow::{Result, ensure};
use opendag_protocol::{key::SecretKey, limits::SEQUENCE_MAX, table::TableTotals};
use opendag_tests::{
    World,
    hostile::{Author, Conduct, Files, Library, Peer, Version},
    tree,
};

use crate::common::{ensure_equal, ensure_modest, ensure_says, world};

fn files(texts: &[(&str, &str)]) -> Files {
    texts
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect()
}

fn serve(world: &World, seed: u8, version: Version) -> Result<Peer> {
    Peer::start(
        world.network(),
        seed,
        Library::from(version),
        Conduct::Honest,
    )
}

/// A version whose table was disguised is refused, and nothing is written.
fn refused(seed: u8, paths: &[&str], disguise: (&str, &str)) -> Result<()> {
    let world = world()?;
    let author = Author::new(seed, "poisoned")?;
    let texts: Vec<_> = paths.iter().map(|path| (*path, "content")).collect();
    let version = author.disguised(0, None, &files(&texts), &[disguise])?;
    let manifest = version.manifest.to_string();
    let peer = serve(&world, seed, version)?;
    // The target lies deep enough that `../x` would still be inside the test's own folder.
    let output = world.path("around/deep/fetched");
    let finished = world.node("fetcher").fetch(
        &manifest,
        &output,
        &["--peer", peer.address(), "--timeout", "20s"],
    )?;
    ensure!(
        matches!(finished.code, Some(2 | 4)),
        "{disguise:?}: {finished:?}"
    );
    ensure!(
        tree::paths(&world.path("around"))?
            .iter()
            .all(|path| !path.is_file()),
        "{disguise:?} wrote a file"
    );
    ensure!(
        peer.counts().asked() == 0,
        "bytes of shards were asked for before the table was checked"
    );

    // Negative control: without the disguise the very same version is fetched.
    let honest = author.version(0, None, &files(&texts))?;
    let manifest = honest.manifest.to_string();
    let peer = serve(&world, seed.wrapping_add(100), honest)?;
    world
        .node("control")
        .fetch(
            &manifest,
            &world.path("control"),
            &["--peer", peer.address()],
        )?
        .ok()?;
    Ok(())
}

#[test]
fn p3_s9_a_path_that_climbs_out_is_refused() -> Result<()> {
    refused(1, &["aa/x", "ok.txt"], ("aa/x", "../x"))
}

#[test]
fn p3_s9_an_absolute_path_is_refused() -> Result<()> {
    refused(2, &["atmp/x", "ok.txt"], ("atmp/x", "/tmp/x"))
}

#[test]
fn p3_s9_two_names_that_differ_in_case_only_are_refused() -> Result<()> {
    refused(3, &["Name", "namf"], ("namf", "name"))
}

#[test]
fn p3_s9_a_reserved_name_is_refused() -> Result<()> {
    refused(4, &["COX", "ok.txt"], ("COX", "CON"))
}

#[test]
fn p3_s9_a_file_that_is_also_a_folder_is_refused() -> Result<()> {
    refused(5, &["ab", "ac/x"], ("ab", "ac"))
}

#[test]
fn p3_s9_a_control_character_is_refused() -> Result<()> {
    refused(6, &["a-b", "ok.txt"], ("a-b", "a\u{1b}b"))
}

#[test]
fn p6_s9_a_table_with_fewer_files_than_the_version_claims_is_refused() -> Result<()> {
    let author = Author::new(7, "claims")?;
    let texts = files(&[("x", "x")]);
    for (seed, files, bytes) in [
        (8, 10_000_000, 0),
        (9, 1, u64::MAX),
        (10, u64::from(u32::MAX), 1),
    ] {
        let version = author.claiming(&texts, TableTotals { files, bytes })?;
        refused_unwritten(seed, version, &["refused", "table"])?;
    }
    Ok(())
}

#[test]
fn p8_s9_a_file_that_fits_no_disk_is_refused_before_anything_is_written() -> Result<()> {
    let version = Author::new(11, "absurd")?.huge("x", 1 << 60)?;
    refused_unwritten(12, version, &["space"])
}

/// A version of which nothing is written, with these words.
fn refused_unwritten(seed: u8, version: Version, words: &[&str]) -> Result<()> {
    let world = world()?;
    let manifest = version.manifest.to_string();
    let peer = serve(&world, seed, version)?;
    let output = world.path("fetched");
    let options = ["--peer", peer.address(), "--timeout", "5s"];
    let node = world.node("fetcher");
    let finished = node.fetch(&manifest, &output, &options)?;
    ensure!(matches!(finished.code, Some(1..=4)), "{finished:?}");
    ensure_says(&finished, words)?;
    ensure!(peer.counts().asked() == 0, "bytes were asked for");
    let mut written = tree::paths(&output).unwrap_or_default();
    // The lock of the fetch is empty.
    written.retain(|path| path.is_file() && !path.ends_with("lock"));
    ensure!(written.is_empty(), "{written:?}");
    ensure_modest("a fetch of claims", finished.peak_bytes)
}

#[test]
fn p7_s8_an_old_head_cannot_take_a_reader_back() -> Result<()> {
    let world = world()?;
    let author = Author::new(21, "versions")?;
    let first = author.version(0, None, &files(&[("x", "old")]))?;
    let second = author.version(1, Some(first.manifest), &files(&[("x", "new")]))?;
    let dataset = first.dataset.to_string();
    let reader = world.node("reader");
    let honest = serve(&world, 22, first.clone().and(&second))?;
    reader
        .fetch(&dataset, &world.path("a"), &["--peer", honest.address()])?
        .ok()?;
    drop(honest);

    let replaying = serve(&world, 23, first.clone())?;
    for _ in 0..2 {
        // Each command is a new process on the same data directory.
        let shown = reader
            .run(["show", &dataset, "--peer", replaying.address()])?
            .ok()?
            .event("versions")?;
        ensure!(
            shown["versions"][0]["manifest"] == second.manifest.to_string(),
            "{shown}"
        );
    }
    // Negative control: who never saw the newer one is told the old one, and believes it.
    let naive = world
        .node("naive")
        .run(["show", &dataset, "--peer", replaying.address()])?
        .ok()?
        .event("versions")?;
    ensure!(
        naive["versions"][0]["manifest"] == first.manifest.to_string(),
        "{naive}"
    );
    Ok(())
}

#[test]
fn p7_s7_forged_heads_are_refused_beside_an_honest_one() -> Result<()> {
    let world = world()?;
    let author = Author::new(31, "forged")?;
    let version = author.version(0, None, &files(&[("x", "right")]))?;
    let other = author.version(1, Some(version.manifest), &files(&[("x", "wrong")]))?;
    let stranger = SecretKey::generate([99; 32]);
    let forged = author.head_signed_by(&stranger, 1, other.manifest, author.now)?;
    let mut tampered = author.head(1, other.manifest, author.now)?;
    if let Some(last) = tampered.last_mut() {
        *last ^= 1;
    }
    let dataset = version.dataset.to_string();
    let honest = serve(&world, 32, version.clone())?;
    for (index, head) in [forged, tampered].into_iter().enumerate() {
        let liar = serve(
            &world,
            33 + u8::try_from(index)?,
            version.clone().and_manifest(&other).with_head(head),
        )?;
        let node = world.node(&format!("reader{index}"));
        let options = ["--peer", liar.address(), "--peer", honest.address()];
        let output = world.path(format!("fetched{index}"));
        let fetched = node
            .fetch(&dataset, &output, &options)?
            .ok()?
            .event("fetched")?;
        ensure!(
            liar.counts().asked_for_records() > 0,
            "the forger was never asked"
        );
        ensure!(
            fetched["manifest"] == version.manifest.to_string(),
            "{fetched}"
        );
        ensure!(std::fs::read(output.join("x"))? == b"right");
    }
    Ok(())
}

#[test]
fn p7_s8_absurd_heads_of_the_owner_are_refused() -> Result<()> {
    let world = world()?;
    let author = Author::new(41, "absurd")?;
    let version = author.version(0, None, &files(&[("x", "right")]))?;
    let far = opendag_protocol::Timestamp::from_secs(author.now.as_secs() + 10 * 86_400);
    let jump = author.head(SEQUENCE_MAX, version.manifest, author.now)?;
    let future = author.head(0, version.manifest, far)?;
    let dataset = version.dataset.to_string();
    let honest = serve(&world, 42, version.clone())?;
    for (index, head) in [jump, future].into_iter().enumerate() {
        let liar = serve(
            &world,
            43 + u8::try_from(index)?,
            version.clone().with_head(head),
        )?;
        let node = world.node(&format!("reader{index}"));
        node.fetch(
            &dataset,
            &world.path("out"),
            &["--peer", liar.address(), "--peer", honest.address()],
        )?
        .ok()?;
        // What was refused does not stand in the way of the next version.
        let next = author.version(1, Some(version.manifest), &files(&[("x", "next")]))?;
        let publisher = serve(&world, 60 + u8::try_from(index)?, next.clone())?;
        let shown = node
            .run(["show", &dataset, "--peer", publisher.address()])?
            .ok()?
            .event("versions")?;
        ensure!(
            shown["versions"][0]["manifest"] == next.manifest.to_string(),
            "{shown}"
        );
    }
    Ok(())
}

#[test]
fn p7_s8_a_forked_version_is_kept_as_proof_and_shown() -> Result<()> {
    let world = world()?;
    let author = Author::new(51, "forked")?;
    let one = author.version(0, None, &files(&[("x", "one")]))?;
    let two = author.version(0, None, &files(&[("x", "two")]))?;
    let dataset = one.dataset.to_string();
    let (left, right) = (
        serve(&world, 52, one.clone())?,
        serve(&world, 53, two.clone())?,
    );
    let node = world.node("reader");
    node.fetch(
        &one.manifest.to_string(),
        &world.path("a"),
        &["--peer", left.address()],
    )?
    .ok()?;
    node.fetch(
        &two.manifest.to_string(),
        &world.path("b"),
        &["--peer", right.address()],
    )?
    .ok()?;
    let shown = node.run(["show", &dataset])?.ok()?.event("versions")?;
    let proof = shown["versions"][0]["equivocations"]
        .as_array()
        .map_or(0, Vec::len);
    ensure!(proof == 1, "the fork is not shown: {shown}");
    ensure!(
        std::fs::read(world.path("a/x"))? == b"one" && std::fs::read(world.path("b/x"))? == b"two"
    );
    Ok(())
}

#[test]
fn an_expired_head_still_resolves_with_a_warning() -> Result<()> {
    let world = world()?;
    let author = Author::new(71, "silent")?;
    let version = author.version(0, None, &files(&[("x", "still here")]))?;
    let dataset = version.dataset.to_string();
    // The author's heads hold for a day.
    let long_ago = opendag_protocol::Timestamp::from_secs(author.now.as_secs() - 30 * 86_400);
    let expired = author.head(0, version.manifest, long_ago)?;
    let warned = |seed: u8, version: Version| -> Result<bool> {
        let peer = serve(&world, seed, version)?;
        let node = world.node(&format!("reader{seed}"));
        let output = world.path(format!("fetched{seed}"));
        let finished = node
            .fetch(&dataset, &output, &["--peer", peer.address()])?
            .ok()?;
        ensure!(std::fs::read(output.join("x"))? == b"still here");
        let fetched = finished.event("fetched")?;
        let expired = &fetched["head"]["expired"];
        for command in ["show", "log"] {
            let shown = node.run([command, &dataset])?.ok()?.event("versions")?;
            ensure!(
                shown["versions"][0]["head"]["expired"] == *expired,
                "{shown}"
            );
        }
        let listed = node.run(["ls", &dataset])?.ok()?;
        let says = listed.lines.iter().any(|line| line.contains("expired on"));
        ensure!(*expired == says, "{fetched}: {:?}", listed.lines);
        Ok(finished
            .events()?
            .iter()
            .any(|event| event["event"] == "warning" && event.to_string().contains("expired")))
    };
    ensure!(
        warned(72, version.clone().with_head(expired))?,
        "nothing says that the head has expired"
    );
    // Negative control: a fresh head needs no warning.
    ensure!(!warned(73, version)?);
    Ok(())
}

#[test]
fn an_honest_handmade_dataset_is_fetched_by_its_dataset_id() -> Result<()> {
    // Negative control of the whole file.
    let world = world()?;
    let texts = [("a/b.txt", "1"), ("c.txt", "2")];
    let version = Author::new(61, "good")?.version(0, None, &files(&texts))?;
    let dataset = version.dataset.to_string();
    let peer = serve(&world, 62, version)?;
    let (output, expected) = (world.path("fetched"), world.path("expected"));
    std::fs::create_dir_all(expected.join("a"))?;
    for (path, text) in texts {
        std::fs::write(expected.join(path), text)?;
    }
    world
        .node("fetcher")
        .fetch(&dataset, &output, &["--peer", peer.address()])?
        .ok()?;
    ensure_equal(&expected, &output)
}
