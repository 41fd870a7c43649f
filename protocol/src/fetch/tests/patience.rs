//! How long peers are waited for, and what comes too late.

use super::{super::*, drain, from_complete_peers, pace::Pace, sim::MIB, spec};

#[test]
fn peers_are_not_blamed_when_this_node_stood_still() {
    let run = |stopped: bool| {
        let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 5 * MIB)]);
        let peer = PeerKey(0);
        fetch.handle(Time::ZERO, Input::PeerJoined { peer });
        fetch.handle(
            Time::ZERO,
            Input::Holdings {
                peer,
                update: Holdings::Complete,
            },
        );
        let end = Time::from_millis(14_000);
        while let Some(at) = fetch.deadline().filter(|at| *at < end && !stopped) {
            fetch.handle_timeout(at);
        }
        fetch.handle_timeout(end);
        drain(&mut fetch)
            .iter()
            .filter(|output| matches!(output, Output::Cancel { .. }))
            .count()
    };
    assert_eq!(run(true), 0);
    assert!(run(false) > 0);
}

#[test]
fn a_request_that_says_it_is_alive_does_not_time_out_before_its_deadline() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, MIB)]);
    let peer = PeerKey(0);
    fetch.handle(Time::ZERO, Input::PeerJoined { peer });
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer,
            update: Holdings::Complete,
        },
    );
    let Some(Output::Request {
        request, deadline, ..
    }) = fetch.poll()
    else {
        panic!("nothing asked")
    };
    let mut cancelled = None;
    for ms in (0..400_000).step_by(500) {
        let now = Time::from_millis(ms);
        fetch.handle_timeout(now);
        fetch.handle(now, Input::Alive { request });
        let outputs = drain(&mut fetch);
        if cancelled.is_none()
            && outputs
                .iter()
                .any(|output| matches!(output, Output::Cancel { .. }))
        {
            cancelled = Some(now);
        }
    }
    assert!(
        cancelled.is_some_and(|at| at >= deadline && at.since(deadline) < Duration::from_secs(1))
    );
}

#[test]
fn a_silent_peer_loses_its_requests_when_its_patience_ends_and_not_later() {
    let (mut fetch, asked) = from_complete_peers(1, [spec(0, 20 * MIB)]);
    assert_eq!(asked.len(), 3);
    let mut now = Time::ZERO;
    let mut ends = Vec::new();
    while ends.len() < asked.len() {
        now = fetch
            .deadline()
            .expect("peers that owe something have a timer");
        fetch.handle_timeout(now);
        assert_eq!(fetch.audit(), Ok(()));
        ends.extend(
            drain(&mut fetch)
                .into_iter()
                .filter_map(|output| match output {
                    Output::Cancel { cause, .. } => Some((now, cause)),
                    _ => None,
                }),
        );
        assert!(now.as_millis() <= 10_000, "{now:?}");
    }
    assert!(
        ends.iter()
            .all(|(at, cause)| at.as_millis() == 10_000 && *cause == CancelCause::Timeout)
    );
    // It rests, and is asked again when it has rested.
    let again = std::iter::from_fn(|| {
        now = fetch.deadline()?;
        fetch.handle_timeout(now);
        Some(drain(&mut fetch))
    });
    let again = again
        .take(20)
        .flatten()
        .find(|output| matches!(output, Output::Request { .. }));
    assert!(
        again.is_some() && now.as_millis() == 10_500,
        "{again:?} at {now:?}"
    );
}

#[test]
fn bytes_that_come_after_the_end_are_not_fetched_again() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 5 * MIB)]);
    let (now, peer) = (Time::ZERO, PeerKey(0));
    fetch.handle(now, Input::PeerJoined { peer });
    fetch.handle(
        now,
        Input::Holdings {
            peer,
            update: Holdings::Complete,
        },
    );
    let Some(Output::Request { request, items, .. }) = fetch.poll() else {
        panic!("nothing asked")
    };
    let Item { shard, groups } = items[0];
    fetch.handle(
        now,
        Input::Ended {
            request,
            end: End::Closed,
        },
    );
    fetch.handle(
        now,
        Input::Verified {
            request,
            shard,
            groups,
            bytes: 1,
        },
    );
    while fetch.poll().is_some() {}
    fetch.handle_timeout(Time::from_millis(60_000));
    for output in drain(&mut fetch) {
        let Output::Request { items, .. } = output else {
            continue;
        };
        assert!(
            items.iter().all(|item| item.groups.first >= groups.end()),
            "{items:?}"
        );
    }
    assert!(fetch.progress().bytes_done > 0);
}

