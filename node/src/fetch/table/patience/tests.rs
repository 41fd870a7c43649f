use super::*;

/// Asks others whenever that is due, while nobody gives anything; when so many are asked.
fn asked_after(count: usize) -> Duration {
    let start = Instant::now();
    let mut patience = Patience::new(start, LATE, 2);
    let (mut now, mut asking) = (start, 1);
    while asking < count {
        patience.begin(now);
        // Peers come and go: whoever looks again and again sees the same deadline.
        let deadline = patience.deadline(asking).unwrap();
        assert_eq!(patience.deadline(asking), Some(deadline));
        now = deadline;
        match patience.due(now, asking, 0) {
            Due::More(more) => asking += more,
            due => panic!("{due:?}"),
        }
    }
    assert!(asking <= DESCRIBERS_MAX);
    now - start
}

#[test]
fn p5_silent_peers_are_waited_for_side_by_side() {
    assert_eq!(asked_after(2), LATE);
    assert_eq!(asked_after(DESCRIBERS_MAX), LATE + 5 * SILENCE);
    let patience = Patience::new(Instant::now(), LATE, 2);
    assert_eq!(patience.deadline(DESCRIBERS_MAX), None);
}

#[test]
fn who_gives_something_is_left_to_it() {
    let start = Instant::now();
    let mut patience = Patience::new(start, LATE, 2);
    let first = patience.deadline(2).unwrap();
    assert_eq!(patience.due(first, 2, SILENCE_BYTES), Due::Nothing);
    let second = patience.deadline(2).unwrap();
    assert_eq!(second, first + SILENCE);
    assert_eq!(patience.due(second, 2, SILENCE_BYTES + 1), Due::More(2));
}

#[test]
fn when_all_failed_they_are_asked_again_soon() {
    let start = Instant::now();
    let mut patience = Patience::new(start, LATE, 2);
    // Never more often than that, however soon they failed.
    assert_eq!(patience.deadline(0), Some(start + AGAIN));
    assert_eq!(patience.due(start + AGAIN, 0, 0), Due::Again);
    assert_eq!(patience.deadline(0), Some(start + 2 * AGAIN));
}
