//! One seed, one fetch, all peers in alternation.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use opendag_tests::tree;
use walkdir::WalkDir;

use crate::{
    peers::{FETCH_TIME_MAX, Host, Job, Peer, Role, Seed},
    process::{Process, Used, Watched},
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense, ratio},
};

/// A comparison of all peers over one folder.
pub(crate) struct Comparison<'a> {
    /// What is sent.
    pub(crate) source: &'a Path,
    /// Where targets and states lie.
    pub(crate) folder: &'a Path,
    /// Where the seeds run.
    pub(crate) seed: Host,
    /// Where the fetches run.
    pub(crate) fetch: Host,
    /// Measured runs of each peer.
    pub(crate) rounds: usize,
    /// What becomes of what was fetched when it was compared.
    pub(crate) fetched: Fetched,
}

/// What becomes of what was fetched when it was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// It is removed.
    Removed,
    /// It stays until the end: see [`crate::workloads`].
    Kept,
}

/// A peer with its seed running.
struct Contestant<'a> {
    peer: &'a dyn Peer,
    seed: Box<dyn Seed>,
    scratch: PathBuf,
    row: Row,
}

impl Comparison<'_> {
    /// Runs every peer `rounds` times in turn; what cannot run is named in the notes.
    pub(crate) fn run(&self, peers: &[Box<dyn Peer>], report: &mut Report) -> Result<()> {
        let bytes = size(self.source)?;
        let mut contestants = Vec::new();
        // The subject comes first in the table and seeds last: rqbit opens the files that it shares for
        // writing and moves their times, after which OpenDAG rightly serves them no more.
        for peer in peers.iter().rev() {
            if let Some(reason) = peer.missing() {
                report
                    .notes
                    .push(format!("{} left out: {reason}", peer.name()));
                continue;
            }
            let scratch = self.folder.join(format!("{}-state", peer.name()));
            let job = Job {
                source: self.source,
                scratch: scratch.clone(),
                seed: self.seed.clone(),
                fetch: self.fetch.clone(),
            };
            say(&format!("  {} seeds", peer.name()));
            match peer.seed(&job) {
                Ok(seed) => contestants.push(Contestant {
                    peer: peer.as_ref(),
                    seed,
                    scratch,
                    row: Row::new(peer.name()),
                }),
                Err(error) => report
                    .notes
                    .push(format!("{} left out, its seed: {error:#}", peer.name())),
            }
        }
        contestants.reverse();
        for round in 0..self.rounds {
            for contestant in &mut contestants {
                match self.measure(contestant, round, bytes) {
                    Ok(run) => contestant.row.runs.push(run),
                    Err(error) => {
                        let failure = format!(
                            "{} failed in round {}: {error:#}",
                            contestant.peer.name(),
                            round + 1
                        );
                        say(&format!("  {failure}"));
                        report.notes.push(failure);
                    }
                }
            }
        }
        report
            .rows
            .extend(contestants.into_iter().map(|contestant| contestant.row));
        Ok(())
    }

    fn measure(&self, contestant: &Contestant<'_>, round: usize, bytes: u64) -> Result<Run> {
        let peer = contestant.peer;
        let target = self.folder.join("target");
        fresh(&target)?;
        warm(self.source)?;
        let fetch = contestant.seed.fetch(&target, round)?;
        // What earlier runs left dirty, and what deleting them left to discard, is not this run's.
        rustix::fs::sync();
        let mut seeds = Watched::new(contestant.seed.pids());
        let started = Instant::now();
        let name = format!("{}-fetch", peer.name());
        let ended = Process::start(&name, fetch.command, &contestant.scratch)?
            .finish(FETCH_TIME_MAX, &mut seeds)?;
        if !peer.syncs() {
            rustix::fs::syncfs(File::open(&target)?)?;
        }
        let finished = if peer.syncs() {
            ended.at
        } else {
            Instant::now()
        };
        let seconds = (finished - started).as_secs_f64();
        let seed = seeds.used();
        let found = tree::differences(self.source, &fetch.result)?;
        ensure!(
            found.is_empty(),
            "{} differences, the first: {}",
            found.len(),
            found.first().map_or("", String::as_str)
        );
        match self.fetched {
            Fetched::Removed => fs::remove_dir_all(&target)?,
            Fetched::Kept => {
                let kept = format!("fetched-{}-{round}", peer.name());
                fs::rename(&target, self.folder.join(kept))?;
            }
        }
        let speed = mb(bytes) / seconds;
        say(&format!(
            "  round {}: {:<11} {seconds:7.2} s  {speed:6.1} MB/s",
            round + 1,
            peer.name()
        ));
        Ok(figures(seconds, speed, ended.used, seed))
    }
}

