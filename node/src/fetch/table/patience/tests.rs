use super::*;

/// Asks one more whenever that is due, while nobody gives anything; when so many are asked.
fn asked_after(count: usize) -> Duration {
    let start = Instant::now();
    let mut patience = Patience::new(start, LATE, 2);
    let mut now = start;
    for asking in 1..count {
        patience.begin(now);
        // Peers come and go: whoever looks again and again sees the same deadline.
        let deadline = patience.deadline(asking).unwrap();
        assert_eq!(patience.deadline(asking), Some(deadline));
        now = deadline;
        assert_eq!(patience.due(now, asking, 0), Due::OneMore);
    }
    now - start
}

#[test]
fn p5_silent_peers_are_waited_for_side_by_side() {
    assert_eq!(asked_after(2), LATE);
    assert_eq!(asked_after(DESCRIBERS_MAX), LATE + 14 * SILENCE);
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
    assert_eq!(patience.due(second, 2, SILENCE_BYTES + 1), Due::OneMore);
}

#[test]
fn when_all_failed_they_are_asked_again_soon() {
    let start = Instant::now();
    let mut patience = Patience::new(start, LATE, 2);
    let failed = start + LATE;
    patience.begin(failed);
    assert_eq!(patience.deadline(0), Some(failed + AGAIN));
    assert_eq!(patience.due(failed + AGAIN, 0, 0), Due::Again);
}
