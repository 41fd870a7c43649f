//! The gateway on a node that holds nothing: it reads from peers what clients ask for, and no wrong byte.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use opendag_tests::{
    Daemon, MIB, Tree, World,
    hostile::{Author, Conduct, Library, Peer},
    http::{Answer, request, status_line},
    tree::{Mtime, flip_bit},
    world::text,
};
use serde_json::Value;

use crate::common::{Swarm, world};

/// A daemon that holds nothing, with a gateway, which knows some peers.
pub(crate) fn gateway(world: &World, peers: &[&str]) -> Result<(Daemon, String)> {
    let mut args = vec!["--gateway", "127.0.0.1:0", "--s3", "127.0.0.1:0"];
    for peer in peers {
        args.extend(["--bootstrap", peer]);
    }
    let daemon = world.node("gateway").daemon(args)?;
    let url = text(&daemon.ready, "gateway")?;
    Ok((daemon, url))
}

pub(crate) fn get(url: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    request(url, "GET", path, headers, "")
}

/// A JSON answer, whose body may come in chunks.
pub(crate) fn json(answer: &Answer) -> Result<Value> {
    let text = String::from_utf8_lossy(&answer.body);
    let whole = match answer.head.contains("transfer-encoding: chunked") {
        true => text.split("\r\n").skip(1).step_by(2).collect::<String>(),
        false => text.into_owned(),
    };
    serde_json::from_str(&whole).with_context(|| format!("no JSON: {whole}"))
}

/// The SHA-256 of a file, by another program than the one under test.
fn sha256(path: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(path).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split(' ').next().context("a digest")?.to_owned())
}

pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let lines = answer.head.lines();
    let mut values = lines.filter_map(|line| line.split_once(": "));
    values.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[test]
fn p2_a_gateway_that_holds_nothing_reads_from_peers_of_which_one_was_altered() -> Result<()> {
    let tree = Tree::new(161)
        .file("large.bin", 24 * MIB + 5)
        .file("dir/small.txt", 5000)
        .file("dir/empty", 0)
        .file("dir/ü b+c%.bin", MIB + 1);
    let mut swarm = Swarm::start(&tree, 2, "100MB")?;
    for part in 0..24 {
        let mirrored = swarm.world.path("mirror1/large.bin");
        flip_bit(&mirrored, part * MIB + 17, Mtime::Keep)?;
    }
    let peers: Vec<_> = swarm
        .seeds
        .iter()
        .map(|seed| seed.address().map(str::to_owned))
        .collect::<Result<_>>()?;
    let peers: Vec<_> = peers.iter().map(String::as_str).collect();
    let (gateway, url) = gateway(&swarm.world, &peers)?;
    let dataset = text(&swarm.published, "dataset")?;
    let original = fs::read(swarm.source.join("large.bin"))?;
    let base = format!("/datasets/opendag/{dataset}/resolve/main");

    // A part of a large file first: the rest is not waited for.
    let at = 20 * 1024 * 1024 + 3;
    let range = format!("bytes={at}-{}", at + 99);
    let part = get(&url, &format!("{base}/large.bin"), &[("Range", &range)])?;
    ensure!(
        part.status == 206 && part.body == original[at..at + 100],
        "{part:?}"
    );
    for (path, encoded) in [
        ("large.bin", "large.bin"),
        ("dir/small.txt", "dir%2Fsmall.txt"),
        ("dir/empty", "dir/empty"),
        ("dir/ü b+c%.bin", "dir/%C3%BC%20b%2Bc%25.bin"),
    ] {
        let answer = get(&url, &format!("{base}/{encoded}"), &[])?;
        ensure!(answer.status == 200, "{path}: {}", answer.head);
        ensure!(
            answer.body == fs::read(swarm.source.join(path))?,
            "{path} has other bytes"
        );
    }
    // It is kept: nobody else is needed any more, also after a restart.
    for seed in swarm.seeds.drain(..) {
        seed.stop()?;
    }
    let again = get(&url, &format!("{base}/large.bin"), &[])?;
    ensure!(again.status == 200 && again.body == original);
    let node = gateway.node().clone();
    gateway.stop()?;
    let gateway = node.daemon(["--gateway", "127.0.0.1:0"])?;
    let again = get(
        &text(&gateway.ready, "gateway")?,
        &format!("{base}/large.bin"),
        &[],
    )?;
    ensure!(
        again.status == 200 && again.body == original,
        "{}",
        again.head
    );
    Ok(())
}

