use std::collections::BTreeMap;

use opendag_protocol::fetch::End;

use super::*;
use crate::net::StreamProtocol;

/// Lines of a page that are neither help nor type nor unit: names with labels, and their numbers.
fn numbers(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).collect()
}

#[test]
fn a_page_names_units_and_keeps_whole_numbers_whole() {
    let mut page = Page::default();
    let mut group = page.group("opendag_test");
    group.counter(("moved", "bytes", "Bytes"), u64::MAX);
    group.gauges(
        ("open", "doors", "Doors"),
        [([("side", "left")], 1_u64), ([("side", "right")], 2)],
    );
    group.gauge(("idle", "seconds", "Seconds"), 0.5);
    let text = "\
# HELP opendag_test_moved_bytes Bytes.
# TYPE opendag_test_moved_bytes counter
# UNIT opendag_test_moved_bytes bytes
opendag_test_moved_bytes_total 18446744073709551615
# HELP opendag_test_open_doors Doors.
# TYPE opendag_test_open_doors gauge
# UNIT opendag_test_open_doors doors
opendag_test_open_doors{side=\"left\"} 1
opendag_test_open_doors{side=\"right\"} 2
# HELP opendag_test_idle_seconds Seconds.
# TYPE opendag_test_idle_seconds gauge
# UNIT opendag_test_idle_seconds seconds
opendag_test_idle_seconds 0.5
# EOF
";
    assert_eq!(page.text(), text);
}

#[test]
fn what_a_request_received_and_did_not_verify_is_wasted_when_it_ends() {
    let transfer = Arc::new(Transfer::default());
    let tally = transfer.tally();
    let received = tally.received();
    received.fetch_add(100, std::sync::atomic::Ordering::Relaxed);
    tally.verified(60);
    let other = transfer.tally();
    other
        .received()
        .fetch_add(7, std::sync::atomic::Ordering::Relaxed);
    other.verified(7);
    drop(other);
    assert_eq!(
        transfer.moved(),
        (67, 0),
        "the first may still verify the rest"
    );
    drop(tally);
    assert_eq!(transfer.moved(), (67, 40));
}

#[test]
fn levels_fall_when_what_they_count_is_dropped() {
    let gateway = Gateway::default();
    let (one, two) = (gateway.wait_unless(false), gateway.wait_unless(false));
    assert!(gateway.wait_unless(true).is_none());
    assert_eq!(gateway.waiting(), 2);
    drop(one);
    assert_eq!(gateway.waiting(), 1);
    drop(two);
    assert_eq!(gateway.waiting(), 0);
}

#[tokio::test]
async fn a_node_without_network_tells_of_all_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let options = crate::NodeOptions {
        data_dir: folder.path().to_owned(),
        config: crate::config::Config::default(),
        role: crate::Role::Command,
    };
    let node = Node::start(options).await.unwrap();
    let transfer = &node.shared.metrics.transfer;
    transfer.asked();
    transfer.failed(End::Timeout);
    transfer.failed(End::Done);
    transfer.answered(StreamProtocol::Records, Answer::Busy);
    node.shared
        .metrics
        .gateway
        .read(ReadFrom::Cache, b"seven b");
    let text = node.metrics().await;
    let numbers = numbers(&text);
    let expected = [
        ("opendag_transfer_sent_requests_total", "1"),
        (
            "opendag_transfer_failed_requests_total{reason=\"timeout\"}",
            "1",
        ),
        (
            "opendag_transfer_failed_requests_total{reason=\"closed\"}",
            "0",
        ),
        (
            "opendag_transfer_answered_requests_total{kind=\"records\",outcome=\"busy\"}",
            "1",
        ),
        ("opendag_gateway_read_bytes_total{from=\"cache\"}", "7"),
        (
            "opendag_gateway_answer_latency_seconds_count{route=\"s3\"}",
            "0",
        ),
        ("opendag_store_kept_versions{kind=\"published\"}", "0"),
        ("opendag_cache_used_bytes", "0"),
        (
            "opendag_swarm_open_connections{transport=\"tcp\",direction=\"in\"}",
            "0",
        ),
    ];
    for (name, number) in expected {
        assert_eq!(numbers.get(name), Some(&number), "{name} in\n{text}");
    }
    let resident: u64 = numbers["process_resident_memory_bytes"].parse().unwrap();
    assert!((1 << 20..1 << 34).contains(&resident), "{resident}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let started: f64 = numbers["process_start_time_seconds"].parse().unwrap();
    let age = now.unwrap().as_secs_f64() - started;
    assert!((-2.0..3600.0).contains(&age), "{age} s old");
    node.shutdown().await;
}
