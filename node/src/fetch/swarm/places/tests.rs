use super::*;

/// All that is to be done now.
fn turns(places: &mut Places, now: Instant, useful: &[(PeerId, Instant)]) -> Vec<Turn> {
    let useful_at = |peer: &PeerId| {
        let mut known = useful.iter().filter(|(known, _)| known == peer);
        known.next().map(|(_, at)| *at)
    };
    std::iter::from_fn(|| places.next(now, useful_at)).collect()
}

/// A swarm of liars with all places taken, and so many more that wait.
fn crowded(now: Instant, waiting: usize) -> (Places, Vec<PeerId>) {
    let mut places = Places::default();
    let liars: Vec<PeerId> = (0..FETCH_PEERS_MAX + waiting)
        .map(|_| PeerId::random())
        .collect();
    for liar in &liars {
        places.offer(now, *liar, false);
    }
    let begun = turns(&mut places, now, &[]);
    let all = liars.iter().take(FETCH_PEERS_MAX);
    assert_eq!(
        begun,
        all.map(|liar| Turn::Begin(*liar)).collect::<Vec<_>>()
    );
    (places, liars)
}

#[test]
fn p5_each_of_a_crowd_has_its_turn_soon() {
    let start = Instant::now();
    let (mut places, _) = crowded(start, 4 * FETCH_PEERS_MAX);
    let honest = PeerId::random();
    places.offer(start, honest, false);
    let mut now = start;
    let mut seen = Vec::new();
    while !seen.contains(&Turn::Begin(honest)) {
        now = places.deadline(|_| None).unwrap();
        seen = turns(&mut places, now, &[]);
        assert!(!seen.is_empty(), "nothing happens at the deadline");
    }
    assert_eq!(now, start + 5 * PROVE_WITHIN);
}

#[test]
fn who_was_useful_waits_before_strangers_and_stays() {
    let start = Instant::now();
    let (mut places, liars) = crowded(start, 5);
    let known = PeerId::random();
    places.offer(start, known, true);
    let now = start + PROVE_WITHIN;
    // All of them have to go but for the one that gave something.
    let useful = [(liars[3], now)];
    let done = turns(&mut places, now, &useful);
    let first = done.iter().find_map(|turn| match turn {
        Turn::Begin(peer) => Some(*peer),
        Turn::End(_) => None,
    });
    assert_eq!(first, Some(known));
    assert!(!done.contains(&Turn::End(liars[3])));
    let ended = done.iter().filter(|turn| matches!(turn, Turn::End(_)));
    assert_eq!(ended.count(), 6, "as many as waited");
}

#[test]
fn who_has_nothing_makes_room_at_once() {
    let start = Instant::now();
    let (mut places, peers) = crowded(start, 2);
    places.has_nothing(peers[5]);
    places.has_nothing(peers[6]);
    // By now it has.
    places.has_something(start, peers[6]);
    let [first, second] = [peers[FETCH_PEERS_MAX], peers[FETCH_PEERS_MAX + 1]];
    let done = turns(&mut places, start, &[(peers[5], start)]);
    assert_eq!(done, [Turn::End(peers[5]), Turn::Begin(first)]);
    assert_eq!(places.deadline(|_| None), Some(start + PROVE_WITHIN));
    places.has_nothing(first);
    let done = turns(&mut places, start, &[]);
    assert_eq!(done, [Turn::End(first), Turn::Begin(second)]);
}

#[test]
fn nobody_has_to_go_while_nobody_waits() {
    let start = Instant::now();
    let (mut places, _) = crowded(start, 0);
    assert_eq!(places.deadline(|_| None), None);
    assert_eq!(turns(&mut places, start + 10 * PROVE_WITHIN, &[]), []);
}

#[test]
fn who_left_rests_and_who_is_banned_stays_out() {
    let start = Instant::now();
    let mut places = Places::default();
    let [left, banned] = [PeerId::random(), PeerId::random()];
    for peer in [left, banned] {
        places.offer(start, peer, false);
    }
    places.ban(banned);
    assert_eq!(turns(&mut places, start, &[]), [Turn::Begin(left)]);
    places.left(start, left);
    for peer in [left, banned] {
        places.offer(start, peer, true);
    }
    assert_eq!(turns(&mut places, start, &[]), []);
    let later = start + REST;
    for peer in [left, banned] {
        places.offer(later, peer, true);
        places.offer(later, peer, true);
    }
    assert_eq!(turns(&mut places, later, &[]), [Turn::Begin(left)]);
}