#[test]
fn p2_a_liar_beside_an_honest_peer_gives_readers_no_wrong_byte() -> Result<()> {
    let world = world()?;
    let tree = Tree::new(162)
        .file("large.bin", 8 * MIB + 5)
        .file("small.txt", 5000);
    let source = tree.write(&world.path("source"))?;
    let version = Author::new(62, "handmade")?.version(0, None, &tree.read()?)?;
    let library = || Library::from(version.clone());
    let honest = Peer::start(world.network(), 62, library(), Conduct::Honest)?;
    let liar = Peer::start(world.network(), 200, library(), Conduct::WrongFirst)?;
    let (_gateway, url) = gateway(&world, &[liar.address(), honest.address()])?;
    for path in ["large.bin", "small.txt"] {
        let answer = get(&url, &format!("/d/{}/{path}", version.dataset), &[])?;
        ensure!(answer.status == 200, "{}", answer.head);
        ensure!(
            answer.body == fs::read(source.join(path))?,
            "{path} has wrong bytes"
        );
    }
    ensure!(liar.counts().asked() > 0, "the liar was never asked");
    Ok(())
}

#[test]
fn a_description_that_nobody_gives_is_waited_for_once_by_all_readers() -> Result<()> {
    let world = world()?;
    let source = Tree::new(176)
        .file("a.bin", 9)
        .write(&world.path("source"))?;
    let author = world.node("author");
    let dataset = text(&author.publish(&source, "data")?, "dataset")?;
    let records = world.path("records.json").display().to_string();
    author
        .run(["manifest", "export", "data", "-o", &records])?
        .ok()?;
    let reader = world.node("reader");
    reader.run(["show", &records])?.ok()?;
    let daemon = reader.daemon(["--gateway", "127.0.0.1:0"])?;
    let url = text(&daemon.ready, "gateway")?;
    let path = format!("/d/{dataset}/a.bin");
    let start = Instant::now();
    let answers: Vec<_> = thread::scope(|scope| {
        let ask = |method| {
            let (url, path) = (&url, &path);
            scope.spawn(move || request(url, method, path, &[], ""))
        };
        let asking = ["HEAD", "GET", "HEAD", "GET"].map(ask);
        asking.map(|asked| asked.join()).into_iter().collect()
    });
    // One after the other they would take 32 s.
    ensure!(
        start.elapsed() < Duration::from_secs(24),
        "{:?}",
        start.elapsed()
    );
    for answer in answers {
        let answer = answer.map_err(|_| anyhow!("a reader panicked"))??;
        ensure!(
            answer.status == 429 && header(&answer, "retry-after") == Some("1"),
            "{}",
            answer.head
        );
    }
    Ok(())
}

#[test]
fn what_nobody_has_is_waited_for_and_what_is_unknown_is_not_found() -> Result<()> {
    let tree = Tree::new(163).file("a.bin", 2 * MIB);
    let mut swarm = Swarm::start(&tree, 1, "100MB")?;
    let peer = swarm.seeds[0].address()?.to_owned();
    let (gateway, url) = gateway(&swarm.world, &[&peer])?;
    let dataset = text(&swarm.published, "dataset")?;
    let base = format!("/datasets/opendag/{dataset}/resolve/main");
    let head = request(&url, "HEAD", &format!("{base}/a.bin"), &[], "")?;
    ensure!(
        head.status == 200 && header(&head, "content-length") == Some("2097152"),
        "{}",
        head.head
    );
    swarm.seeds.remove(0).stop()?;
    // Clients of the Hub get a status before they give up, and the bytes if they come; those of S3 come again.
    let status = status_line(&url, &format!("{base}/a.bin"))?;
    ensure!(status.contains(" 200 "), "{status}");
    let object = format!("/opendag/{dataset}/a.bin");
    let answer = get(&text(&gateway.ready, "s3")?, &object, &[])?;
    ensure!(
        answer.status == 503 && header(&answer, "retry-after") == Some("1"),
        "{}",
        answer.head
    );
    ensure!(
        String::from_utf8_lossy(&answer.body).contains("waits for"),
        "{answer:?}"
    );
    // What is described here needs nobody.
    let head = request(&url, "HEAD", &format!("{base}/a.bin"), &[], "")?;
    ensure!(head.status == 200);
    for (path, code) in [
        (
            format!("/datasets/opendag/{dataset}/resolve/main/b.bin"),
            "entrynotfound",
        ),
        (
            format!("/datasets/opendag/{dataset}/resolve/main/../a.bin"),
            "entrynotfound",
        ),
        (
            format!("/datasets/opendag/{dataset}/resolve/v9/a.bin"),
            "revisionnotfound",
        ),
        (
            format!("/api/datasets/opendag/{dataset}/tree/main/nothing"),
            "entrynotfound",
        ),
        (
            "/api/datasets/opendag/no-such-name".to_owned(),
            "reponotfound",
        ),
        ("/api/datasets/elsewhere/data".to_owned(), "reponotfound"),
    ] {
        let answer = get(&url, &path, &[])?;
        ensure!(
            answer.status == 404 && header(&answer, "x-error-code") == Some(code),
            "{path}: {}",
            answer.head
        );
    }
    for path in [
        "/api/whoami-v2",
        "/api/telemetry/x",
        "/",
        "/favicon.ico",
        "/d/",
        "/d/x/y",
    ] {
        ensure!(get(&url, path, &[])?.status == 404, "{path}");
    }
    Ok(())
}

