//! Publishers by the names that a user gave them, and folders as pages, through the gateway.

use std::fs;

use anyhow::{Context, Result, ensure};
use opendag_tests::{Node, Tree, http::request, world::text};
use serde_json::Value;

use crate::{
    common::{Swarm, ensure_equal, ensure_says, world},
    gateway::{gateway, get, header, json},
    gateway_s3::texts,
};

/// The public key with which a node publishes.
fn key(node: &Node, name: &str) -> Result<String> {
    let keys = node.run(["key", "list"])?.ok()?.event("keys")?;
    let keys = keys["keys"].as_array().context("keys")?;
    let key = keys.iter().find(|key| key["name"] == name);
    text(key.context("the key")?, "public")
}

fn aliases(node: &Node) -> Result<Value> {
    Ok(node.run(["alias", "list"])?.ok()?.event("aliases")?["aliases"].clone())
}

#[test]
fn an_alias_reaches_datasets_that_this_node_never_saw() -> Result<()> {
    let tree = Tree::new(171).file("a.bin", 100).file("dir/b.bin", 200);
    let swarm = Swarm::start(&tree, 1, "100MB")?;
    let seed = &swarm.seeds[0];
    let key = key(seed.node(), "default")?;
    let node = swarm.world.node("reader");
    let set = node.run(["alias", "set", "alice", &key])?.ok()?;
    ensure!(set.event("aliases")?["aliases"][0]["key"] == key.as_str());
    let args = [
        "--gateway",
        "127.0.0.1:0",
        "--s3",
        "127.0.0.1:0",
        "--bootstrap",
        seed.address()?,
    ];
    let daemon = node.daemon(args)?;
    let (hub, s3) = (text(&daemon.ready, "gateway")?, text(&daemon.ready, "s3")?);
    let original = fs::read(swarm.source.join("dir/b.bin"))?;

    // Nobody told this node of the dataset: name and key say what to look for.
    let file = get(&hub, "/datasets/alice/data/resolve/main/dir/b.bin", &[])?;
    ensure!(file.status == 200 && file.body == original, "{}", file.head);
    let info = json(&get(&hub, "/api/datasets/alice/data", &[])?)?;
    ensure!(
        info["id"] == "alice/data" && info["author"] == "alice",
        "{info}"
    );
    let plain = get(&hub, "/d/alice/data@0/dir/b.bin", &[])?;
    ensure!(
        plain.status == 200 && plain.body == original,
        "{}",
        plain.head
    );

    let buckets = texts(&get(&s3, "/", &[])?, "Name");
    ensure!(buckets == ["alice", "opendag"], "{buckets:?}");
    ensure!(request(&s3, "HEAD", "/alice", &[], "")?.status == 200);
    let names = get(&s3, "/alice?list-type=2&delimiter=%2F", &[])?;
    let prefix = "<CommonPrefixes><Prefix>data/</Prefix></CommonPrefixes>";
    ensure!(
        String::from_utf8_lossy(&names.body).contains(prefix),
        "{names:?}"
    );
    let keys = get(&s3, "/alice?list-type=2&prefix=data%2F", &[])?;
    ensure!(
        texts(&keys, "Key") == ["data/a.bin", "data/dir/b.bin"],
        "{keys:?}"
    );
    let object = get(&s3, "/alice/data/dir/b.bin", &[])?;
    ensure!(
        object.status == 200 && object.body == original,
        "{}",
        object.head
    );

    // A running daemon hears of changes at once.
    node.run(["alias", "set", "alice-2", &key])?.ok()?;
    ensure!(get(&hub, "/d/alice-2/data/a.bin", &[])?.status == 200);
    node.run(["alias", "rm", "alice"])?.ok()?;
    let gone = get(&hub, "/api/datasets/alice/data", &[])?;
    let (code, message) = (
        header(&gone, "x-error-code"),
        header(&gone, "x-error-message"),
    );
    ensure!(
        gone.status == 404 && code == Some("reponotfound"),
        "{}",
        gone.head
    );
    ensure!(
        message.is_some_and(|text| text.contains("opendag alias set alice")),
        "{message:?}"
    );
    let gone = get(&s3, "/alice?list-type=2", &[])?;
    ensure!(
        gone.status == 404 && texts(&gone, "Code") == ["NoSuchBucket"],
        "{gone:?}"
    );

    // It is the user's choice: no new start and no new index takes it away.
    daemon.stop()?;
    node.run(["reindex"])?.ok()?;
    fs::remove_dir_all(node.data_dir().join("index"))?;
    let kept = aliases(&node)?;
    ensure!(
        kept[0]["name"] == "alice-2" && kept[0]["key"] == key.as_str(),
        "{kept}"
    );
    let daemon = node.daemon(["--gateway", "127.0.0.1:0"])?;
    let hub = text(&daemon.ready, "gateway")?;
    ensure!(get(&hub, "/d/alice-2/data/a.bin", &[])?.status == 200);
    Ok(())
}

