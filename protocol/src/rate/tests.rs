use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

#[test]
fn burst_passes_at_once_and_then_the_rate_holds() {
    let mut bucket = TokenBucket::new(1000, 500);
    assert_eq!(bucket.take(at(0), 500), Ok(()));
    assert_eq!(bucket.take(at(0), 100), Err(Duration::from_millis(100)));
    assert_eq!(bucket.take(at(99), 100), Err(Duration::from_millis(1)));
    assert_eq!(bucket.take(at(100), 100), Ok(()));
}

#[test]
fn more_than_the_burst_leaves_a_debt() {
    let mut bucket = TokenBucket::new(1000, 500);
    assert_eq!(bucket.take(at(0), 2500), Ok(()));
    assert_eq!(bucket.take(at(0), 1), Err(Duration::from_millis(2001)));
    assert_eq!(bucket.take(at(2001), 1), Ok(()));
}

#[test]
fn a_clock_that_goes_back_or_far_ahead_earns_nothing_extra() {
    let mut bucket = TokenBucket::new(1000, 10);
    assert_eq!(bucket.take(at(1000), 10), Ok(()));
    assert!(bucket.take(at(0), 10).is_err());
    assert_eq!(bucket.take(at(u64::MAX), 10), Ok(()));
    assert!(bucket.take(at(u64::MAX), 1).is_err());
}

#[test]
fn zero_rate_is_one_byte_a_second() {
    let mut bucket = TokenBucket::new(0, 0);
    assert_eq!(bucket.take(at(0), 1), Ok(()));
    assert_eq!(bucket.take(at(0), 1), Err(Duration::from_secs(1)));
}

proptest! {
    #[test]
    fn never_more_than_burst_and_rate_allow(
        rate in 1u64..1_000_000,
        burst in 1u64..1_000_000,
        takes in prop::collection::vec((0u64..500, 1u64..2_000_000), 1..100),
    ) {
        let mut bucket = TokenBucket::new(rate, burst);
        let (mut now, mut passed, mut last) = (0u64, 0u128, 0u64);
        for (step, bytes) in takes {
            now += step;
            if bucket.take(at(now), bytes).is_ok() {
                passed += u128::from(bytes);
                last = bytes;
            }
            let allowed = u128::from(burst) + u128::from(rate) * u128::from(now) / 1000;
            // One take may exceed the burst: its debt is paid before the next.
            prop_assert!(passed <= allowed + u128::from(last));
        }
    }

    #[test]
    fn the_told_wait_is_enough_and_not_too_long(rate in 1u64..1_000_000, burst in 1u64..1_000_000, bytes in 1u64..2_000_000) {
        let mut bucket = TokenBucket::new(rate, burst);
        prop_assert_eq!(bucket.take(at(0), burst), Ok(()));
        let wait = bucket.take(at(0), bytes).unwrap_err();
        let ms = u64::try_from(wait.as_millis()).unwrap();
        prop_assert!(bucket.clone().take(at(ms - 1), bytes).is_err());
        prop_assert_eq!(bucket.take(at(ms), bytes), Ok(()));
    }
}
