//! Figures of the process, under the names that Prometheus knows. They come from `/proc`; where there is
//! none, they are left out.

use std::{fs, time::Duration};

use super::page::Group;

/// Fields of `/proc/<pid>/stat` are counted from 1 in its manual; the second one, a name in brackets, may
/// hold spaces, so that fields are counted from the one behind it.
const FIRST_FIELD: usize = 3;
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;
const THREADS: usize = 20;
const START_TIME: usize = 22;
const RESIDENT_PAGES: usize = 24;

pub(super) fn tell(group: &mut Group<'_>) {
    if let Some(stat) = fs::read_to_string("/proc/self/stat")
        .ok()
        .as_deref()
        .and_then(Stat::parse)
    {
        group.gauge(
            ("resident_memory", "bytes", "Resident memory"),
            stat.resident_pages.saturating_mul(page_bytes()),
        );
        group.counter(
            (
                "cpu",
                "seconds",
                "Time of processors, in user and system mode",
            ),
            seconds(stat.cpu_ticks),
        );
        group.gauge(("running", "threads", "Threads"), stat.threads);
        if let Some(booted) = booted() {
            group.gauge(
                (
                    "start_time",
                    "seconds",
                    "When the process began, in seconds since 1970",
                ),
                booted + seconds(stat.start_ticks),
            );
        }
    }
    if let Some(open) = open_descriptors() {
        group.gauge(("open", "fds", "Open file descriptors"), open);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        group.gauge(("max", "fds", "Descriptors that may be open at most"), most);
    }
}

/// The figures of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - FIRST_FIELD)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(USER_TIME)?.saturating_add(field(SYSTEM_TIME)?),
            threads: field(THREADS)?,
            start_ticks: field(START_TIME)?,
            resident_pages: field(RESIDENT_PAGES)?,
        })
    }
}

fn page_bytes() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(0)
}

/// Clock ticks in seconds.
fn seconds(ticks: u64) -> f64 {
    let hundredths = ticks.saturating_mul(100) / rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(hundredths.saturating_mul(10)).as_secs_f64()
}

/// When the machine began, in seconds since 1970.
fn booted() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let booted = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    booted.trim().parse().ok()
}

/// Without the one that looks.
fn open_descriptors() -> Option<usize> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    open.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_shifts_nothing() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 9 0 0 0 250 50 0 0 20 0 12 0 4242 9999 77 1 2";
        let stat = Stat {
            cpu_ticks: 300,
            threads: 12,
            start_ticks: 4242,
            resident_pages: 77,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }
}