/// The figures of one measured transfer.
pub(crate) fn figures(seconds: f64, speed: f64, fetch: Used, seed: Used) -> Run {
    Run::default()
        .with("seconds", seconds)
        .with("MB/s", speed)
        .with("fetch_cpu_s", fetch.cpu_seconds)
        .with("seed_cpu_s", seed.cpu_seconds)
        .with("fetch_peak_bytes", lossy(fetch.peak_bytes))
        .with("seed_peak_bytes", lossy(seed.peak_bytes))
}

/// Which peers a goal speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// All.
    All,
    /// Those that verify: [`Peer::verifies`].
    Verified,
}

/// The goal on the speed of the subject, as a multiple of the fastest peer's.
pub(crate) fn speed_goal(
    report: &Report,
    peers: &[Box<dyn Peer>],
    (among, goal): (Among, f64),
) -> Goal {
    let subject = best(report, peers, (Role::Subject, Among::All));
    let best = best(report, peers, (Role::Peer, among));
    Goal {
        what: format!(
            "speed of opendag / best {}peer ({})",
            if among == Among::Verified {
                "verified "
            } else {
                ""
            },
            best.map_or("none", |(name, _)| name)
        ),
        sense: Sense::AtLeast,
        goal,
        measured: subject
            .zip(best)
            .and_then(|((_, subject), (_, best))| ratio(subject, best)),
    }
}

/// The ratio to the line of limit, which is no goal, and what goal the limit itself would reach.
pub(crate) fn note_limit(report: &mut Report, peers: &[Box<dyn Peer>], among: Among) {
    let speed = |row: &str| report.median(row, "MB/s");
    let Some(limit) = speed("limit") else { return };
    let subject = speed("opendag").and_then(|subject| ratio(subject, limit));
    let best = best(report, peers, (Role::Peer, among));
    let above = best.and_then(|(name, best)| Some((name, ratio(limit, best)?)));
    let notes = [
        subject.map(|share| format!("speed of opendag / line of limit: {share:.2}")),
        above.map(|(name, above)| format!("line of limit / {name}: {above:.2}")),
    ];
    report.notes.extend(notes.into_iter().flatten());
}

/// The fastest of those who take part in this way, and its speed.
fn best(
    report: &Report,
    peers: &[Box<dyn Peer>],
    (role, among): (Role, Among),
) -> Option<(&'static str, f64)> {
    peers
        .iter()
        .filter(|peer| peer.role() == role && (among == Among::All || peer.verifies()))
        .filter_map(|peer| Some((peer.name(), report.median(peer.name(), "MB/s")?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Removes a folder with all in it and makes it anew.
pub(crate) fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(())
}

/// Bytes of all files of a folder.
pub(crate) fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in WalkDir::new(folder) {
        let entry = entry?;
        if entry.file_type().is_file() {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Reads all files of a folder, so that every run finds them in the page cache.
pub(crate) fn warm(folder: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    for entry in WalkDir::new(folder) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let mut file = File::open(entry.path())
                .with_context(|| format!("cannot open {}", entry.path().display()))?;
            while file.read(&mut buffer)? > 0 {}
        }
    }
    Ok(())
}

/// Millions of bytes.
pub(crate) fn mb(bytes: u64) -> f64 {
    lossy(bytes) / 1e6
}

/// A count as a figure.
#[allow(clippy::cast_precision_loss, reason = "counts here lie far below 2^53")]
pub(crate) fn lossy(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{peers, stats::Verdict};

    #[test]
    fn the_goal_takes_the_fastest_peer_and_never_the_limit() {
        let peers: Vec<Box<dyn Peer>> = vec![
            Box::new(peers::opendag::OpenDag {
                binary: PathBuf::new(),
            }),
            Box::new(peers::limit::Limit),
            Box::new(peers::rsync::Rsync),
            Box::new(peers::aria2::Aria2),
        ];
        let mut report = Report::new("B2", "");
        for (name, speed) in [
            ("opendag", 300.0),
            ("limit", 900.0),
            ("rsync", 200.0),
            ("aria2", 100.0),
        ] {
            let mut row = Row::new(name);
            row.runs.push(Run::default().with("MB/s", speed));
            report.rows.push(row);
        }
        let goal = speed_goal(&report, &peers, (Among::All, 1.5));
        assert_eq!(goal.measured, Some(1.5));
        assert_eq!(goal.verdict(), Verdict::Reached);
        assert!(goal.what.contains("rsync"), "{}", goal.what);
        // rsync believes what the sender says.
        let goal = speed_goal(&report, &peers, (Among::Verified, 1.5));
        assert_eq!(goal.measured, Some(3.0));
        assert!(goal.what.contains("verified peer (aria2)"), "{}", goal.what);

        report.rows.truncate(2);
        assert_eq!(
            speed_goal(&report, &peers, (Among::All, 1.5)).verdict(),
            Verdict::Open
        );
    }
}
