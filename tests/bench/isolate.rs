//! A network of its own: peers of the benchmark reach nothing but this machine's loopback.
//!
//! The program starts itself again inside a new network namespace with nothing but `lo`, in which no peer
//! can talk to anybody however it is configured, and in a process namespace, whose end kills every
//! process that is left.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::Result;

/// Set in the environment of the program that runs inside.
const INSIDE: &str = "OPENDAG_BENCH_ISOLATED";

/// Whether this program runs inside.
pub(crate) fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program again inside; returns only if that cannot be done here.
pub(crate) fn enter() -> Result<()> {
    let mut flags = vec!["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !rustix::process::geteuid().is_root() {
        flags.extend(["--user", "--map-root-user"]);
    }
    // Names of namespaces are files that all of the machine shares: workloads with a link make their own.
    // The first process of a namespace gets no signal that it does not handle: the shell does, and its end
    // is the end of all.
    let up = "mkdir -p /run/netns && mount -t tmpfs none /run/netns; ip link set lo up || exit 1
trap 'exit 130' INT TERM; \"$@\" & wait $!";
    let probe = Command::new("unshare")
        .args(&flags)
        .args(["sh", "-c", up, "sh", "true"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    Err(Command::new("unshare")
        .args(&flags)
        .args(["sh", "-c", up, "sh"])
        .arg(std::env::current_exe()?)
        .args(args)
        .env(INSIDE, "1")
        .exec()
        .into())
}
