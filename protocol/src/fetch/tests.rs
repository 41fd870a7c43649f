//! The scheduler against simulated networks, and against arbitrary inputs.

mod arbitrary;
mod basics;
mod claims;
mod cost;
mod demand;
mod hostile;
mod limits;
mod patience;
mod readers;
mod shares;
mod sim;

use super::*;

fn spec(shard: u32, size: u64) -> ShardSpec {
    ShardSpec {
        shard: ShardIndex(shard),
        size,
        have: GroupRanges::new(),
    }
}

fn drain(fetch: &mut Fetch) -> Vec<Output> {
    std::iter::from_fn(|| fetch.poll()).collect()
}

/// What was asked of a peer, in order.
fn asked(outputs: &[Output], of: PeerKey) -> Vec<Item> {
    let items = outputs.iter().filter_map(|output| match output {
        Output::Request { peer, items, .. } if *peer == of => Some(items.clone()),
        _ => None,
    });
    items.flatten().collect()
}

/// A peer gives all that it was asked for.
fn answer(fetch: &mut Fetch, now: Time, request: RequestId, items: &[Item]) {
    for &Item { shard, groups } in items {
        let bytes = 1;
        let verified = Input::Verified {
            request,
            shard,
            groups,
            bytes,
        };
        fetch.handle(now, verified);
    }
    let end = End::Done;
    fetch.handle(now, Input::Ended { request, end });
}

/// A fetch from peers that hold everything, and what it does first.
fn from_complete_peers(
    peers: u32,
    shards: impl IntoIterator<Item = ShardSpec>,
) -> (Fetch, Vec<Output>) {
    let mut fetch = Fetch::new(FetchConfig::default(), shards);
    for peer in (0..peers).map(PeerKey) {
        fetch.handle(Time::ZERO, Input::PeerJoined { peer });
        let update = Holdings::Complete;
        fetch.handle(Time::ZERO, Input::Holdings { peer, update });
    }
    let outputs = drain(&mut fetch);
    (fetch, outputs)
}
