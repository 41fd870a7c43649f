use std::sync::Arc;

use axum::{
    Router,
    body::{self, Body},
    http::{HeaderMap, Request, StatusCode},
};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::{serve::router, *};

/// One file of these bytes at `dir/a b.bin`; reading at or beyond `broken_from` fails.
#[derive(Clone)]
struct Source {
    bytes: Arc<Vec<u8>>,
    broken_from: u64,
}

fn id() -> RecordId {
    RecordId::from_hash(Hash::of(b"manifest"))
}

impl GatewaySource for Source {
    async fn find(&self, wanted: RecordId, path: &str) -> Result<GatewayFile, GatewayError> {
        if wanted != id() || path != "dir/a b.bin" {
            return Err(GatewayError::NotFound);
        }
        Ok(GatewayFile {
            manifest: id().into(),
            hash: Hash::of(&self.bytes),
            size: self.bytes.len() as u64,
            media_type: None,
        })
    }

    async fn read(&self, _hash: Hash, range: Range<u64>) -> Result<Bytes, GatewayError> {
        assert!(!range.is_empty() && range.end - range.start <= GATEWAY_READ_BYTES_MAX);
        if range.end > self.broken_from {
            return Err(GatewayError::NotHere);
        }
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        Ok(Bytes::copy_from_slice(&self.bytes[range]))
    }
}

fn source(size: usize) -> Source {
    let bytes = (0..size)
        .map(|index| u8::try_from(index % 251).unwrap())
        .collect();
    Source {
        bytes: Arc::new(bytes),
        broken_from: u64::MAX,
    }
}

async fn ask(
    app: Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Option<Vec<u8>>) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let service = TowerToHyperService::new(app);
    let response = service
        .call(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = body::to_bytes(body, usize::MAX)
        .await
        .ok()
        .map(|bytes| bytes.to_vec());
    (parts.status, parts.headers, body)
}

fn url() -> String {
    format!("/d/{}/dir/a%20b.bin", id())
}

#[tokio::test]
async fn whole_files_and_ranges_have_their_bytes() {
    for size in [0, 1, 16 * 1024, 256 * 1024, 256 * 1024 + 1, 1024 * 1024 - 1] {
        let source = source(size);
        let (status, headers, body) = ask(router(source.clone()), "GET", &url(), &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["content-length"], size.to_string());
        assert_eq!(headers["etag"], format!("\"{}\"", Hash::of(&source.bytes)));
        assert_eq!(body.as_ref(), Some(&*source.bytes));
    }
    let source = source(600_000);
    let range = [("range", "bytes=262143-524288")];
    let (status, headers, body) = ask(router(source.clone()), "GET", &url(), &range).await;
    assert_eq!(status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(headers["content-range"], "bytes 262143-524288/600000");
    assert_eq!(body.unwrap(), source.bytes[262_143..=524_288]);
    let beyond = [("range", "bytes=600000-")];
    let (status, headers, _) = ask(router(source), "GET", &url(), &beyond).await;
    assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(headers["content-range"], "bytes */600000");
}

#[tokio::test]
async fn head_tells_the_size_and_sends_nothing() {
    let (status, headers, body) = ask(router(source(1000)), "HEAD", &url(), &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-length"], "1000");
    assert_eq!(body, Some(Vec::new()));
}

#[tokio::test]
async fn conditions_follow_the_etag() {
    let source = source(1000);
    let etag = format!("\"{}\"", Hash::of(&source.bytes));
    let unchanged = [("if-none-match", etag.as_str())];
    let (status, _, body) = ask(router(source.clone()), "GET", &url(), &unchanged).await;
    assert_eq!((status, body), (StatusCode::NOT_MODIFIED, Some(Vec::new())));
    for (if_range, expected) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let headers = [("range", "bytes=0-9"), ("if-range", if_range)];
        let (status, ..) = ask(router(source.clone()), "GET", &url(), &headers).await;
        assert_eq!(status.as_u16(), expected, "{if_range}");
    }
}

#[tokio::test]
async fn p2_bytes_that_are_not_whole_are_refused_or_cut_off() {
    let mut source = source(600_000);
    source.broken_from = 0;
    let (status, ..) = ask(router(source.clone()), "GET", &url(), &[]).await;
    assert_eq!(status, StatusCode::CONFLICT);
    source.broken_from = 300_000;
    let (status, _, body) = ask(router(source), "GET", &url(), &[]).await;
    assert_eq!(
        (status, body),
        (StatusCode::OK, None),
        "the body ends in an error"
    );
}

#[tokio::test]
async fn unknown_and_hostile_paths_are_not_found() {
    let paths = [
        format!("/d/{}/nothing", id()),
        format!("/d/{}", id()),
        format!("/d/{}/%2e%2e/%2e%2e/etc/passwd", id()),
        format!("/d/{}/dir/a%2", id()),
        format!("/d/{}/%ff", id()),
        "/d/not-an-id/dir/a%20b.bin".to_owned(),
        "/d//dir/a%20b.bin".to_owned(),
        "/".to_owned(),
    ];
    for path in paths {
        let (status, ..) = ask(router(source(10)), "GET", &path, &[]).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, ..) = ask(router(source(10)), "POST", &url(), &[]).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn s17_a_page_that_rebinds_its_name_is_refused() {
    let app = router(source(10));
    let request = Request::builder().uri(url()).header("host", "evil.example");
    let response = TowerToHyperService::new(app)
        .call(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
}