#[test]
fn an_alias_and_a_name_are_a_link_for_every_command() -> Result<()> {
    let tree = Tree::new(174).file("a.bin", 100).file("dir/b.bin", 200);
    let swarm = Swarm::start(&tree, 1, "100MB")?;
    let seed = &swarm.seeds[0];
    let folder = swarm.world.path("folder");
    fs::create_dir(&folder)?;
    let node = swarm.world.node("reader").inside(&folder);
    let theirs = text(&swarm.published, "dataset")?;
    let unknown = node.run(["show", "alice/data"])?.code(2)?;
    ensure_says(&unknown, &["alice/data", "opendag alias set alice KEY"])?;
    let owner = key(seed.node(), "default")?;
    node.run(["alias", "set", "alice", &owner])?.ok()?;

    // Nobody told this node of the dataset: name and key say what to look for.
    let peer = ["--peer", seed.address()?];
    node.fetch("alice/data@0", &swarm.world.path("fetched"), &peer)?
        .ok()?;
    ensure_equal(&swarm.source, &swarm.world.path("fetched"))?;

    // Another dataset of that name makes the name alone mean nothing.
    let mine = Tree::new(175)
        .file("a.bin", 5)
        .write(&swarm.world.path("mine"))?;
    let mine = text(&node.publish(&mine, "data")?, "dataset")?;
    node.run(["alias", "set", "myself", &key(&node, "default")?])?
        .ok()?;
    let all = |node: &Node| -> Result<()> {
        ensure_says(&node.run(["show", "data"])?.code(2)?, &[&theirs, &mine])?;
        for (link, dataset) in [
            ("alice/data", &theirs),
            ("alice/data@main", &theirs),
            ("alice/data@0", &theirs),
            ("myself/data", &mine),
        ] {
            let shown = node.run(["show", link])?.ok()?.event("versions")?;
            let shown = &shown["versions"][0]["dataset"];
            ensure!(shown == dataset.as_str(), "{link}: {shown}");
        }
        for line in [
            ["log", "alice/data"].as_slice(),
            &["diff", "alice/data@0", "myself/data"],
            &["verify", "alice/data"],
            &["pin", "alice/data"],
            &["unpin", "alice/data"],
            &["lineage", "alice/data"],
            &["owners", "show", "alice/data"],
            &["ls", "alice/data"],
        ] {
            node.run(line)?.ok()?;
        }
        for nothing in ["alice/data@9", "alice/other", "alice/data/a.bin"] {
            let refused = node.run(["show", nothing, "--timeout", "1s"])?;
            ensure!(refused.code != Some(0), "{nothing}: {refused:?}");
        }
        Ok(())
    };
    all(&node)?;
    let daemon = node.daemon::<&str>([])?;
    all(daemon.node())?;
    daemon.stop()?;

    // A file that is there is meant, whatever is called so.
    fs::create_dir(folder.join("alice"))?;
    fs::write(folder.join("alice/data"), "no manifest")?;
    ensure_says(
        &node.run(["show", "alice/data"])?.code(2)?,
        &["folder/alice/data"],
    )
}

