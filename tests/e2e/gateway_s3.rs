//! The read-only S3 on a node that holds nothing.

use std::fs;

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    MIB, Tree,
    http::{Answer, request},
    world::text,
};

use crate::{
    common::Swarm,
    gateway::{get, header},
};

/// The texts of an element of an XML answer, in order.
pub(crate) fn texts(answer: &Answer, name: &str) -> Vec<String> {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = body.split(&open).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(&close)?.0.to_owned()))
        .collect()
}

#[test]
fn s3_clients_list_and_read_what_lies_on_peers_and_write_nothing() -> Result<()> {
    let mut tree = Tree::new(167)
        .file("data-1.txt", 10)
        .file("data.txt", 11)
        .file("data/a & <b>.bin", MIB)
        .file("data/deep/x", 3)
        .file("data/deep/y", 4)
        .file("data/z", 5);
    for index in 0..1200 {
        tree = tree.file(&format!("many/{index:04}"), 1);
    }
    let swarm = Swarm::start(&tree, 1, "100MB")?;
    let args = [
        "--s3",
        "127.0.0.1:0",
        "--bootstrap",
        swarm.seeds[0].address()?,
    ];
    let daemon = swarm.world.node("gateway").daemon(args)?;
    let url = text(&daemon.ready, "s3")?;
    let dataset = text(&swarm.published, "dataset")?;

    let all = get(&url, "/", &[])?;
    ensure!(
        all.status == 200 && texts(&all, "Name") == ["opendag"],
        "{all:?}"
    );
    ensure!(request(&url, "HEAD", "/opendag", &[], "")?.status == 200);
    ensure!(get(&url, "/other?list-type=2", &[])?.status == 404);

    // A folder: files, and what lies deeper as prefixes; in pages of any size the same, each once.
    let list = format!("/opendag?list-type=2&delimiter=%2F&prefix={dataset}%2F");
    for keys_max in [1, 2, 1000] {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = get(&url, &format!("{list}&max-keys={keys_max}{token}"), &[])?;
            ensure!(page.status == 200, "{page:?}");
            found.extend(texts(&page, "Key"));
            found.extend(texts(&page, "CommonPrefixes"));
            let Some(next) = texts(&page, "NextContinuationToken").pop() else {
                break;
            };
            token = format!("&continuation-token={}", next.replace('/', "%2F"));
        }
        let prefix = |name: &str| format!("<Prefix>{dataset}/{name}/</Prefix>");
        let file = |name: &str| format!("{dataset}/{name}");
        let mut expected = vec![
            file("data-1.txt"),
            file("data.txt"),
            prefix("data"),
            prefix("many"),
        ];
        found.sort();
        expected.sort();
        ensure!(found == expected, "pages of {keys_max}: {found:?}");
    }
    // Without a delimiter all keys, over pages; names with odd characters come back.
    let list = format!("/opendag?list-type=2&encoding-type=url&prefix={dataset}%2Fdata");
    let keys = texts(&get(&url, &list, &[])?, "Key");
    ensure!(
        keys.len() == 6 && keys.contains(&format!("{dataset}/data/a%20%26%20%3Cb%3E.bin")),
        "{keys:?}"
    );
    let first = get(&url, &format!("/opendag?prefix={dataset}%2F"), &[])?;
    let marker = texts(&first, "NextMarker")
        .pop()
        .context("a marker")?
        .replace('/', "%2F");
    let second = get(
        &url,
        &format!("/opendag?prefix={dataset}%2F&marker={marker}"),
        &[],
    )?;
    ensure!(
        texts(&first, "Key").len() == 1000 && texts(&second, "Key").len() == 206,
        "1,206 keys"
    );

    let key = format!("/opendag/{dataset}/data/a%20%26%20%3Cb%3E.bin");
    let original = fs::read(swarm.source.join("data/a & <b>.bin"))?;
    let head = request(
        &url,
        "HEAD",
        &key,
        &[("Authorization", "AWS4-HMAC-SHA256 x")],
        "",
    )?;
    ensure!(
        head.status == 200 && header(&head, "last-modified").is_some(),
        "{}",
        head.head
    );
    let part = get(&url, &key, &[("Range", "bytes=1000000-")])?;
    ensure!(part.status == 206 && part.body == original[1_000_000..]);
    ensure!(get(&url, &key, &[])?.body == original);
    let missing = get(&url, &format!("/opendag/{dataset}/nothing"), &[])?;
    ensure!(
        missing.status == 404 && texts(&missing, "Code") == ["NoSuchKey"],
        "{missing:?}"
    );
    for method in ["PUT", "POST", "DELETE"] {
        let refused = request(&url, method, &key, &[], "x")?;
        ensure!(
            refused.status == 403 && texts(&refused, "Code") == ["AccessDenied"],
            "{method}"
        );
    }
    let env = daemon
        .node()
        .run(["env", "--shell", "fish"])?
        .ok()?
        .event("env")?;
    ensure!(
        env["variables"]["AWS_ENDPOINT_URL"] == url.as_str(),
        "{env}"
    );
    ensure!(
        env["variables"]["HF_ENDPOINT"].is_null(),
        "there is no gateway: {env}"
    );
    ensure!(
        swarm.seeds[0].node().run(["env"])?.code == Some(1),
        "it has no listener"
    );
    let bad = get(&url, "/opendag?list-type=2&max-keys=x", &[])?;
    ensure!(bad.status == 400, "{}", bad.head);
    Ok(())
}
