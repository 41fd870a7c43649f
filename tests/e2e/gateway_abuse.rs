//! Requests that nobody sends by mistake: the gateway answers with the right status, and nothing grows.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Daemon, MIB, Tree,
    http::{Answer, request},
    measure::{memory, open_files, threads},
    world::text,
};

use crate::{
    common::world,
    gateway::{get, header},
    gateway_s3::texts,
};

/// Answers to a flood come at least this fast on a slow machine.
const FLOOD_MAX: Duration = Duration::from_secs(120);
/// After a flood a process is back to what it was within this.
const CALM_MAX: Duration = Duration::from_secs(60);

/// The site that an answer lets read.
fn allows(answer: &Answer) -> Option<&str> {
    header(answer, "access-control-allow-origin")
}

/// What a daemon holds.
#[derive(Debug)]
struct Held {
    files: usize,
    threads: u64,
    memory: u64,
}

fn held(daemon: &Daemon) -> Held {
    let pid = daemon.running.pid();
    Held {
        files: open_files(pid),
        threads: threads(pid),
        memory: memory(pid),
    }
}

/// Waits until a daemon holds no more than before, but for some threads and memory that a runtime keeps.
fn ensure_calm(daemon: &Daemon, before: &Held) -> Result<()> {
    let deadline = Instant::now() + CALM_MAX;
    loop {
        let now = held(daemon);
        let is_calm = now.files <= before.files + 4
            && now.threads <= before.threads + 64
            && now.memory <= before.memory + 48 * MIB;
        if is_calm {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{before:?} became {now:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn connect(url: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

#[test]
fn p6_floods_and_clients_that_hang_leave_nothing_behind() -> Result<()> {
    let world = world()?;
    let source = Tree::new(181)
        .file("large.bin", 64 * MIB)
        .file("x", 10)
        .write(&world.path("source"))?;
    let daemon = world.node("node").daemon(["--gateway", "127.0.0.1:0"])?;
    let published = daemon.node().publish(&source, "data")?;
    let url = text(&daemon.ready, "gateway")?;
    let base = format!("/d/{}", text(&published, "dataset")?);
    ensure!(get(&url, &format!("{base}/x"), &[])?.status == 200);
    let before = held(&daemon);

    // Requests for heads, many in one go on a connection.
    let (began, count) = (Instant::now(), 200);
    for _ in 0..20 {
        let mut stream = connect(&url)?;
        let ask = format!("HEAD {base}/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let last =
            format!("HEAD {base}/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut writer = stream.try_clone()?;
        let all = ask.repeat(count) + &last;
        let writing = std::thread::spawn(move || writer.write_all(all.as_bytes()));
        let mut answers = String::new();
        stream.read_to_string(&mut answers)?;
        writing.join().ok().context("the writer")??;
        let answered = answers.matches("HTTP/1.1 200 OK").count();
        ensure!(answered == count + 1, "{answered} answers");
    }
    ensure!(began.elapsed() < FLOOD_MAX, "{:?}", began.elapsed());

    // Some who send half a request, some who never read: others are served beside them.
    let mut hanging = Vec::new();
    for _ in 0..40 {
        let mut slow = connect(&url)?;
        slow.write_all(format!("GET {base}/x HTTP/1.1\r\nHost: loc").as_bytes())?;
        let mut deaf = connect(&url)?;
        deaf.write_all(
            format!("GET {base}/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(),
        )?;
        hanging.extend([slow, deaf]);
    }
    for _ in 0..20 {
        ensure!(get(&url, &format!("{base}/x"), &[])?.status == 200);
    }
    let during = held(&daemon);
    ensure!(
        during.memory < before.memory + 96 * MIB,
        "{before:?} became {during:?}"
    );
    ensure!(
        during.files >= before.files + 40,
        "the connections are not there: {during:?}"
    );
    drop(hanging);
    ensure_calm(&daemon, &before)?;
    daemon.stop()?;
    Ok(())
}

#[test]
fn s15_odd_requests_get_the_right_status_and_their_text_is_only_text() -> Result<()> {
    let world = world()?;
    let source = Tree::new(182)
        .file("a.bin", 300_000)
        .write(&world.path("source"))?;
    let daemon = world
        .node("node")
        .daemon(["--gateway", "127.0.0.1:0", "--s3", "127.0.0.1:0"])?;
    let published = daemon.node().publish(&source, "data")?;
    let dataset = text(&published, "dataset")?;
    let (hub, s3) = (text(&daemon.ready, "gateway")?, text(&daemon.ready, "s3")?);
    let original = fs::read(source.join("a.bin"))?;

    let many = format!(
        "bytes={}",
        ["0-", "-1", "0-299999", "5-6"].repeat(500).join(",")
    );
    for (range, status) in [
        (many.as_str(), 200),
        ("bytes=0-0,0-0,0-0,299999-", 200),
        ("bytes=300000-99999999999999999999999999999", 416),
        ("bytes=-99999999999999999999999999999", 206),
        ("bytes=99999999999999999999999999999-0", 200),
        ("bytes=-0", 416),
        ("bytes=0x0-0x1", 200),
        ("bytes= 0 - 1 ", 206),
        ("bites=0-1", 200),
    ] {
        let file = format!("/d/{dataset}/a.bin");
        let answer = get(&hub, &file, &[("Range", range)])?;
        let shown: String = range.chars().take(40).collect();
        ensure!(answer.status == status, "{shown}: {}", answer.head);
        ensure!(status != 200 || answer.body == original, "{shown}");
        ensure!(status != 416 || header(&answer, "content-range") == Some("bytes */300000"));
    }

    let long = "x".repeat(20_000);
    for (url, path) in [
        (&hub, "/d/%00/x".to_owned()),
        (&hub, format!("/d/{dataset}/%00")),
        (&hub, format!("/d/{dataset}/a.bin%0d%0aX-Evil:%201")),
        (
            &hub,
            format!("/d/{dataset}/%3Cscript%3Ealert(1)%3C/script%3E"),
        ),
        (&hub, format!("/d/{dataset}@%3Cb%3E%0a/a.bin")),
        (
            &hub,
            "/datasets/opendag/data/resolve/%0d%0aX-Evil:%201/a.bin".to_owned(),
        ),
        (
            &hub,
            "/datasets/opendag/data/resolve/main/%1b%5b2J%3Cb%3E".to_owned(),
        ),
        (&hub, "/api/datasets/%3Cb%3E/%0d%0aX-Evil:%201".to_owned()),
        (
            &hub,
            "/api/datasets/opendag/data/tree/main/..%2f..".to_owned(),
        ),
        (&hub, format!("/d/{dataset}/{long}")),
        (&s3, format!("/opendag/{dataset}/%00%1b%3Cb%3E")),
        (&s3, "/opendag/%3Cb%3E/%0d%0aX-Evil:%201".to_owned()),
        (&s3, "/%3Cb%3E%00".to_owned()),
    ] {
        let answer = get(url, &path, &[])?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let shown: String = path.chars().take(60).collect();
        ensure!(answer.status == 404, "{shown}: {}", answer.head);
        ensure!(
            !answer.head.contains("\r\nx-evil"),
            "{shown}: {}",
            answer.head
        );
        ensure!(
            answer.head.contains("nosniff") && answer.head.contains("sandbox"),
            "{shown}"
        );
        ensure!(
            !answer.head.contains("text/html"),
            "{shown}: {}",
            answer.head
        );
        ensure!(
            !body.contains("<b>") || answer.head.contains("json"),
            "{shown}: {body}"
        );
        ensure!(
            !body.contains('\0') && !body.contains('\u{1b}'),
            "{shown}: {body:?}"
        );
    }
    // What a query asks for is said again in XML that can be read.
    let list = get(
        &s3,
        &format!("/opendag?prefix={dataset}%2F%00%3Cb%3E&delimiter=%01"),
        &[],
    )?;
    let prefix = texts(&list, "Prefix");
    ensure!(
        list.status == 200 && prefix == [format!("{dataset}/\u{fffd}&lt;b&gt;")],
        "{list:?}"
    );

    for (url, path, allow) in [
        (&hub, format!("/d/{dataset}/a.bin"), "GET, HEAD"),
        (
            &hub,
            "/datasets/opendag/data/resolve/main/a.bin".to_owned(),
            "GET, HEAD",
        ),
        (
            &hub,
            "/api/datasets/opendag/data/paths-info/main".to_owned(),
            "POST",
        ),
    ] {
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let refused = request(url, method, &path, &[], "")?;
            let expected = allow.to_lowercase();
            ensure!(
                refused.status == 405 && header(&refused, "allow") == Some(expected.as_str()),
                "{method} {path}: {}",
                refused.head
            );
        }
    }
    let headers: Vec<_> = (0..1000).map(|_| ("A", "b")).collect();
    ensure!(get(&hub, "/d/x/y", &headers)?.status == 431);
    let big = "paths=x&".repeat(200_000);
    let info = "/api/datasets/opendag/data/paths-info/main";
    ensure!(request(&hub, "POST", info, &[], &big)?.status == 413);
    Ok(())
}

#[test]
fn s17_pages_of_other_sites_read_nothing_unless_the_user_lets_them() -> Result<()> {
    let world = world()?;
    let source = Tree::new(183)
        .file("a.bin", 10)
        .write(&world.path("source"))?;
    let node = world.node("node");
    node.config("gateway_cors_origins = [\"https://app.example\"]")?;
    let daemon = node.daemon(["--gateway", "127.0.0.1:0", "--s3", "127.0.0.1:0"])?;
    let published = daemon.node().publish(&source, "data")?;
    let dataset = text(&published, "dataset")?;
    let paths = [
        (
            text(&daemon.ready, "gateway")?,
            format!("/d/{dataset}/a.bin"),
        ),
        (
            text(&daemon.ready, "s3")?,
            format!("/opendag/{dataset}/a.bin"),
        ),
    ];
    let (origin, asks) = (
        ("Origin", "https://app.example"),
        "Access-Control-Request-Method",
    );
    for (url, path) in &paths {
        let allowed = get(url, path, &[origin])?;
        ensure!(allowed.status == 200, "{}", allowed.head);
        ensure!(
            allows(&allowed) == Some("https://app.example"),
            "{}",
            allowed.head
        );
        let preflight = request(
            url,
            "OPTIONS",
            path,
            &[
                origin,
                (asks, "GET"),
                ("Access-Control-Request-Headers", "range"),
            ],
            "",
        )?;
        ensure!(
            preflight.status == 200 && allows(&preflight).is_some(),
            "{}",
            preflight.head
        );
        ensure!(header(&preflight, "access-control-allow-headers") == Some("range"));
        for headers in [
            vec![("Origin", "https://evil.example")],
            vec![("Origin", "null")],
            vec![("Origin", "https://evil.example"), (asks, "GET")],
            vec![
                ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Mode", "no-cors"),
            ],
        ] {
            let method = if headers.len() == 2 && headers[1].0 == asks {
                "OPTIONS"
            } else {
                "GET"
            };
            let refused = request(url, method, path, &headers, "")?;
            ensure!(
                refused.status == 403 && allows(&refused).is_none(),
                "{headers:?}: {}",
                refused.head
            );
        }
        for host in ["evil.example", "127.0.0.1.evil.example:80"] {
            ensure!(get(url, path, &[("Host", host)])?.status == 421, "{host}");
        }
        let proxied = format!("http://evil.example{path}");
        ensure!(get(url, &proxied, &[])?.status == 421, "{proxied}");
        let plain = get(url, path, &[])?;
        ensure!(
            plain.status == 200 && allows(&plain).is_none(),
            "{}",
            plain.head
        );
    }
    daemon.stop()?;

    // Off unless it is asked for.
    node.config("")?;
    let daemon = node.daemon(["--gateway", "127.0.0.1:0"])?;
    let url = text(&daemon.ready, "gateway")?;
    let refused = get(&url, &format!("/d/{dataset}/a.bin"), &[origin])?;
    ensure!(refused.status == 403, "{}", refused.head);
    Ok(())
}
