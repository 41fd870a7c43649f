use opendag_protocol::search::Query;

use super::*;
use crate::store::testing::{Heard, Home, blocking};

/// A keeper of a store, as a node has it.
struct Kept {
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
}

impl Kept {
    fn of(store: &Store) -> Self {
        let (asks, asked) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let committed = Committed::default();
        tokio::spawn(run(store.clone(), committed, asked, stop.clone()));
        Self { asks, stop }
    }

    async fn current(&self) -> Index {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Current(answer)).await.unwrap();
        answered.await.unwrap().unwrap()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn found(index: &Index, text: &str) -> Vec<DatasetId> {
    let (index, query) = (index.clone(), text.parse::<Query>().unwrap());
    let hits = blocking(move || index.search(&query, 0..1000, 0).unwrap()).await;
    hits.iter().map(|hit| hit.dataset).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_is_found_at_once_and_what_is_forgotten_is_not() {
    let home = Home::within(300 * 1024).await;
    let kept = Kept::of(&home.store);
    let first = Heard::new(0, 0);
    let store = home.store.clone();
    blocking(move || first.tell(&store)).await;
    let index = kept.current().await;
    assert_eq!(found(&index, "heard-0").await, [Heard::new(0, 0).dataset]);
    let store = home.store.clone();
    blocking(move || {
        for number in 1..400 {
            Heard::new(number, number.into()).tell(&store);
            store.make_room().unwrap();
        }
    })
    .await;
    let index = kept.current().await;
    let known = u64::try_from(home.store.dataset_count()).unwrap();
    assert!(known < 400);
    assert_eq!(index.datasets(), known);
    assert!(found(&index, "heard-0").await.is_empty());
    assert_eq!(
        found(&index, "heard-399").await,
        [Heard::new(399, 0).dataset]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_nobody_kept_the_index_is_found_by_the_next_keeper() {
    let home = Home::new().await;
    let store = home.store.clone();
    blocking(move || Heard::new(1, 0).tell(&store)).await;
    let kept = Kept::of(&home.store);
    assert_eq!(kept.current().await.datasets(), 1);
    let asks = kept.asks.clone();
    drop(kept);
    asks.closed().await;
    let store = home.store.clone();
    blocking(move || Heard::new(2, 0).tell(&store)).await;
    let kept = Kept::of(&home.store);
    let index = kept.current().await;
    assert_eq!(index.datasets(), 2);
    assert_eq!(index.mark(), home.store.records_end());
}
