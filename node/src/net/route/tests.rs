use super::*;

const NEAR: Option<Duration> = Some(Duration::from_millis(2));
const AWAY: Option<Duration> = Some(Duration::from_millis(100));

/// Opens a stream every 100 ms for so many seconds while each kind carries its rate when chosen.
fn run(
    route: &mut Route,
    from: Instant,
    round_trip: Option<Duration>,
    rates: [u64; 2],
    seconds: u64,
) -> Kind {
    let (mut read, mut chosen) = ([0, 0], Kind::Tcp);
    for tick in 0..seconds * 10 {
        let now = from + Duration::from_millis(tick * 100);
        let [tcp, quic] = read;
        chosen = route.choose(
            now,
            round_trip,
            Read {
                tcp: Some(tcp),
                quic: Some(quic),
            },
        );
        let at = usize::from(chosen == Kind::Quic);
        read[at] += rates[at] / 10;
    }
    chosen
}

#[test]
fn near_peers_stay_with_tcp_and_far_ones_with_quic_while_they_are_fast() {
    let fast = [10 * SLOW, 10 * SLOW];
    let now = Instant::now();
    assert_eq!(run(&mut Route::default(), now, NEAR, fast, 30), Kind::Tcp);
    assert_eq!(run(&mut Route::default(), now, AWAY, fast, 30), Kind::Quic);
    assert_eq!(run(&mut Route::default(), now, None, fast, 30), Kind::Tcp);
}

#[test]
fn the_faster_one_stays_when_the_first_choice_is_slow() {
    let now = Instant::now();
    for (round_trip, rates, best) in [
        (NEAR, [SLOW / 4, 10 * SLOW], Kind::Quic),
        (AWAY, [10 * SLOW, SLOW / 4], Kind::Tcp),
        (AWAY, [SLOW / 8, SLOW / 4], Kind::Quic),
        (NEAR, [SLOW / 4, SLOW / 8], Kind::Tcp),
    ] {
        let chosen = run(&mut Route::default(), now, round_trip, rates, 20);
        assert_eq!(chosen, best, "{round_trip:?} {rates:?}");
    }
}

#[test]
fn one_that_is_so_slow_that_streams_are_rare_is_left_again() {
    let (mut route, start) = (Route::default(), Instant::now());
    let (mut quic, mut chosen) = (0, Kind::Tcp);
    // QUIC begins slowly and gets a try of TCP; there a stream takes 3 s.
    for tick in 0..20 {
        let now = start + Duration::from_secs(tick * 3);
        let read = Read {
            tcp: Some(tick * 1000),
            quic: Some(quic),
        };
        chosen = route.choose(now, AWAY, read);
        quic += SLOW;
    }
    assert_eq!(chosen, Kind::Quic);
}

#[test]
fn a_peer_that_is_asked_little_is_not_taken_for_slow() {
    let (mut route, start) = (Route::default(), Instant::now());
    for tick in 0..20 {
        let now = start + Duration::from_secs(tick * 5);
        let read = Read {
            tcp: Some(tick),
            quic: Some(0),
        };
        assert_eq!(route.choose(now, NEAR, read), Kind::Tcp);
        assert!(!route.wants_quic(now, NEAR));
    }
}

#[test]
fn quic_is_dialled_beside_tcp_for_far_or_slow_peers_once_a_minute() {
    let (mut route, start) = (Route::default(), Instant::now());
    assert!(!route.wants_quic(start, NEAR));
    assert!(route.wants_quic(start, AWAY));
    assert!(!route.wants_quic(start + MEMORY / 2, AWAY));
    assert!(route.wants_quic(start + MEMORY, AWAY));

    let mut slow = Route::default();
    for tick in 0..70 {
        let now = start + Duration::from_millis(tick * 100);
        let read = Read {
            tcp: Some(tick * 1000),
            quic: None,
        };
        assert_eq!(slow.choose(now, NEAR, read), Kind::Tcp);
    }
    assert!(slow.wants_quic(start + Duration::from_secs(7), NEAR));
}
