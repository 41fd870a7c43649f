//! The two HTTP listeners of a daemon: who may use the API, and what the gateway serves.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    MIB, Tree,
    http::{beginning, request},
    tree::{Mtime, flip_bit},
    world::text,
};

use crate::common::world;

/// A body that has stopped for so long goes on only if a peer comes.
const SILENCE: Duration = Duration::from_secs(3);

#[test]
fn s16_s17_the_api_answers_nobody_without_its_token() -> Result<()> {
    let world = world()?;
    let daemon = world.node("node").daemon::<&str>([])?;
    let api = text(&daemon.ready, "api")?;
    let file = daemon.node().data_dir().join("api.json");
    let mode = fs::metadata(&file)?.permissions().mode();
    ensure!(mode & 0o077 == 0, "others may read the token: {mode:o}");
    let said: serde_json::Value = serde_json::from_slice(&fs::read(&file)?)?;
    let right = format!("Bearer {}", said["token"].as_str().context("a token")?);

    let ask = |headers: &[(&str, &str)]| {
        request(&api, "POST", "/v1/id", headers, "{}").map(|answer| answer.status)
    };
    let json = ("Content-Type", "application/json");
    ensure!(ask(&[json])? == 401, "without a token");
    ensure!(
        ask(&[json, ("Authorization", "Bearer 00")])? == 401,
        "with a wrong token"
    );
    let rebound = ask(&[json, ("Authorization", &right), ("Host", "evil.example")])?;
    ensure!(
        (400..500).contains(&rebound),
        "a rebound name was answered: {rebound}"
    );
    let page = ask(&[
        json,
        ("Authorization", &right),
        ("Origin", "http://evil.example"),
    ])?;
    ensure!(
        (400..500).contains(&page),
        "another origin was answered: {page}"
    );
    // Negative control: the same request from somebody who may.
    let answer = request(
        &api,
        "POST",
        "/v1/id",
        &[json, ("Authorization", &right)],
        "null",
    )?;
    ensure!(
        answer.status == 200 && String::from_utf8_lossy(&answer.body).contains(&daemon.peer),
        "{answer:?}"
    );
    Ok(())
}

#[test]
fn p2_the_gateway_serves_ranges_and_never_a_changed_file() -> Result<()> {
    let world = world()?;
    let source = Tree::new(151)
        .file("large.bin", 3 * MIB + 7)
        .write(&world.path("source"))?;
    fs::write(source.join("page.html"), "<script>alert(1)</script>")?;
    let daemon = world.node("node").daemon(["--gateway", "127.0.0.1:0"])?;
    let published = daemon.node().publish(&source, "data")?;
    let gateway = text(&daemon.ready, "gateway")?;
    let path = format!("/d/{}/large.bin", text(&published, "dataset")?);
    let original = fs::read(source.join("large.bin"))?;

    let whole = request(&gateway, "GET", &path, &[], "")?;
    ensure!(
        whole.status == 200 && whole.body == original,
        "{} {}",
        whole.status,
        whole.head
    );
    let part = request(
        &gateway,
        "GET",
        &path,
        &[("Range", "bytes=16383-16386")],
        "",
    )?;
    ensure!(
        part.status == 206 && part.body == original[16_383..=16_386],
        "{part:?}"
    );
    let beyond = request(&gateway, "GET", &path, &[("Range", "bytes=99999999-")], "")?;
    ensure!(beyond.status == 416, "{}", beyond.head);
    let page = request(
        &gateway,
        "GET",
        &path.replace("large.bin", "page.html"),
        &[],
        "",
    )?;
    ensure!(
        page.status == 200 && page.head.contains("sandbox"),
        "a stranger's page would run here: {}",
        page.head
    );
    for hostile in [
        "/d/../api.json",
        "/d/x/y",
        "/../../etc/passwd",
        &path.replace("large.bin", "..%2f..%2fapi.json"),
    ] {
        let status = request(&gateway, "GET", hostile, &[], "")?.status;
        ensure!(
            (400..500).contains(&status),
            "{hostile} was answered with {status}"
        );
    }
    ensure!(request(&gateway, "PUT", &path, &[], "x")?.status == 405);

    flip_bit(&source.join("large.bin"), 2 * MIB, Mtime::Keep)?;
    let served = beginning(&gateway, &path, SILENCE)?;
    ensure!(
        served.len() as u64 <= 2 * MIB && original.starts_with(&served),
        "changed bytes were served: {} bytes",
        served.len()
    );
    Ok(())
}
