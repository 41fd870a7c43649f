use axum::routing::{get, post};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::Instant,
};

use super::*;

/// What fits between client and server: an answer of more waits for a reader.
const PIPE_BYTES: usize = 1024;
/// Timers may be late by so much.
const SLACK: Duration = Duration::from_secs(2);

/// The client's end of a connection to a small server, whose task ends with the connection.
fn connect() -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let app = Router::new()
        .route("/large", get(|| async { vec![0_u8; 1 << 20] }))
        .route(
            "/body",
            post(|bytes: Body| async {
                let read = body(bytes, 16).await;
                read.map(|bytes| bytes.len().to_string())
            }),
        );
    let (client, server) = duplex(PIPE_BYTES);
    let connection = async move { connection(server, app, &CancellationToken::new()).await };
    (client, tokio::spawn(connection))
}

/// The status of the next answer, or `None` if the server closed without one.
async fn status(client: &mut DuplexStream) -> Option<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    head.split(' ').nth(1)?.parse().ok()
}

#[tokio::test(start_paused = true)]
async fn p6_headers_that_never_end_cost_their_connection() {
    for slow in ["", "GET /large HTTP/1.1\r\nHost: x\r\nA"] {
        let (mut client, connection) = connect();
        let began = Instant::now();
        client.write_all(slow.as_bytes()).await.unwrap();
        let dripping = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let drop_by_drop = if slow.is_empty() { "" } else { "a" };
                if client.write_all(drop_by_drop.as_bytes()).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = dripping => {}
            ended = connection => ended.unwrap(),
        }
        let waited = began.elapsed();
        assert!(
            waited >= HEADER_TIMEOUT && waited < HEADER_TIMEOUT + SLACK,
            "{slow}: {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn p6_a_client_that_waits_between_requests_costs_its_connection() {
    let (mut client, connection) = connect();
    client
        .write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(status(&mut client).await, Some(404));
    let began = Instant::now();
    connection.await.unwrap();
    assert!(
        began.elapsed() < HEADER_TIMEOUT + SLACK,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn p6_a_reader_that_never_reads_is_cut_off_and_a_slow_one_is_not() {
    let (mut client, connection) = connect();
    let ask = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(ask).await.unwrap();
    let began = Instant::now();
    connection.await.unwrap();
    assert!(began.elapsed() >= STALLED_MAX && began.elapsed() < STALLED_MAX + SLACK);

    let (mut client, connection) = connect();
    client.write_all(ask).await.unwrap();
    let mut bytes = vec![0; 1 << 17];
    for _ in 0..8 {
        tokio::time::sleep(STALLED_MAX - SLACK).await;
        client.read_exact(&mut bytes).await.unwrap();
    }
    assert!(!connection.is_finished());
}

#[tokio::test(start_paused = true)]
async fn p6_bodies_that_are_long_or_slow_are_refused() {
    for (body, expected) in [
        ("1234", Some(200)),
        ("12345678901234567", Some(413)),
        ("1", Some(408)),
    ] {
        let (mut client, _connection) = connect();
        let announced = body.len().max(4);
        let head = format!("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n");
        client.write_all((head + body).as_bytes()).await.unwrap();
        assert_eq!(status(&mut client).await, expected, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn p6_a_thousand_headers_and_long_ones_are_refused() {
    let many = "A: b\r\n".repeat(1000);
    let long = format!("A: {}\r\n", "b".repeat(HEADER_BYTES_MAX));
    for headers in [many, long] {
        let (mut client, connection) = connect();
        let request = format!("GET /large HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let sent = async {
            // The server may close before it has read all of it.
            let _ = client.write_all(request.as_bytes()).await;
            status(&mut client).await
        };
        assert_eq!(sent.await, Some(431));
        connection.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_being_answered_at_the_end_is_answered() {
    let (listener, address) = listen((std::net::Ipv4Addr::LOCALHOST, 0).into())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let at_the_end = stop.clone();
    let app = Router::new().route(
        "/",
        get(async move || {
            at_the_end.cancel();
            tokio::task::yield_now().await;
            "answer"
        }),
    );
    let server = tokio::spawn(serve(listener, app, stop));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("answer"), "{answer}");
    server.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
