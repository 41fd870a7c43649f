//! From the options of a simulation to its nodes and their comings and goings.

use std::rc::Rc;

use opendag_protocol::fetch::FetchConfig;

use super::{
    SimOptions,
    bound::Bound,
    data::Data,
    fetcher::Fetcher,
    node::{EVIL, Holds, Node},
    random::Random,
    world::World,
};

/// Stretches of pieces that a peer holds which does not hold all.
const STRETCHES: u64 = 8;
/// A peer that comes and goes stays for up to so long.
const STAY_US: u64 = 20_000_000;
/// The scheduler is audited as a whole so often that it costs about so many steps each time.
const AUDIT_COST: u64 = 256;

/// Makes the network, and says how fast it could be at best.
pub(super) fn world(options: &SimOptions) -> (World, Bound) {
    let config = FetchConfig::default();
    let data = Rc::new(Data::new(
        &config,
        u64::from(options.pieces),
        options.shards,
    ));
    let mut random = Random::new(options.seed);
    let audit_every = 1 + (data.pieces() + u64::from(options.peers)) / AUDIT_COST;
    let fetchers: Vec<Fetcher> = (0..options.fetchers)
        .map(|_| {
            let config = FetchConfig {
                seed: random.next(),
                ..config.clone()
            };
            Fetcher::new(config, data.clone(), audit_every)
        })
        .collect();
    let nodes = nodes(options, &data, &mut random);
    let bound = Bound::new(options, &config, &data, &nodes);
    let mut world = World::new(options, data, nodes, fetchers, random.clone());
    visits(options, &mut world, &mut random);
    (world, bound)
}

fn nodes(options: &SimOptions, data: &Data, random: &mut Random) -> Vec<Node> {
    // Each node has its own part of the way: between half and all of what is asked for.
    let half_us = options.delay_us / 4;
    let mut delay_us = || half_us + random.below(half_us + 1);
    let mut nodes = Vec::new();
    for _ in 0..options.fetchers {
        nodes.push(Node::new(options.link, options.link, delay_us()));
    }
    for _ in 0..options.peers {
        nodes.push(Node::new(options.cap, options.link, delay_us()));
    }
    // The first peer is honest and has all: with it every fetch can end.
    let fetchers = usize::from(options.fetchers);
    let others = nodes.get_mut(fetchers + 1..).unwrap_or_default();
    for node in others.iter_mut() {
        if random.below(100) >= u64::from(options.complete_percent) {
            let pieces = data.pieces();
            let stretches: Vec<(u64, u64)> = (0..STRETCHES)
                .map(|_| {
                    (
                        random.below(pieces),
                        1 + random.below(pieces / STRETCHES + 1),
                    )
                })
                .collect();
            node.holds = Holds::stretches(data, &stretches);
        }
    }
    let liars = usize::try_from(options.liars).unwrap_or(usize::MAX);
    for (node, evil) in others.iter_mut().take(liars).zip(EVIL.iter().cycle()) {
        node.character = *evil;
    }
    nodes
}

fn visits(options: &SimOptions, world: &mut World, random: &mut Random) {
    let fetchers = u32::from(options.fetchers);
    for node in 0..fetchers + options.peers {
        let stays = node <= fetchers || random.below(100) >= u64::from(options.churn_percent);
        if stays {
            world.visit(node, 0, None);
            continue;
        }
        let mut at = random.below(STAY_US);
        for _ in 0..10 {
            let leaves = at + 1 + random.below(STAY_US);
            world.visit(node, at, Some(leaves));
            at = leaves + 1 + random.below(STAY_US / 4);
        }
    }
}
