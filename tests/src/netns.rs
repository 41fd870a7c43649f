//! Two hosts on one machine: network namespaces joined by a cable.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

/// Distinguishes the cables of one process.
static CABLES: AtomicU32 = AtomicU32::new(0);

/// A network namespace; removed when dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    /// A new namespace whose name ends with `suffix`, which is unique in this process.
    pub(crate) fn new(suffix: &str) -> Result<Self> {
        let name = format!("odag-{}-{suffix}", std::process::id());
        ip(&["netns", "add", &name])?;
        Ok(Self(name))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Writes a kernel parameter below `/proc/sys` of this namespace.
    pub(crate) fn set(&self, parameter: &str, value: &str) -> Result<()> {
        // `ip` sees to it that /proc/sys is that of the namespace.
        let script = "printf %s \"$1\" > \"/proc/sys/$0\"";
        let command = ["sh", "-c", script, parameter, value];
        ip(&[&["netns", "exec", &self.0][..], &command].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What cannot be removed now stays until the machine restarts; no test can do better.
        let _ = ip(&["netns", "delete", &self.0]);
    }
}

/// Two namespaces with one interface each; removed when dropped.
pub struct Cable {
    hosts: [Namespace; 2],
}

impl Cable {
    /// Two new namespaces, or why this machine or user cannot have them.
    pub fn new() -> Result<Self> {
        let cable = CABLES.fetch_add(1, Ordering::Relaxed);
        let cable = Self {
            hosts: [
                Namespace::new(&format!("{cable}-a"))?,
                Namespace::new(&format!("{cable}-b"))?,
            ],
        };
        let [left, right] = cable.names();
        // Created inside a namespace, so that no name is taken on the machine itself.
        ip(&[
            "-n", left, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
            right,
        ])?;
        for (name, address) in cable.names().into_iter().zip(Self::ADDRESSES) {
            ip(&[
                "-n",
                name,
                "address",
                "add",
                &format!("{address}/24"),
                "dev",
                "eth0",
            ])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
            ip(&["-n", name, "route", "add", "224.0.0.0/4", "dev", "eth0"])?;
        }
        Ok(cable)
    }

    /// The addresses of the two hosts.
    pub const ADDRESSES: [&'static str; 2] = ["10.77.0.1", "10.77.0.2"];

    /// The names of the two namespaces.
    #[must_use]
    pub fn names(&self) -> [&str; 2] {
        self.hosts.each_ref().map(Namespace::name)
    }
}

/// Runs `ip`, or says why it did not do what it should.
pub(crate) fn ip(args: &[&str]) -> Result<()> {
    let output = match Command::new("ip").args(args).output() {
        Ok(output) => output,
        Err(error) => bail!("cannot run `ip`: {error}"),
    };
    if !output.status.success() {
        bail!(
            "`ip {}` failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
