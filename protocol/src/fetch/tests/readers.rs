//! What readers wait for.

use super::{super::*, answer, drain, from_complete_peers, sim::MIB, spec};

#[test]
fn what_a_reader_waits_for_goes_first() {
    let mut fetch = Fetch::new(
        FetchConfig::default(),
        [spec(0, 50 * MIB), spec(1, 50 * MIB), spec(2, 10)],
    );
    let groups = GroupRange {
        first: 1000,
        count: 10,
    };
    fetch.handle(
        Time::ZERO,
        Input::Prioritise {
            shard: ShardIndex(1),
            groups,
        },
    );
    fetch.handle(Time::ZERO, Input::PeerJoined { peer: PeerKey(0) });
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer: PeerKey(0),
            update: Holdings::Complete,
        },
    );
    let mut asked = GroupRanges::new();
    for output in drain(&mut fetch) {
        if let Output::Request { items, .. } = output {
            asked.extend(
                items
                    .iter()
                    .filter(|item| item.shard.0 == 1)
                    .map(|item| item.groups),
            );
        }
    }
    assert!(asked.contains_all(groups), "{asked:?}");
}

/// A request that is late with what a reader waits for, and a second one for that.
struct Doubled {
    fetch: Fetch,
    now: Time,
    late: RequestId,
    /// What the first is late with.
    item: Item,
    twin: (RequestId, Vec<Item>),
}

/// Of two peers the first gives nothing, the second all that it is asked every 120 ms. From `at_ms` on a
/// reader waits for `groups` of the first thing that the first peer was asked for. Ends when the second
/// is asked for any of that too, or after 2.4 s.
fn wait_for_the_late(
    shards: Vec<ShardSpec>,
    at_ms: u64,
    groups: impl Fn(GroupRange) -> GroupRange,
) -> Option<Doubled> {
    let (mut fetch, mut outputs) = from_complete_peers(2, shards);
    let first = outputs.iter().find_map(|output| match output {
        Output::Request {
            request,
            peer: PeerKey(0),
            items,
            ..
        } => Some((*request, items[0])),
        _ => None,
    });
    let (late, item) = first.unwrap();
    for ms in 1..2400 {
        let now = Time::from_millis(ms);
        if ms == at_ms {
            let (shard, groups) = (item.shard, groups(item.groups));
            fetch.handle(now, Input::Prioritise { shard, groups });
        }
        fetch.handle_timeout(now);
        outputs.extend(drain(&mut fetch));
        if ms % 120 != 0 {
            continue;
        }
        for output in std::mem::take(&mut outputs) {
            let Output::Request {
                request,
                peer: PeerKey(1),
                items,
                ..
            } = output
            else {
                continue;
            };
            let is_same = |other: &Item| {
                let common = GroupRanges::from(other.groups).intersect(&item.groups.into());
                other.shard == item.shard && !common.is_empty()
            };
            if items.iter().any(is_same) {
                return Some(Doubled {
                    fetch,
                    now,
                    late,
                    item,
                    twin: (request, items),
                });
            }
            answer(&mut fetch, now, request, &items);
        }
    }
    None
}

/// One large shard, and many small ones.
fn large_and_small() -> [Vec<ShardSpec>; 2] {
    [
        vec![spec(0, 20 * MIB)],
        (0..200).map(|shard| spec(shard, 100_000)).collect(),
    ]
}

#[test]
fn what_a_reader_waits_for_is_asked_of_a_second_peer_when_the_first_is_slow() {
    // At once where it pays, and it is answered 60 ms later. In the beginning neither has shown
    // anything: once the second has shown that it is fast, by a timer.
    for (at_ms, asked_ms) in [(1500, Some(1560)), (1, Some(1080)), (9999, None)] {
        let doubled = wait_for_the_late(vec![spec(0, 20 * MIB)], at_ms, |groups| groups);
        let asked = doubled.map(|doubled| doubled.now.as_millis());
        assert_eq!(asked, asked_ms, "the reader waits from {at_ms} on");
    }
}

/// Found by `p5_one_honest_peer_brings_what_a_reader_waits_for_from_any_state`: a piece that is in two requests is not
/// wanted again when one of them ends, so the other must bring all of it.
#[test]
fn a_piece_of_which_a_reader_waits_for_a_part_is_not_forgotten_when_its_first_request_ends() {
    let part = |groups: GroupRange| GroupRange {
        first: groups.first + 2,
        count: 2,
    };
    let mut doubled = wait_for_the_late(vec![spec(0, 20 * MIB)], 1500, part).unwrap();
    let (fetch, now) = (&mut doubled.fetch, doubled.now);
    let (request, end) = (doubled.late, End::Closed);
    fetch.handle(now, Input::Ended { request, end });
    assert_eq!(fetch.audit(), Ok(()));
    answer(fetch, now, doubled.twin.0, &doubled.twin.1);
    assert_eq!(fetch.audit(), Ok(()));
}

#[test]
fn what_a_second_peer_brings_is_not_asked_for_a_third_time_when_the_first_fails() {
    for shards in large_and_small() {
        let mut doubled = wait_for_the_late(shards, 1500, |groups| groups).unwrap();
        let (request, end) = (doubled.late, End::Closed);
        doubled
            .fetch
            .handle(doubled.now, Input::Ended { request, end });
        let peer = PeerKey(2);
        doubled
            .fetch
            .handle(doubled.now, Input::PeerJoined { peer });
        let update = Holdings::Complete;
        doubled
            .fetch
            .handle(doubled.now, Input::Holdings { peer, update });
        for output in drain(&mut doubled.fetch) {
            if let Output::Request { items, .. } = output {
                assert!(!items.contains(&doubled.item), "{items:?}");
            }
        }
        assert_eq!(doubled.fetch.audit(), Ok(()));
    }
}

#[test]
fn who_is_late_is_told_to_stop_when_a_second_peer_was_faster() {
    let [_, small] = large_and_small();
    let doubled = wait_for_the_late(small, 1500, |groups| groups);
    let Doubled {
        mut fetch,
        now,
        late,
        twin: (request, items),
        ..
    } = doubled.unwrap();
    answer(&mut fetch, now, request, &items);
    let cause = CancelCause::Superseded;
    let cancelled = Output::Cancel {
        request: late,
        cause,
    };
    assert!(drain(&mut fetch).contains(&cancelled));
}
