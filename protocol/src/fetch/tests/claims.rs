//! What peers say they hold, and who is asked for it.

use super::{
    super::{wanted::Wanted, *},
    asked, drain,
    sim::{Character, MIB, Node, Sim, tree},
    spec,
};

#[test]
fn a_partial_holder_is_asked_only_for_what_it_holds() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 50 * MIB)]);
    fetch.handle(Time::ZERO, Input::PeerJoined { peer: PeerKey(0) });
    let held: GroupRanges = [
        GroupRange {
            first: 13,
            count: 30,
        },
        GroupRange {
            first: 3198,
            count: 2,
        },
    ]
    .into_iter()
    .collect();
    let update = Holdings::Partial {
        shard: ShardIndex(0),
        ranges: held.clone(),
    };
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer: PeerKey(0),
            update,
        },
    );
    let mut asked = GroupRanges::new();
    while let Some(output) = fetch.poll() {
        let Output::Request { request, items, .. } = output else {
            continue;
        };
        for Item { shard, groups } in items {
            asked.insert(groups);
            fetch.handle(
                Time::ZERO,
                Input::Verified {
                    request,
                    shard,
                    groups,
                    bytes: 1,
                },
            );
        }
    }
    assert_eq!(
        asked.iter().collect::<Vec<_>>(),
        [GroupRange {
            first: 16,
            count: 24
        }]
    );
}

#[test]
fn peers_may_come_go_and_come_back() {
    let nodes = (0..8u64)
        .map(|n| {
            let mut node = Node::new(2 * MIB, 10 + n);
            node.joins_at_ms = n * 300;
            node.leaves_at_ms = (n != 5).then_some(1000 + n * 500);
            node
        })
        .collect();
    let mut sim = Sim::new(FetchConfig::default(), &tree(3000), nodes);
    sim.add(Node::new(MIB, 3).is(Character::Busy));
    for n in 0..4 {
        sim.rejoin(n, 4000 + u64::from(n) * 100);
    }
    sim.run(120_000);
    assert!(
        sim.report.completed_ms.is_some(),
        "{:?}",
        sim.fetch.progress()
    );
}

#[test]
fn what_a_peer_takes_back_is_not_asked_of_it() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 10), spec(1, 10)]);
    let peer = PeerKey(0);
    fetch.handle(Time::ZERO, Input::PeerJoined { peer });
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer,
            update: Holdings::Shards {
                first: ShardIndex(1),
                bits: vec![1],
            },
        },
    );
    assert_eq!(drain(&mut fetch).len(), 1);
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer,
            update: Holdings::Nothing,
        },
    );
    fetch.handle(
        Time::ZERO,
        Input::Ended {
            request: RequestId(0),
            end: End::Busy,
        },
    );
    let later = Time::from_millis(60_000);
    fetch.handle_timeout(later);
    assert_eq!(drain(&mut fetch), []);
    fetch.handle(
        later,
        Input::Holdings {
            peer,
            update: Holdings::Complete,
        },
    );
    assert_eq!(drain(&mut fetch).len(), 1);
}

#[test]
fn what_one_of_many_idle_peers_claims_is_asked_of_it_in_the_end() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 4 * MIB)]);
    // A thousand hold the first piece, the last two the second.
    for n in 0..1002 {
        let peer = PeerKey(n);
        fetch.handle(Time::ZERO, Input::PeerJoined { peer });
        let first = if n < 1000 { 0 } else { 8 };
        let ranges = GroupRange { first, count: 8 }.into();
        let update = Holdings::Partial {
            shard: ShardIndex(0),
            ranges,
        };
        fetch.handle(Time::ZERO, Input::Holdings { peer, update });
    }
    let outputs = drain(&mut fetch);
    let (one, other) = (PeerKey(1000), PeerKey(1001));
    assert_eq!(asked(&outputs, one).len(), 1, "it comes before the other");
    assert!(asked(&outputs, other).is_empty());
    // It leaves; of a thousand idle ones only the other can bring the piece.
    fetch.handle(Time::ZERO, Input::PeerLeft { peer: one });
    let now = std::iter::from_fn(|| {
        let now = fetch.deadline()?;
        fetch.handle_timeout(now);
        Some((now, drain(&mut fetch)))
    });
    let (now, _) = now
        .take(100)
        .find(|(_, outputs)| !asked(outputs, other).is_empty())
        .expect("the other is asked");
    assert!(now.as_millis() <= 1000, "{now:?}");
}

