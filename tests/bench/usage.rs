//! What processes used: processor time and memory, read from `/proc`.

use std::fs;

use opendag_tests::measure;

/// Clock ticks in a second: what Linux gives to user space on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;
/// A tree of processes deeper than this is no peer of ours.
const PROCESSES_MAX: usize = 256;

/// User and system seconds of these processes, of what they run, and of what they ran and reaped.
pub(crate) fn cpu_seconds(roots: &[u32]) -> f64 {
    tree(roots).into_iter().map(cpu_of).sum()
}

/// User and system seconds of one process, with those of its ended and reaped children.
///
/// A process that has ended keeps its figures until it is reaped.
fn cpu_of(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks(&stat) / TICKS_PER_SECOND
}

/// `utime + stime + cutime + cstime` of a line of `/proc/PID/stat`.
fn ticks(stat: &str) -> f64 {
    // The name in parentheses may hold anything; fields are counted from behind it.
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return 0.0;
    };
    let fields = fields.split_ascii_whitespace().skip(11).take(4);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum()
}

/// Peak memory of these processes and of what they run now, in bytes.
///
/// Pages that several processes share count for each.
pub(crate) fn peak_bytes(roots: &[u32]) -> u64 {
    tree(roots).into_iter().map(measure::peak_memory).sum()
}

/// Memory that is resident now, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Lets peak memory be counted anew from what is resident now.
pub(crate) fn reset_peaks(roots: &[u32]) {
    for pid in tree(roots) {
        // A process of another user keeps its peak: it is then an upper bound.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// These processes and all that they run now.
pub(crate) fn tree(roots: &[u32]) -> Vec<u32> {
    let mut found = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for child in children(pid) {
            if found.len() < PROCESSES_MAX && !found.contains(&child) {
                found.push(child);
            }
        }
    }
    found
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .filter_map(Result::ok)
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|line| {
            line.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), 124.0);
        assert_eq!(ticks(""), 0.0);
    }

    #[test]
    fn this_process_is_seen() {
        let me = std::process::id();
        assert_eq!(tree(&[me]).first(), Some(&me));
        let resident = resident_bytes(me);
        assert!(resident > 0);
        // Read afterwards: other tests of this process may take memory in between.
        assert!(peak_bytes(&[me]) >= resident);
    }
}