#[test]
fn the_read_api_of_the_hub_tells_versions_and_files() -> Result<()> {
    let world = world()?;
    let mut tree = Tree::new(164)
        .file("about.bin", 50)
        .file("data/a.bin", 100_000);
    for index in 0..2500 {
        tree = tree.file(&format!("many/{index:04}.txt"), index % 7);
    }
    let source = tree.write(&world.path("source"))?;
    let daemon = world.node("node").daemon(["--gateway", "127.0.0.1:0"])?;
    let first = daemon.node().publish(&source, "data")?;
    let url = text(&daemon.ready, "gateway")?;
    let info = json(&get(&url, "/api/datasets/opendag/data?blobs=true", &[])?)?;
    let sha = info["sha"].as_str().context("a sha")?.to_owned();
    let siblings = info["siblings"].as_array().context("siblings")?;
    ensure!(
        sha.len() == 40 && siblings.len() == 2502,
        "{sha} {}",
        siblings.len()
    );
    let file = siblings
        .iter()
        .find(|file| file["rfilename"] == "data/a.bin")
        .context("a file")?;
    let sha256 = sha256(&source.join("data/a.bin"))?;
    ensure!(
        file["size"] == 100_000 && file["lfs"]["sha256"] == sha256.as_str(),
        "{file}"
    );

    // All files and folders over pages, each once and in order; then the top of it, and one folder.
    let mut listed = Vec::new();
    let mut next = Some("/api/datasets/opendag/data/tree/main?recursive=true".to_owned());
    while let Some(path) = next {
        let answer = get(&url, &path, &[])?;
        let page = json(&answer)?;
        listed.extend(
            page.as_array()
                .context("a page")?
                .iter()
                .map(|file| file["path"].to_string()),
        );
        let link = header(&answer, "link").and_then(|link| link.split(['<', '>']).nth(1));
        next = link.map(|link| link.trim_start_matches(&url).to_owned());
    }
    ensure!(
        listed.len() == 2504 && listed.is_sorted(),
        "{}",
        listed.len()
    );
    let top = json(&get(&url, "/api/datasets/opendag/data/tree/main", &[])?)?;
    let kinds: Vec<_> = top
        .as_array()
        .context("entries")?
        .iter()
        .map(|entry| entry["type"].clone())
        .collect();
    ensure!(kinds == ["file", "directory", "directory"], "{top}");
    let folder = json(&get(
        &url,
        "/api/datasets/opendag/data/tree/main/data",
        &[],
    )?)?;
    ensure!(
        folder[0]["path"] == "data/a.bin" && folder[0]["lfs"]["oid"] == sha256.as_str(),
        "{folder}"
    );

    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let path = format!("/api/datasets/opendag/data/paths-info/{sha}");
    let body = "paths=data%2Fa.bin&paths=many&paths=nothing&expand=false";
    let found = json(&request(&url, "POST", &path, &[form], body)?)?;
    ensure!(
        found.as_array().is_some_and(|found| found.len() == 2),
        "{found}"
    );

    // A second version: main is it, and the first one stays under its names.
    fs::write(source.join("data/a.bin"), "changed")?;
    let folder = source.display().to_string();
    let args = ["publish", &folder, "--name", "data", "--label", "v1.1"];
    let second = daemon.node().run(args)?.ok()?.event("published")?;
    let newest = json(&get(&url, "/api/datasets/opendag/data", &[])?)?;
    ensure!(newest["sha"] != sha.as_str());
    for revision in ["v1.1", "1", newest["sha"].as_str().unwrap_or_default()] {
        let info = json(&get(
            &url,
            &format!("/api/datasets/opendag/data/revision/{revision}"),
            &[],
        )?)?;
        ensure!(info["sha"] == newest["sha"], "{revision}");
    }
    let manifest = text(&first, "manifest")?;
    for name in [
        format!("data/revision/{sha}"),
        "data/revision/0".to_owned(),
        manifest,
    ] {
        let info = json(&get(&url, &format!("/api/datasets/opendag/{name}"), &[])?)?;
        ensure!(info["sha"] == sha.as_str(), "{name}: {info}");
    }
    let refs = json(&get(&url, "/api/datasets/opendag/data/refs", &[])?)?;
    ensure!(
        refs["tags"][0]["name"] == "v1.1" && refs["branches"][0]["name"] == "main",
        "{refs}"
    );
    let commits = json(&get(&url, "/api/datasets/opendag/data/commits/main", &[])?)?;
    ensure!(
        commits.as_array().is_some_and(|all| all.len() == 2) && commits[1]["id"] == sha.as_str(),
        "{commits}"
    );
    ensure!(second["sequence"] == 1);
    Ok(())
}