#[test]
fn p8_names_and_keys_that_cannot_be_are_refused_with_a_sentence() -> Result<()> {
    let world = world()?;
    let node = world.node("node");
    node.run(["key", "new", "default"])?.ok()?;
    let key = key(&node, "default")?;
    for (name, key, word) in [
        ("opendag", key.as_str(), "a meaning of its own"),
        ("A", &key, "3 to 63"),
        ("al_ice", &key, "3 to 63"),
        ("../x", &key, "3 to 63"),
        ("alice", "default", "public key"),
        ("alice", &key[..key.len() - 1], "public key"),
    ] {
        let refused = node.run(["alias", "set", name, key])?.code(2)?;
        ensure_says(&refused, &[word])?;
    }
    let refused = node.run(["alias", "rm", "alice"])?.code(2)?;
    ensure_says(&refused, &["no alias alice"])?;
    ensure!(aliases(&node)?.as_array().is_some_and(Vec::is_empty));
    Ok(())
}

#[test]
fn a_name_of_two_datasets_is_refused_and_a_key_that_did_not_sign_is_no_owner() -> Result<()> {
    let world = world()?;
    let source = Tree::new(172).file("x", 10).write(&world.path("source"))?;
    let daemon = world
        .node("node")
        .daemon(["--gateway", "127.0.0.1:0", "--s3", "127.0.0.1:0"])?;
    let (node, hub, s3) = (
        daemon.node(),
        text(&daemon.ready, "gateway")?,
        text(&daemon.ready, "s3")?,
    );
    node.run(["key", "new", "second"])?.ok()?;
    let folder = source.display().to_string();
    let publish = [
        "publish",
        &folder,
        "--name",
        "data",
        "--license",
        "CC0-1.0",
        "--key",
        "second",
    ];
    let handed_over = text(&node.run(publish)?.ok()?.event("published")?, "dataset")?;
    node.publish(&source, "data")?;
    node.run(["alias", "set", "alice", &key(node, "default")?])?
        .ok()?;
    ensure!(get(&hub, "/d/alice/data/x", &[])?.status == 200);
    // Handed over to the first key, which has a dataset of that name already.
    node.run(["key", "rotate", &handed_over, "--owner", "default"])?
        .ok()?;
    let plain = get(&hub, "/d/alice/data/x", &[])?;
    let said = String::from_utf8_lossy(&plain.body).into_owned();
    ensure!(
        plain.status == 409 && said.contains(&handed_over),
        "{}: {said}",
        plain.head
    );
    let repo = get(&hub, "/api/datasets/alice/data", &[])?;
    let message = header(&repo, "x-error-message").unwrap_or_default();
    ensure!(
        repo.status == 404 && message.contains("2 datasets"),
        "{}",
        repo.head
    );
    for path in ["/alice/data/x", "/alice?list-type=2&prefix=data%2F"] {
        let refused = get(&s3, path, &[])?;
        ensure!(
            refused.status == 409 && texts(&refused, "Code") == ["AmbiguousName"],
            "{path}"
        );
    }

    // Another publisher names the same key as an owner of theirs; it never signed that.
    let other = world.node("other").daemon(["--gateway", "127.0.0.1:0"])?;
    let (mallory, hub) = (other.node(), text(&other.ready, "gateway")?);
    mallory.publish(&source, "trap")?;
    let stolen = key(node, "default")?;
    let rotate = [
        "key", "rotate", "trap", "--owner", "default", "--owner", &stolen,
    ];
    mallory.run(rotate)?.ok()?;
    mallory.run(["alias", "set", "alice", &stolen])?.ok()?;
    mallory
        .run(["alias", "set", "mallory", &key(mallory, "default")?])?
        .ok()?;
    ensure!(get(&hub, "/d/alice/trap/x", &[])?.status == 404);
    ensure!(get(&hub, "/d/mallory/trap/x", &[])?.status == 200);
    Ok(())
}

