//! What peers say about themselves.

use libp2p::{Multiaddr, PeerId, identify};

use super::{counters::count, kad::protocol_name, limits::ADDRESSES_PER_PEER_MAX, task::Task};

/// Characters of an agent string that are kept.
const AGENT_CHARS_MAX: usize = 64;

/// What a node of `network` calls itself; peers that say something else are disconnected.
pub(super) fn protocol_version(network: &str) -> String {
    format!("opendag/{network}/1")
}

impl Task {
    pub(super) fn on_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { peer_id, info, .. } => self.on_identified(peer_id, &info),
            identify::Event::Error { peer_id, error, .. } => {
                tracing::debug!(peer = %peer_id, %error, "identify failed");
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => {}
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        if info.protocol_version != protocol_version(&self.network) {
            count(&self.counters.other_network);
            self.on_other_network(peer);
            return;
        }
        let listen: Vec<Multiaddr> = info
            .listen_addrs
            .iter()
            .take(ADDRESSES_PER_PEER_MAX)
            .cloned()
            .collect();
        for addr in &listen {
            self.book.add(peer, addr);
        }
        let speaks_kad =
            protocol_name(&self.network).is_some_and(|name| info.protocols.contains(&name));
        if speaks_kad && let Some(kad) = self.swarm.behaviour_mut().kad.as_mut() {
            for addr in self.book.get(&peer, &self.policy) {
                kad.add_address(&peer, addr);
            }
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            state.agent = Some(quote(&info.agent_version));
            state.listens = listen;
        }
        self.on_confirmed(peer);
    }
}

/// A stranger's text, safe to print: cut, and without control characters.
pub(super) fn quote(text: &str) -> String {
    let safe = |c: char| !c.is_control() && !is_invisible(c);
    text.chars()
        .take(AGENT_CHARS_MAX)
        .map(|c| {
            if safe(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// Formatting characters that reorder or hide text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
