use opendag_protocol::wire::{BlobRange, ByteSpan};

use super::*;
use crate::store::testing::{Home, blocking, bytes};

const MIB: usize = 1024 * 1024;

fn span(content: &[u8], start: usize, length: usize) -> BlobSpan {
    let start = u64::try_from(start).unwrap();
    BlobSpan {
        hash: Hash::of(content),
        span: ByteSpan::new(start, u32::try_from(length).unwrap()).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_spans_are_the_bytes_of_the_blob() {
    let home = Home::new().await;
    for (size, seed) in [(1, 1), (20_000, 2), (MIB, 3), (3 * MIB + 5, 4)] {
        let content = bytes(size, seed);
        let files = [("file", content.clone())];
        home.publish(&format!("of-{size}"), &files).await;
        let store = home.store.clone();
        blocking(move || {
            let starts = [0, 1, 16_383, 16_384, 100_000, MIB - 1, 2 * MIB, size - 1];
            let wanted: Vec<_> = starts
                .into_iter()
                .filter(|start| *start < size)
                .map(|start| (start, 70_000.min(size - start)))
                .collect();
            let items: Vec<BlobItem> = wanted
                .iter()
                .map(|(start, length)| span(&content, *start, *length).into())
                .collect();
            let mut window = Window::default();
            for (at, (start, length)) in wanted.iter().enumerate() {
                let read = window.read(&store, span(&content, *start, *length), &items[at + 1..]);
                assert_eq!(
                    read.unwrap(),
                    &content[*start..start + length],
                    "{size} {start}"
                );
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_span_is_not_cut_from_what_was_read_of_another_blob() {
    let home = Home::new().await;
    let contents = [bytes(200_000, 1), bytes(200_000, 2)];
    for (name, content) in ["one", "other"].into_iter().zip(&contents) {
        home.publish(name, &[("file", content.clone())]).await;
    }
    let store = home.store.clone();
    blocking(move || {
        let mut window = Window::default();
        // Behind one another, and back again: the same places of both.
        for content in [&contents[0], &contents[1], &contents[0]] {
            for start in [0, 1000, 20_000] {
                let read = window.read(&store, span(content, start, 500), &[]);
                assert_eq!(read.unwrap(), &content[start..start + 500], "{start}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_beyond_the_end_are_refused_and_unknown_blobs_not_found() {
    let home = Home::new().await;
    for (size, seed) in [(10, 1), (16_384, 2), (2 * MIB, 3)] {
        let content = bytes(size, seed);
        home.publish(&format!("of-{size}"), &[("file", content.clone())])
            .await;
        let store = home.store.clone();
        blocking(move || {
            for (start, length) in [(size, 1), (size - 1, 2), (size + 5 * MIB, 1)] {
                let read = Window::default()
                    .read(&store, span(&content, start, length), &[])
                    .map(<[u8]>::len);
                assert_eq!(read, Err(Status::Refused), "{size} {start}");
            }
            let other = span(b"something else", 0, 1);
            let read = Window::default().read(&store, other, &[]).map(<[u8]>::len);
            assert_eq!(read, Err(Status::NotFound));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_span_of_a_changed_file_is_not_given() {
    let home = Home::new().await;
    let content = bytes(2 * MIB, 1);
    home.publish("set", &[("file", content.clone())]).await;
    let file = home.folder("set").join("file");
    crate::store::testing::flip_bit(&file, 100);
    let store = home.store.clone();
    blocking(move || {
        let read = Window::default()
            .read(&store, span(&content, 50, 100), &[])
            .map(<[u8]>::len);
        assert_eq!(read, Err(Status::NotFound));
    })
    .await;
}

#[test]
fn reading_ahead_ends_at_another_blob_a_gap_backwards_or_the_limit() {
    let content = b"x";
    let first = span(content, 0, 10);
    let next = |items: &[BlobSpan]| {
        let items: Vec<BlobItem> = items.iter().map(|item| (*item).into()).collect();
        read_ahead(first, &items)
    };
    assert_eq!(next(&[]), 10);
    assert_eq!(next(&[span(content, 10, 5), span(content, 100, 1)]), 101);
    assert_eq!(next(&[span(b"y", 10, 5), span(content, 100, 1)]), 10);
    assert_eq!(next(&[span(content, 5, 10)]), 10);
    assert_eq!(next(&[span(content, MIB, 1)]), 10);
    let range = BlobItem::Range(BlobRange {
        hash: first.hash,
        groups: GroupRange::ALL,
    });
    assert_eq!(read_ahead(first, &[range, span(content, 10, 5).into()]), 10);
}
