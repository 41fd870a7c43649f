use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

#[test]
fn proof_of_malice_bans_at_once() {
    for offence in [Offence::WrongBytes, Offence::ForgedRecord] {
        let mut score = Score::new();
        assert_eq!(
            score.record(at(0), offence),
            Verdict::Ban { until: at(3600) }
        );
        assert_eq!(score.verdict(at(3599)), Verdict::Ban { until: at(3600) });
        assert_eq!(score.verdict(at(3600)), Verdict::Fine);
    }
}

#[test]
fn bans_grow_up_to_a_day() {
    let mut score = Score::new();
    let (mut now, mut lengths) = (0, Vec::new());
    for _ in 0..8 {
        let Verdict::Ban { until } = score.record(at(now), Offence::WrongBytes) else {
            panic!("not banned")
        };
        lengths.push(until.since(at(now)).as_secs() / 3600);
        now = until.as_millis() / 1000;
    }
    assert_eq!(lengths, [1, 2, 4, 8, 16, 24, 24, 24]);
    assert!(!score.is_clean(at(u64::MAX / 1000)));
}

#[test]
fn timeouts_deprioritise_but_never_ban_and_are_forgiven() {
    let mut score = Score::new();
    for _ in 0..10_000 {
        assert!(!matches!(
            score.record(at(5), Offence::Timeout),
            Verdict::Ban { .. }
        ));
    }
    assert_eq!(score.verdict(at(5)), Verdict::Deprioritise);
    assert_eq!(score.verdict(at(5 + 310)), Verdict::Fine);
    assert!(!score.is_clean(at(5 + 310)));
    assert!(score.is_clean(at(5 + 600)));
}

#[test]
fn repeated_false_claims_end_in_a_ban() {
    let mut score = Score::new();
    let verdicts: Vec<Verdict> = (0..10)
        .map(|n| score.record(at(n), Offence::FalseClaim))
        .collect();
    assert_eq!(verdicts[0], Verdict::Fine);
    assert_eq!(verdicts[2], Verdict::Deprioritise);
    assert_eq!(
        verdicts[9],
        Verdict::Ban {
            until: at(9 + 3600)
        }
    );
}

#[test]
fn rare_offences_are_forgiven_for_ever() {
    let mut score = Score::new();
    for n in 0..1000 {
        assert_eq!(score.record(at(n * 200), Offence::Protocol), Verdict::Fine);
    }
}

proptest! {
    #[test]
    fn forgiving_does_not_depend_on_how_often_it_is_asked(
        gaps in prop::collection::vec(1u64..40, 1..50),
    ) {
        // Recording nothing in between must not lose fractions of a point's time.
        let mut score = Score::new();
        score.record(at(0), Offence::Flood);
        let mut now = 0;
        for gap in gaps {
            now += gap;
            score.decay(at(now));
            prop_assert_eq!(score.points, 25u64.saturating_sub(now / 10));
        }
    }
}