#[test]
fn rare_shards_go_first() {
    let sizes = vec![200_000; 400];
    let common: std::collections::BTreeSet<u32> = (0..399).collect();
    let mut rare = Node::new(MIB, 5);
    rare.holds = Some((0..400).collect());
    let other = || Node {
        holds: Some(common.clone()),
        ..Node::new(MIB, 5)
    };
    let mut sim = Sim::new(FetchConfig::default(), &sizes, vec![other(), other(), rare]);
    sim.run(2_000);
    let progress = sim.fetch.progress();
    assert!(progress.shards_done < 100, "{progress:?}");
    assert!(sim.has(399), "the rare shard is not among the first");
}

fn claims_some(fetch: &mut Fetch, peer: PeerKey, first: u32, bits: &[u8]) {
    let (first, bits) = (ShardIndex(first), bits.to_vec());
    let update = Holdings::Shards { first, bits };
    fetch.handle(Time::ZERO, Input::PeerJoined { peer });
    fetch.handle(Time::ZERO, Input::Holdings { peer, update });
}

fn claims_all(fetch: &mut Fetch, peer: PeerKey) {
    let update = Holdings::Complete;
    fetch.handle(Time::ZERO, Input::PeerJoined { peer });
    fetch.handle(Time::ZERO, Input::Holdings { peer, update });
}

#[test]
fn what_a_peer_lacks_is_not_asked_of_it_again_until_it_claims_it_anew() {
    let peer = PeerKey(0);
    for all in [true, false] {
        let mut fetch = Fetch::new(FetchConfig::default(), [0, 1].map(|n| spec(n, 100_000)));
        match all {
            true => claims_all(&mut fetch, peer),
            false => claims_some(&mut fetch, peer, 0, &[3]),
        }
        let mut now = Time::ZERO;
        let outputs = drain(&mut fetch);
        assert!(asked(&outputs, peer).iter().any(|item| item.shard.0 == 0));
        for output in outputs {
            if let Output::Request { request, items, .. } = output {
                if items.iter().any(|item| item.shard.0 == 0) {
                    let shard = ShardIndex(0);
                    fetch.handle(now, Input::ItemMissing { request, shard });
                }
                let end = End::Done;
                fetch.handle(now, Input::Ended { request, end });
            }
        }
        let mut again = Vec::new();
        while now < Time::from_millis(5000) {
            now = fetch.deadline().unwrap_or(Time::from_millis(5000)).max(now);
            fetch.handle_timeout(now);
            again.extend(asked(&drain(&mut fetch), peer));
        }
        assert!(!again.is_empty(), "it still has the other");
        assert!(again.iter().all(|item| item.shard.0 == 1), "{again:?}");
        let update = Holdings::Shards {
            first: ShardIndex(0),
            bits: vec![1],
        };
        fetch.handle(now, Input::Holdings { peer, update });
        fetch.handle(now, Input::PeerLeft { peer });
        claims_all(&mut fetch, peer);
        assert!(
            asked(&drain(&mut fetch), peer)
                .iter()
                .any(|item| item.shard.0 == 0)
        );
    }
}