#[test]
fn when_two_peers_are_quiet_a_third_is_asked() {
    let (mut fetch, mut outputs) = from_complete_peers(3, [spec(0, 100_000)]);
    let mut asked_of = BTreeSet::new();
    // Before the first has lost its request for being silent.
    for ms in (50..6000).step_by(50) {
        fetch.handle_timeout(Time::from_millis(ms));
        outputs.extend(drain(&mut fetch));
    }
    for output in outputs {
        if let Output::Request { peer, .. } = output {
            asked_of.insert(peer);
        }
    }
    assert_eq!(asked_of.len(), 3, "{asked_of:?}");
}

#[test]
fn a_busy_peer_is_asked_for_half() {
    let mut pace = Pace::new(MIB / 2, 8 * MIB);
    pace.verified(Time::ZERO, 4 * MIB);
    let before = pace.window();
    pace.busy();
    assert_eq!(pace.window(), before / 2);
    (0..20).for_each(|_| pace.busy());
    assert!(pace.window() > 0 && pace.is_slow());
}

/// One peer that holds everything breaks off its first requests; until when it may take for the next.
fn after_failures(count: u32) -> (Fetch, Time, Duration) {
    let (mut fetch, mut outputs) = from_complete_peers(1, [spec(0, 100_000)]);
    let (mut now, mut failed) = (Time::ZERO, 0);
    loop {
        let asked = outputs.iter().find_map(|output| match output {
            Output::Request {
                request, deadline, ..
            } => Some((*request, *deadline)),
            _ => None,
        });
        if let Some((request, deadline)) = asked {
            if failed == count {
                return (fetch, now, deadline.since(now));
            }
            failed += 1;
            let end = End::Closed;
            fetch.handle(now, Input::Ended { request, end });
        }
        now = fetch.deadline().unwrap();
        fetch.handle_timeout(now);
        outputs = drain(&mut fetch);
    }
}

#[test]
fn who_fails_again_and_again_gets_more_time_each_time_up_to_eightfold() {
    let (_, _, first) = after_failures(0);
    for (failures, times) in [(1, 2), (2, 4), (3, 8), (5, 8)] {
        let (_, _, time) = after_failures(failures);
        assert_eq!(time, first * times, "after {failures}");
    }
}

#[test]
fn who_leaves_and_comes_back_has_not_lost_its_failures() {
    let (mut fetch, now, _) = after_failures(2);
    let (peer, update) = (PeerKey(0), Holdings::Complete);
    fetch.handle(now, Input::PeerLeft { peer });
    fetch.handle(now, Input::PeerJoined { peer });
    fetch.handle(now, Input::Holdings { peer, update });
    let Some(Output::Request { deadline, .. }) = fetch.poll() else {
        panic!("it is asked again");
    };
    let (_, _, first) = after_failures(0);
    assert_eq!(deadline.since(now), first * 4);
}

#[test]
fn what_came_of_a_small_shard_is_wasted_when_its_request_breaks_off() {
    let (mut fetch, outputs) = from_complete_peers(1, [spec(0, 100_000)]);
    let Output::Request { request, .. } = outputs[0] else {
        panic!("it is asked for");
    };
    let part = Input::Verified {
        request,
        shard: ShardIndex(0),
        groups: GroupRange { first: 0, count: 3 },
        bytes: 50_000,
    };
    fetch.handle(Time::ZERO, part);
    assert_eq!(fetch.progress().wasted_bytes, 0, "the rest may come");
    let end = End::Closed;
    fetch.handle(Time::ZERO, Input::Ended { request, end });
    assert_eq!(fetch.progress().wasted_bytes, 50_000);
}