#[test]
fn folders_are_listed_for_people_and_for_programs() -> Result<()> {
    let odd = ["<script>&amp;.txt", "a b+c%20.txt", "ü'\".txt", "(#).txt"];
    let mut tree = Tree::new(173).file("top.bin", 1234).file("many/deep/x", 1);
    for name in odd {
        tree = tree.file(&format!("odd & more/{name}"), 5);
    }
    for index in 0..2300 {
        tree = tree.file(&format!("many/{index:04}"), 0);
    }
    let swarm = Swarm::start(&tree, 1, "100MB")?;
    let (_daemon, url) = gateway(&swarm.world, &[swarm.seeds[0].address()?])?;
    let base = format!("/d/{}", text(&swarm.published, "dataset")?);
    let program = [("Accept", "application/json")];

    let bare = get(&url, &base, &[])?;
    ensure!(bare.status == 307 && header(&bare, "location") == Some(&format!("{base}/")));
    let folder = get(&url, &format!("{base}/odd%20%26%20more"), &[])?;
    let location = format!("{base}/odd%20%26%20more/");
    ensure!(
        folder.status == 307 && header(&folder, "location") == Some(&location),
        "{}",
        folder.head
    );

    // A browser's page: its links lead to the files.
    let page = get(
        &url,
        &format!("{base}/odd%20%26%20more/"),
        &[("Accept", "text/html,*/*;q=0.8")],
    )?;
    let html = String::from_utf8(page.body.clone())?;
    ensure!(
        page.head.contains("content-type: text/html"),
        "{}",
        page.head
    );
    for word in [
        "nosniff",
        "default-src 'none'",
        "sandbox allow-downloads",
        "vary: accept",
    ] {
        ensure!(page.head.contains(word), "{word}: {}", page.head);
    }
    ensure!(
        !html.contains("<script") && html.contains("odd &amp; more"),
        "{html}"
    );
    let links: Vec<_> = html
        .split("href=\"./")
        .skip(1)
        .filter_map(|part| part.split('"').next())
        .collect();
    ensure!(links.len() == odd.len(), "{links:?}");
    for link in links {
        let file = get(&url, &format!("{base}/odd%20%26%20more/{link}"), &[])?;
        ensure!(
            file.status == 200 && file.body.len() == 5,
            "{link}: {}",
            file.head
        );
    }
    let head = request(&url, "HEAD", &format!("{base}/"), &[], "")?;
    ensure!(head.status == 200 && head.body.is_empty(), "{}", head.head);
    let length = header(&head, "content-length")
        .context("a length")?
        .to_owned();
    ensure!(length == get(&url, &format!("{base}/"), &[])?.body.len().to_string());

    // The root, then a large folder in pages: each entry once and in order.
    let root = get(&url, &format!("{base}/"), &program)?;
    let list = json(&root)?;
    let kinds: Vec<_> = list["entries"]
        .as_array()
        .context("entries")?
        .iter()
        .map(|entry| &entry["type"])
        .collect();
    ensure!(
        kinds == ["folder", "folder", "file"] && list["next"].is_null(),
        "{list}"
    );
    ensure!(
        list["path"] == "" && list["manifest"] == swarm.published["manifest"],
        "{list}"
    );
    ensure!(
        list["entries"][2]["size"] == 1234 && list["entries"][2]["sha256"].is_string(),
        "{list}"
    );
    for limit in ["", "?limit=7", "?limit=999"] {
        let (mut paths, mut query) = (Vec::new(), Some(limit.to_owned()));
        while let Some(next) = query {
            let answer = get(&url, &format!("{base}/many/{next}"), &program)?;
            let page = json(&answer)?;
            let entries = page["entries"].as_array().context("entries")?;
            paths.extend(
                entries
                    .iter()
                    .map(|entry| entry["path"].as_str().unwrap_or_default().to_owned()),
            );
            query = page["next"].as_str().map(str::to_owned);
            ensure!(
                query.is_some() == header(&answer, "link").is_some(),
                "{}",
                answer.head
            );
        }
        ensure!(
            paths.len() == 2301 && paths.is_sorted(),
            "{limit}: {} entries",
            paths.len()
        );
        ensure!(paths[2300] == "many/deep/" || paths.contains(&"many/deep/".to_owned()));
    }
    for (path, status) in [
        ("/nothing/", 404),
        ("/top.bin/", 404),
        ("/nothing", 404),
        ("/many/..%2f", 404),
        ("//", 404),
        ("/many/?after=zzz", 200),
        ("/nothing/?after=a", 404),
    ] {
        let answer = get(&url, &format!("{base}{path}"), &program)?;
        ensure!(answer.status == status, "{path}: {}", answer.head);
    }
    Ok(())
}
