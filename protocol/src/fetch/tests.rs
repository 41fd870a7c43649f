use super::*;

#[test]
fn one_peer_gives_all() {
    let shards = [(0u32, 0u64), (1, 5), (2, 3 << 20), (3, 100_000)];
    let specs = shards.map(|(n, size)| ShardSpec {
        shard: ShardIndex(n),
        size,
        have: GroupRanges::new(),
    });
    let mut fetch = Fetch::new(FetchConfig::default(), specs);
    let now = Time::ZERO;
    fetch.handle(now, Input::PeerJoined { peer: PeerKey(1) });
    fetch.handle(
        now,
        Input::Holdings {
            peer: PeerKey(1),
            update: Holdings::Complete,
        },
    );
    let mut done = Vec::new();
    while let Some(output) = fetch.poll() {
        match output {
            Output::Request { request, items, .. } => {
                for Item { shard, groups } in items {
                    fetch.handle(
                        now,
                        Input::Verified {
                            request,
                            shard,
                            groups,
                            bytes: 1,
                        },
                    );
                }
                fetch.handle(
                    now,
                    Input::Ended {
                        request,
                        end: End::Done,
                    },
                );
            }
            Output::ShardDone { shard } => done.push(shard.0),
            Output::Completed => done.push(99),
            Output::Cancel { .. } | Output::Ban { .. } => panic!("{output:?}"),
        }
    }
    done.sort_unstable();
    assert_eq!(done, [0, 1, 2, 3, 99]);
}
