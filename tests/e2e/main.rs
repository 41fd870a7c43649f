//! OpenDAG's main job through the built binary: real processes on 127.0.0.1.
//!
//! A test of a promise begins with its name (`p1_` to `p9_`, see `specs/threats.md`); what runs at
//! full size is in `tests/src/bin/heavy.rs`.

#[cfg(test)]
mod altered;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod common;
#[cfg(test)]
mod community;
#[cfg(test)]
mod confine;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod crash_points;
#[cfg(test)]
mod croissant;
#[cfg(test)]
mod delta;
mod delta_faults;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod denylists;
#[cfg(test)]
mod discover;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod files;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod forks;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod gateway_abuse;
#[cfg(test)]
mod gateway_names;
mod gateway_s3;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_dht;
#[cfg(test)]
mod hostile_gossip;
#[cfg(test)]
mod hostile_heads;
#[cfg(test)]
mod hostile_records;
#[cfg(test)]
mod hostile_sync;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod keep;
#[cfg(test)]
mod lineage;
#[cfg(test)]
mod links;
#[cfg(test)]
mod local;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod metrics;
mod mirror;
#[cfg(test)]
mod mount;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod retain;
mod revisions;
mod search;
#[cfg(test)]
mod story;
#[cfg(test)]
mod swarm;
#[cfg(test)]
mod town;
#[cfg(test)]
mod versions;
