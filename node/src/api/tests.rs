use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use super::*;
use crate::{
    metrics::Measure,
    ops::{Event, GcRequest, KeyRequest, LinkRequest, Operate, Operation, Progress},
};

const DEADLINE: Duration = Duration::from_secs(20);

/// Answers `id`; echoes the link of `show` as a warning; runs for ever on `gc` and counts how often
/// that is cancelled; ends `status` without a closing event.
#[derive(Clone, Default)]
struct Echo {
    cancelled: Arc<AtomicU64>,
}

struct CountDrop(Arc<AtomicU64>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Operate for Echo {
    async fn run(&self, operation: Operation, events: mpsc::Sender<Event>) {
        match operation {
            Operation::Show(request) => {
                let message = request.link.unwrap_or_default();
                events.send(Event::Warning { message }).await.unwrap();
                let message = String::from("shown");
                events
                    .send(Event::Changed {
                        message,
                        freed_bytes: 7,
                    })
                    .await
                    .unwrap();
            }
            Operation::Gc(_) => {
                let _count = CountDrop(Arc::clone(&self.cancelled));
                events
                    .send(Event::Progress(Progress::default()))
                    .await
                    .unwrap();
                std::future::pending::<()>().await;
            }
            Operation::KeyNew(KeyRequest { name }) => {
                let failed = Event::Failed {
                    message: name,
                    exit_code: 4,
                };
                events.send(failed).await.unwrap();
            }
            _ => {}
        }
    }
}

impl Measure for Echo {
    async fn metrics(&self) -> String {
        String::from("# EOF\n")
    }
}

async fn all_events(client: &ApiClient, operation: Operation) -> Vec<Event> {
    let (sender, mut receiver) = mpsc::channel(1);
    let collect = async {
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        events
    };
    timeout(DEADLINE, async {
        tokio::join!(client.run(operation, sender), collect).1
    })
    .await
    .unwrap()
}

async fn start(data_dir: &Path) -> (Echo, ApiServer, ApiClient) {
    let node = Echo::default();
    let server = ApiServer::start(node.clone(), data_dir, None)
        .await
        .unwrap();
    let client = ApiClient::from_data_dir(data_dir).await.unwrap().unwrap();
    (node, server, client)
}

#[tokio::test]
async fn operations_and_events_cross_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _server, client) = start(dir.path()).await;
    let long = "\u{1F980} \" \n ".repeat(10_000);
    let request = LinkRequest {
        link: Some(long.clone()),
        ..LinkRequest::default()
    };
    let events = all_events(&client, Operation::Show(request)).await;
    let changed = Event::Changed {
        message: "shown".into(),
        freed_bytes: 7,
    };
    assert_eq!(events, [Event::Warning { message: long }, changed]);
    let request = KeyRequest { name: "no".into() };
    let events = all_events(&client, Operation::KeyNew(request)).await;
    assert_eq!(
        events,
        [Event::Failed {
            message: "no".into(),
            exit_code: 4
        }]
    );
}

#[tokio::test]
async fn p8_an_operation_that_ends_without_a_word_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let (_, server, client) = start(dir.path()).await;
    let events = all_events(&client, Operation::Status).await;
    assert!(
        matches!(&events[..], [Event::Failed { exit_code: 1, .. }]),
        "{events:?}"
    );
    drop(server);
    let events = all_events(&client, Operation::Status).await;
    assert!(
        matches!(&events[..], [Event::Failed { exit_code: 1, .. }]),
        "{events:?}"
    );
}

#[tokio::test]
async fn dropping_the_client_cancels_the_operation() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _server, client) = start(dir.path()).await;
    let (sender, mut events) = mpsc::channel(1);
    let running = tokio::spawn(async move {
        client
            .run(Operation::Gc(GcRequest::default()), sender)
            .await;
    });
    assert!(matches!(
        timeout(DEADLINE, events.recv()).await.unwrap(),
        Some(Event::Progress(_))
    ));
    assert_eq!(node.cancelled.load(Ordering::SeqCst), 0);
    running.abort();
    let cancelled = async {
        while node.cancelled.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, cancelled).await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_is_gone_or_strange_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        ApiClient::from_data_dir(dir.path())
            .await
            .unwrap()
            .is_none()
    );
    let (_, server, _) = start(dir.path()).await;
    let kept = std::fs::read(file::path(dir.path())).unwrap();
    drop(server);
    assert!(!file::path(dir.path()).exists(), "it is removed at the end");
    let stale = tempfile::tempdir().unwrap();
    let announced = {
        std::fs::write(file::path(dir.path()), kept).unwrap();
        std::fs::set_permissions(
            file::path(dir.path()),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        file::read(dir.path()).unwrap().unwrap()
    };
    assert!(
        ApiClient::from_data_dir(dir.path())
            .await
            .unwrap()
            .is_none(),
        "nobody listens"
    );
    // Another daemon answers at the address, but knows another token.
    let (_, other, _) = start(stale.path()).await;
    let address = other.url().trim_start_matches("http://").parse().unwrap();
    file::write(
        dir.path(),
        &file::Announced {
            address,
            ..announced
        },
    )
    .unwrap();
    assert!(
        ApiClient::from_data_dir(dir.path())
            .await
            .unwrap()
            .is_none(),
        "another token"
    );
}

async fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

#[tokio::test]
async fn s16_s17_strangers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, server, _) = start(dir.path()).await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let token = file::read(dir.path()).unwrap().unwrap().token.text();
    let post = |extra: &str| {
        format!("POST /v1/status HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n{extra}\r\n")
    };
    let authorised = format!("Authorization: Bearer {token}\r\n");
    let cases = [
        (format!("Host: {address}\r\n{authorised}"), 200),
        (format!("Host: {address}\r\n"), 401),
        (
            format!("Host: {address}\r\nAuthorization: Bearer 00\r\n"),
            401,
        ),
        (format!("Host: evil.example\r\n{authorised}"), 421),
        (
            format!("Host: {address}\r\nOrigin: http://evil.example\r\n{authorised}"),
            403,
        ),
    ];
    for (extra, expected) in cases {
        let answer = raw(&address, &post(&extra)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{extra}: {answer}"
        );
    }
    let bad = format!(
        "POST /v1/show HTTP/1.1\r\nHost: {address}\r\n{authorised}Connection: close\r\n\
         Content-Length: 9\r\n\r\n{{\"no\": 1}}"
    );
    assert!(raw(&address, &bad).await.starts_with("HTTP/1.1 400 "));
}

/// The status and the rest of an answer to a `GET`.
async fn get(server: &ApiServer, path: &str, headers: &str) -> (u16, String) {
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    let request = match headers.contains("Host:") {
        true => request,
        false => request.replacen("\r\n", &format!("\r\nHost: {address}\r\n"), 1),
    };
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

#[tokio::test]
async fn s16_s17_either_token_opens_the_figures_and_theirs_opens_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (_, server, _) = start(dir.path()).await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let theirs = bearer(&std::fs::read_to_string(dir.path().join("metrics_token")).unwrap());
    let all = bearer(&file::read(dir.path()).unwrap().unwrap().token.text());
    for token in [&theirs, &all] {
        let (status, text) = get(&server, "/metrics", token).await;
        assert_eq!(status, 200, "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        let media = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(text.contains(media), "{text}");
    }
    for refused in [
        String::new(),
        bearer("00"),
        theirs.replace("Bearer", "Basic"),
    ] {
        assert_eq!(get(&server, "/metrics", &refused).await.0, 401, "{refused}");
    }
    let rebound = format!("{theirs}Host: evil.example\r\n");
    assert_eq!(get(&server, "/metrics", &rebound).await.0, 421);
    let page = format!("{theirs}Origin: http://evil.example\r\n");
    assert_eq!(get(&server, "/metrics", &page).await.0, 403);
    let id = |token| guard_status(&server, token);
    assert_eq!(id(theirs.clone()).await, 401, "figures only");
    assert_eq!(id(all.clone()).await, 200);
}

/// The status of `POST /v1/id`.
async fn guard_status(server: &ApiServer, headers: String) -> u16 {
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "POST /v1/id HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_document_is_served_without_a_token_but_not_to_other_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (_, server, _) = start(dir.path()).await;
    let (status, text) = get(&server, "/v1/openapi.json", "").await;
    assert_eq!(status, 200);
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, *openapi::TEXT);
    let page = get(
        &server,
        "/v1/openapi.json",
        "Origin: http://evil.example\r\n",
    )
    .await;
    assert_eq!(page.0, 403);
}

#[tokio::test]
async fn s16_the_api_never_listens_for_other_machines() {
    let dir = tempfile::tempdir().unwrap();
    let open = Some(([0, 0, 0, 0], 0).into());
    let refused = ApiServer::start(Echo::default(), dir.path(), open).await;
    assert!(
        matches!(refused, Err(ApiError::NotLoopback { .. })),
        "{refused:?}"
    );
}
