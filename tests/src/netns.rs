//! Two hosts on one machine: network namespaces joined by a cable.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

/// Distinguishes the cables of one process.
static CABLES: AtomicU32 = AtomicU32::new(0);

/// Two namespaces with one interface each; removed when dropped.
pub struct Cable {
    names: [String; 2],
}

impl Cable {
    /// Two new namespaces, or why this machine or user cannot have them.
    pub fn new() -> Result<Self> {
        let id = format!(
            "{}-{}",
            std::process::id(),
            CABLES.fetch_add(1, Ordering::Relaxed)
        );
        let cable = Self {
            names: [format!("odag-{id}-a"), format!("odag-{id}-b")],
        };
        for name in &cable.names {
            ip(&["netns", "add", name])?;
        }
        let [left, right] = &cable.names;
        // Created inside a namespace, so that no name is taken on the machine itself.
        ip(&[
            "-n", left, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
            right,
        ])?;
        for (name, address) in cable.names.iter().zip(Self::ADDRESSES) {
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
        self.names.each_ref().map(String::as_str)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was never made cannot be removed.
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

fn ip(args: &[&str]) -> Result<()> {
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
