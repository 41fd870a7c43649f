use super::*;

/// 25 MiB, from one peer to four fetchers.
fn small() -> SimOptions {
    SimOptions {
        fetchers: 4,
        pieces: 200,
        cap: 5_000_000,
        ..SimOptions::default()
    }
}

#[test]
fn equal_options_give_equal_runs_and_another_seed_another() {
    let options = SimOptions {
        peers: 6,
        liars: 3,
        loss_ppm: 10_000,
        churn_percent: 50,
        complete_percent: 40,
        ..small()
    };
    let run = |seed| {
        let report = simulate(&SimOptions {
            seed,
            ..options.clone()
        });
        let report = report.unwrap();
        (report.trace, report.completed_ms, report.events)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn p5_all_fetches_end_among_liars_churn_and_loss() {
    for seed in 0..12 {
        let options = SimOptions {
            peers: 30,
            fetchers: 3,
            pieces: 160,
            shards: u32::try_from(1 + seed * 7).unwrap(),
            liars: 20,
            loss_ppm: 20_000,
            churn_percent: 40,
            complete_percent: 30,
            delay_us: 40_000,
            seed,
            ..small()
        };
        let report = simulate(&options).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        assert!(report.in_flight_peak_bytes <= 8 << 20);
    }
}

/// One seed with a cap of 20 MB/s, 8 fetchers, 200 MB.
fn swarm(shards: u32, seed: u64) -> SimOptions {
    SimOptions {
        pieces: 1600,
        shards,
        seed,
        ..SimOptions::default()
    }
}

#[test]
fn a_capped_seed_sends_about_one_copy_to_eight_fetchers() {
    for shards in [1, 20, 500] {
        for seed in 0..2 {
            let report = simulate(&swarm(shards, seed)).unwrap();
            let (ratio, copies) = (report.ratio, report.copies);
            assert!(
                ratio <= 1.25 && copies <= 1.25,
                "{shards} files, seed {seed}: {ratio} times the shortest, {copies} copies"
            );
        }
    }
}

#[test]
fn control_fetchers_that_do_not_tell_what_they_have_need_a_copy_each() {
    let options = SimOptions {
        tells: false,
        ..swarm(1, 0)
    };
    let report = simulate(&options).unwrap();
    assert!(report.copies >= 8.0 && report.ratio > 7.0, "{report:?}");
}

#[test]
fn three_capped_seeds_give_the_sum_of_their_caps() {
    let options = SimOptions {
        peers: 3,
        fetchers: 1,
        pieces: 4000,
        ..SimOptions::default()
    };
    let report = simulate(&options).unwrap();
    assert!(report.ratio <= 1.05, "{report:?}");
}

#[test]
fn one_peer_fills_most_of_a_long_and_lossy_link() {
    // 200 Mbit/s, 100 ms, 1 %.
    let options = SimOptions {
        peers: 1,
        fetchers: 1,
        pieces: 3200,
        cap: 25_000_000,
        link: 25_000_000,
        delay_us: 100_000,
        loss_ppm: 10_000,
        ..SimOptions::default()
    };
    let report = simulate(&options).unwrap();
    assert!(report.ratio <= 1.0 / 0.8, "{report:?}");
}

#[test]
fn a_thousand_peers_with_parts_serve_one_fetcher() {
    let options = SimOptions {
        peers: 1000,
        fetchers: 1,
        pieces: 1000,
        liars: 300,
        complete_percent: 5,
        cap: 1_000_000,
        delay_us: 50_000,
        ..SimOptions::default()
    };
    simulate(&options).unwrap();
}

#[test]
fn options_without_an_honest_peer_are_refused() {
    let wrong = [
        SimOptions {
            fetchers: 0,
            ..small()
        },
        SimOptions {
            peers: 0,
            ..small()
        },
        SimOptions {
            peers: 3,
            liars: 3,
            ..small()
        },
        SimOptions {
            peers: SIM_NODES_MAX,
            ..small()
        },
    ];
    for options in wrong {
        assert!(simulate(&options).is_err(), "{options:?}");
    }
}