/// Headers, the status, and the body if it matters.
type Case<'a> = (&'a [(&'a str, &'a str)], u16, Option<&'a [u8]>);

#[test]
fn ranges_and_conditions_have_the_right_answers() -> Result<()> {
    let world = world()?;
    let sizes = [0, 1, 16 * 1024, 256 * 1024, 256 * 1024 + 1, MIB - 1];
    let tree = sizes.iter().fold(Tree::new(165), |tree, size| {
        tree.file(&format!("{size}.bin"), *size)
    });
    let source = tree.write(&world.path("source"))?;
    let daemon = world.node("node").daemon(["--gateway", "127.0.0.1:0"])?;
    let published = daemon.node().publish(&source, "data")?;
    let url = text(&daemon.ready, "gateway")?;
    let base = format!("/d/{}", text(&published, "dataset")?);
    for size in sizes {
        let answer = get(&url, &format!("{base}/{size}.bin"), &[])?;
        ensure!(
            answer.status == 200 && answer.body == fs::read(source.join(format!("{size}.bin")))?
        );
        ensure!(header(&answer, "content-length") == Some(size.to_string().as_str()));
    }
    let (path, original) = (
        format!("{base}/262145.bin"),
        fs::read(source.join("262145.bin"))?,
    );
    let etag = header(&get(&url, &path, &[])?, "etag")
        .context("an etag")?
        .to_owned();
    let cases: [Case; 10] = [
        (
            &[("Range", "bytes=262143-262144")],
            206,
            Some(&original[262_143..]),
        ),
        (&[("Range", "bytes=-3")], 206, Some(&original[262_142..])),
        (&[("Range", "bytes=0-0")], 206, Some(&original[..1])),
        (
            &[("Range", "bytes=5-99999999999999999999999")],
            206,
            Some(&original[5..]),
        ),
        (&[("Range", "bytes=262145-")], 416, Some(b"")),
        (&[("Range", "bytes=0-1,5-6,0-1")], 200, Some(&original)),
        (&[("If-None-Match", &etag)], 304, Some(b"")),
        (&[("If-Match", "\"other\"")], 412, Some(b"")),
        (
            &[("If-Range", "\"other\""), ("Range", "bytes=0-0")],
            200,
            Some(&original),
        ),
        (&[("Host", "evil.example")], 421, None),
    ];
    for (headers, status, body) in cases {
        let answer = get(&url, &path, headers)?;
        ensure!(answer.status == status, "{headers:?}: {}", answer.head);
        ensure!(
            body.is_none_or(|body| answer.body == body),
            "{headers:?}: other bytes"
        );
    }
    Ok(())
}

#[test]
fn s17_strangers_pages_do_not_run_and_hostile_requests_get_nothing() -> Result<()> {
    let world = world()?;
    let source = Tree::new(166)
        .file("a.bin", 10)
        .write(&world.path("source"))?;
    fs::write(source.join("page.html"), "<script>alert(1)</script>")?;
    let daemon = world.node("node").daemon(["--gateway", "127.0.0.1:0"])?;
    let published = daemon.node().publish(&source, "data")?;
    let url = text(&daemon.ready, "gateway")?;
    let base = format!("/d/{}", text(&published, "dataset")?);
    let path = format!("{base}/a.bin");
    let page = get(&url, &format!("{base}/page.html"), &[])?;
    ensure!(
        page.head.contains("sandbox") && page.head.contains("nosniff"),
        "a stranger's page would run: {}",
        page.head
    );
    for hostile in [
        "/d/../api.json",
        "/d/x/y",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        &format!("{base}/..%2f..%2fapi.json"),
        &format!("{base}/%ff"),
        &format!("{base}/a%2"),
        "/datasets/opendag/data/resolve/main/..%2F..%2Fapi.json",
    ] {
        let status = get(&url, hostile, &[])?.status;
        ensure!(
            (400..500).contains(&status),
            "{hostile} was answered with {status}"
        );
    }
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        ensure!(
            request(&url, method, &path, &[], "x")?.status == 405,
            "{method}"
        );
    }
    Ok(())
}
