//! R1 to R5: programs that read over HTTP from a gateway what lies on other nodes.

mod client;
mod columns;
mod crowd;
mod far;
mod first;
mod sequential;

pub(super) use self::{
    columns::one_column, crowd::hundred_readers, far::round_trips, first::first_byte,
    sequential::against_fetch,
};

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{Daemon, Node, world::text};
use serde_json::Value;

/// How long a gateway may take to find the peer that it was told of.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// A node that holds nothing at first and answers over HTTP.
struct Gateway {
    daemon: Daemon,
    url: String,
}

impl Gateway {
    /// Starts one, and waits until it is connected to all of `peers`.
    fn start(node: &Node, peers: &[&Daemon]) -> Result<Self> {
        let mut args = vec!["--gateway", "127.0.0.1:0"];
        for address in peers.iter().flat_map(|peer| &peer.addresses) {
            args.extend(["--bootstrap", address]);
        }
        let daemon = node.daemon(args)?;
        let url = text(&daemon.ready, "gateway")?;
        let deadline = Instant::now() + CONNECT_MAX;
        for peer in peers {
            while !connected(node)?.contains(&peer.peer) {
                ensure!(Instant::now() < deadline, "{} is not reached", peer.peer);
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(Self { daemon, url })
    }

    fn pid(&self) -> u32 {
        self.daemon.running.pid()
    }

    /// Bytes that it received for readers, proofs included, until a moment ago.
    fn received_bytes(&self) -> Result<u64> {
        // Counted every quarter of a second.
        thread::sleep(Duration::from_millis(600));
        let status = self.daemon.node().run(["status"])?.ok()?.event("status")?;
        let received = status.pointer("/counters/received_bytes");
        received
            .and_then(Value::as_u64)
            .context("a count of bytes received")
    }
}

/// The peers that a node's daemon is connected to.
fn connected(node: &Node) -> Result<Vec<String>> {
    let seen = node.run(["peers"])?.ok()?.event("peers")?;
    let peers = seen.get("peers").and_then(Value::as_array);
    let peers = peers.context("a list of peers")?;
    let name = |peer: &Value| Some(peer.get("peer")?.as_str()?.to_owned());
    Ok(peers.iter().filter_map(name).collect())
}

/// The id of the version that a seed has of the dataset of the benchmark.
fn manifest(seed: &Daemon) -> Result<String> {
    let listed = seed.node().run(["show", "data"])?.ok()?.event("versions")?;
    text(
        listed.pointer("/versions/0").context("a version")?,
        "manifest",
    )
}
