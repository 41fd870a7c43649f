use std::sync::atomic::AtomicBool;

use anyhow::{Result, ensure};

use super::*;

const PACKETS: u64 = 200;
const PACKET_BYTES: usize = 1000;

/// Sends [`PACKETS`] at once and returns when each arrived, by its number, once all have an end.
fn send(quality: Quality) -> (Vec<(u64, Duration)>, Counts) {
    let (pipe, stop) = (Pipe::new(&quality, quality.seed), AtomicBool::new(false));
    let arrived = Mutex::new(Vec::new());
    let started = Instant::now();
    for number in 0..PACKETS {
        let mut packet = [0; PACKET_BYTES];
        packet[..8].copy_from_slice(&number.to_le_bytes());
        pipe.push(&packet);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pipe.run(&stop, |packet| {
                let mut number = [0; 8];
                number.copy_from_slice(&packet[..8]);
                let arrival = (u64::from_le_bytes(number), started.elapsed());
                arrived.lock().unwrap().push(arrival);
            });
        });
        while !pipe.lock().under_way.is_empty() {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    (arrived.into_inner().unwrap(), pipe.counts())
}

/// 10 MB/s and 20 ms: all packets together take 20 ms on the wire, and the queue holds twice that.
fn quality() -> Quality {
    Quality::new(80_000_000, Duration::from_millis(20))
}

#[test]
fn packets_take_their_time_on_the_wire_and_keep_their_order() -> Result<()> {
    let (arrived, counts) = send(quality());
    ensure!(counts.delivered == PACKETS, "{counts:?}");
    for (at, (number, after)) in (0..).zip(&arrived) {
        let due = Duration::from_millis(20) + Duration::from_micros(100) * (at + 1);
        ensure!(
            u64::from(at) == *number && *after + SLEEP_MIN >= due,
            "{at}: {number} {after:?}"
        );
    }
    Ok(())
}

#[test]
fn a_queue_that_is_full_drops_what_comes_last() -> Result<()> {
    // One round trip of 10 ms: the queue holds half of what is sent.
    let (arrived, counts) = send(Quality {
        delay: Duration::from_millis(5),
        ..quality()
    });
    ensure!(
        counts.dropped > 80 && counts.delivered + counts.dropped == PACKETS,
        "{counts:?}"
    );
    ensure!((0..).zip(&arrived).all(|(at, (number, _))| at == *number));
    Ok(())
}

#[test]
fn accidents_happen_as_often_as_asked() -> Result<()> {
    let (arrived, counts) = send(Quality {
        lost_per_million: 100_000,
        late_per_million: 100_000,
        doubled_per_million: 100_000,
        ..quality()
    });
    ensure!((5..50).contains(&counts.lost), "{counts:?}");
    ensure!(
        counts.delivered > PACKETS - counts.lost,
        "nothing came twice: {counts:?}"
    );
    ensure!(
        !arrived.is_sorted_by_key(|(number, _)| *number),
        "nothing came late"
    );
    Ok(())
}
