//! What a node says about itself, its keys and its peers.

use opendag_node::ops::{Event, PeerInfo, Shell};

use super::{Lines, escape};

/// The events of `key`, `alias`, `id`, `peers`, `status`, `env` and `mount`; nothing for others.
pub(super) fn say(lines: &mut Lines, event: &Event) {
    match event {
        Event::Rotated {
            dataset,
            record,
            sequence,
            owners,
            threshold,
        } => {
            lines.add(format_args!(
                "Dataset {dataset} has new owners: record {record}, number {sequence}."
            ));
            let (count, keys) = (owners.len(), escape(&owners.join(", ")).into_owned());
            lines.add(format_args!("{threshold} of {count} must sign: {keys}"));
        }
        Event::Keys { keys } if keys.is_empty() => {
            lines.add(format_args!(
                "There are no publisher keys yet. The first publish makes one."
            ));
        }
        Event::Keys { keys } => {
            for key in keys {
                lines.add(format_args!(
                    "{}  {}",
                    escape(&key.name),
                    escape(&key.public)
                ));
            }
        }
        Event::Aliases { aliases } if aliases.is_empty() => {
            lines.add(format_args!(
                "There are no aliases. Set one with: opendag alias set NAME KEY"
            ));
        }
        Event::Aliases { aliases } => {
            for alias in aliases {
                lines.add(format_args!(
                    "{}  {}",
                    escape(&alias.name),
                    escape(&alias.key)
                ));
            }
        }
        Event::Id { peer, addresses } => {
            lines.add(format_args!("{}", escape(peer)));
            for address in addresses {
                lines.add(format_args!("{}", escape(address)));
            }
        }
        Event::Peers { peers } if peers.is_empty() => {
            lines.add(format_args!(
                "No peer is connected. Is a daemon running here, and does it have bootstraps?"
            ));
        }
        Event::Peers { peers } => {
            for peer in peers {
                peer_line(lines, peer);
            }
        }
        Event::Status {
            counters,
            running,
            mirrors,
        } => {
            for (name, count) in counters {
                lines.add(format_args!("{:<28} {count}", escape(name)));
            }
            for sentence in running {
                lines.add(format_args!("{}", escape(sentence)));
            }
            for mirror in mirrors {
                super::mirror::mirror(lines, mirror);
            }
        }
        Event::Mounted { dir } => {
            let dir = super::path(dir);
            lines.add(format_args!(
                "Mounted at {dir}. It ends with Ctrl-C, or from elsewhere with `opendag unmount {dir}`."
            ));
        }
        Event::Unmounted { dir } => {
            lines.add(format_args!("Unmounted {}.", super::path(dir)));
        }
        Event::Env { variables, shell } => {
            for (name, value) in variables {
                // Values are URLs and words of ours: they need no quoting beyond this.
                match shell {
                    Shell::Sh => lines.add(format_args!("export {name}='{}'", escape(value))),
                    Shell::Fish => lines.add(format_args!("set -gx {name} '{}'", escape(value))),
                    Shell::Powershell => {
                        lines.add(format_args!("$env:{name} = '{}'", escape(value)));
                    }
                }
            }
        }
        _ => {}
    }
}

fn peer_line(lines: &mut Lines, peer: &PeerInfo) {
    let rtt = peer
        .rtt_ms
        .map_or_else(|| "-".to_owned(), |rtt| format!("{rtt} ms"));
    let agent = escape(peer.agent.as_deref().unwrap_or("-"));
    let (id, addresses) = (escape(&peer.peer), peer.addresses.join(" "));
    lines.add(format_args!("{id}  {rtt}  {agent}  {}", escape(&addresses)));
}