#[test]
fn what_the_fewest_hold_goes_first_when_others_have_left() {
    let shards = (0..40).map(|shard| spec(shard, 900_000));
    let mut fetch = Fetch::new(FetchConfig::default(), shards);
    for peer in [1, 2].map(PeerKey) {
        claims_some(&mut fetch, peer, 0, &[0xff, 0xff, 0x0f]);
    }
    claims_some(&mut fetch, PeerKey(3), 20, &[0xff, 0xff, 0x0f]);
    for peer in [1, 2].map(PeerKey) {
        fetch.handle(Time::ZERO, Input::PeerLeft { peer });
    }
    claims_all(&mut fetch, PeerKey(0));
    let first = asked(&drain(&mut fetch), PeerKey(0))[0];
    assert!(first.shard.0 < 20, "{first:?}");
}

#[test]
fn of_large_shards_the_one_with_the_rarest_pieces_goes_first() {
    let mut fetch = Fetch::new(FetchConfig::default(), [0, 1].map(|n| spec(n, 20 * MIB)));
    for (peer, shards) in [(1, &[0][..]), (2, &[0, 1])] {
        let peer = PeerKey(peer);
        fetch.handle(Time::ZERO, Input::PeerJoined { peer });
        for shard in shards {
            let update = Holdings::Partial {
                shard: ShardIndex(*shard),
                ranges: GroupRanges::full(1280),
            };
            fetch.handle(Time::ZERO, Input::Holdings { peer, update });
        }
    }
    claims_all(&mut fetch, PeerKey(0));
    let first = asked(&drain(&mut fetch), PeerKey(0))[0];
    assert_eq!(first.shard.0, 1, "of which one peer has parts, not two");
}

#[test]
fn nodes_start_at_different_places_of_a_large_shard() {
    let first = |seed| {
        let config = FetchConfig {
            seed,
            ..FetchConfig::default()
        };
        let mut fetch = Fetch::new(config, [spec(0, 50 * MIB)]);
        claims_all(&mut fetch, PeerKey(0));
        asked(&drain(&mut fetch), PeerKey(0))[0].groups.first
    };
    let places: BTreeSet<u64> = (0..8).map(first).collect();
    assert!(places.len() > 5, "{places:?}");
}

#[test]
fn while_many_large_shards_are_begun_they_go_before_rarer_ones() {
    for (begun, goes_on) in [(96, true), (8, false)] {
        let shards = (0..200).map(|shard| ShardSpec {
            have: match shard < begun {
                true => GroupRanges::full(8),
                false => GroupRanges::new(),
            },
            ..spec(shard, 2 * MIB)
        });
        let mut fetch = Fetch::new(FetchConfig::default(), shards);
        let some = vec![0xff; usize::try_from(begun / 8).unwrap()];
        for peer in (1..4).map(PeerKey) {
            claims_some(&mut fetch, peer, 0, &some);
        }
        claims_all(&mut fetch, PeerKey(0));
        let first = asked(&drain(&mut fetch), PeerKey(0))[0];
        assert_eq!(first.shard.0 < begun, goes_on, "{first:?}");
    }
}

#[test]
fn pieces_are_counted_alike_one_by_one_and_in_long_ranges() {
    // Around the count at which many pieces are counted together, and over the ends of stretches.
    let (len, long) = (300, 37..291);
    let mut together = Wanted::new(len, 0, 1);
    let mut single = Wanted::new(len, 0, 1);
    (0..len).for_each(|piece| assert!(together.insert(piece) && single.insert(piece)));
    let steps = [true; 9].into_iter().chain([false; 8]);
    for (step, more) in steps.enumerate() {
        let short = step * 7..step * 7 + 90;
        for range in [long.clone(), short] {
            match more {
                true => together.gain(range.clone()),
                false => together.lose(range.clone()),
            }
            for piece in range {
                match more {
                    true => single.gain(piece..piece + 1),
                    false => single.lose(piece..piece + 1),
                }
            }
        }
        assert_eq!(together.audit().map(|all| all.len()), Some(len));
        assert!((0..len).all(|piece| {
            let ranks = [&together, &single].map(|wanted| wanted.rank(piece));
            ranks[0] == ranks[1]
        }));
    }
}
