//! F6: bad links, made of network namespaces and a user-space wire.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use opendag_tests::{
    Daemon, Finished, Node, Tree, World,
    link::{Link, Quality},
    skipped,
    world::text,
};

use crate::common::{ensure_equal, ensure_says, world};

/// Whoever waits for a fetch over the worst link gives up after this time: the data would take 1 s
/// on the bare link, and a connection that grows by one packet a round trip a minute.
const PATIENCE: Duration = Duration::from_secs(150);

/// One seed beyond a bad link and a fetcher behind it.
struct Far {
    link: Link,
    world: World,
    source: PathBuf,
    seed: Daemon,
    dataset: String,
}

impl Far {
    /// The two, or `None` where this machine or user cannot have namespaces and TUN devices.
    fn new(test: &str, quality: &Quality, tree: &Tree) -> Result<Option<Self>> {
        let link = match Link::new(quality, 1) {
            Ok(link) => link,
            Err(reason) => {
                let reason = format!("no namespaces with TUN devices here: {reason:#}");
                skipped(test, &reason);
                return Ok(None);
            }
        };
        let world = world()?;
        let source = tree.write(&world.path("source"))?;
        let publisher = world.node("seed");
        let published = publisher.publish(&source, "data")?;
        let seed = at(publisher, &link, 1).daemon::<&str>([])?;
        Ok(Some(Self {
            link,
            source,
            seed,
            dataset: text(&published, "dataset")?,
            world,
        }))
    }

    fn fetch(&self, more: &[&str], within: Duration) -> Result<Finished> {
        let mut options = Vec::new();
        for address in &self.seed.addresses {
            options.extend(["--peer", address.as_str()]);
        }
        options.extend(more);
        let node = at(self.world.node("fetcher"), &self.link, 0);
        let output = self.world.path("fetched");
        node.start_fetch(&self.dataset, &output, &options)?
            .finish(within)
    }
}

/// The node on a host of the link, over both transports.
fn at(node: Node, link: &Link, host: usize) -> Node {
    let ip = Link::address(host);
    node.in_namespace(link.namespace(host))
        .listening(&format!("/ip4/{ip}/tcp/0,/ip4/{ip}/udp/0/quic-v1"))
}

/// The last rung that is promised: slow, far, and it loses, delays and doubles packets.
fn terrible() -> Quality {
    Quality {
        lost_per_million: 50_000,
        late_per_million: 20_000,
        doubled_per_million: 10_000,
        mtu: 1280,
        seed: 6,
        ..Quality::new(5_000_000, Duration::from_millis(300))
    }
}

#[test]
fn p5_a_fetch_over_a_terrible_link_ends_well() -> Result<()> {
    let test = "p5_a_fetch_over_a_terrible_link_ends_well";
    let tree = Tree::new(61).file("large", 300_000).file("small", 20_000);
    let Some(far) = Far::new(test, &terrible(), &tree)? else {
        return Ok(());
    };
    far.fetch(&[], PATIENCE)?.ok()?;
    ensure_equal(&far.source, &far.world.path("fetched"))?;
    let [up, down] = far.link.counts();
    ensure!(
        up.lost > 0 && down.lost > 0 && down.delivered_bytes > 300_000,
        "the link was not terrible: {up:?} {down:?}"
    );
    Ok(())
}

#[test]
fn p8_a_link_that_carries_nothing_ends_with_a_cause() -> Result<()> {
    let test = "p8_a_link_that_carries_nothing_ends_with_a_cause";
    let dead = Quality {
        lost_per_million: 1_000_000,
        ..terrible()
    };
    let Some(far) = Far::new(test, &dead, &Tree::new(62).file("x", 1))? else {
        return Ok(());
    };
    let started = Instant::now();
    let finished = far.fetch(&["--timeout", "5s"], PATIENCE)?.code(3)?;
    ensure!(
        started.elapsed() < Duration::from_secs(30),
        "it took {:?}",
        started.elapsed()
    );
    ensure_says(&finished, &["looked"])?;
    ensure!(far.link.counts()[0].lost > 0, "it was not tried");
    Ok(())
}
