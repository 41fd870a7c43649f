//! Events as text for people. All text that a stranger may have written is escaped.

use std::{fmt::Write as _, path::Path, time::Duration};

use indicatif::HumanBytes;
use opendag_node::ops::{BadShard, Event, FileInfo, PeerShare, VersionInfo};
use opendag_protocol::{ManifestId, Timestamp};

use super::escape;

/// Lines for people, each with its newline; empty if there is nothing to say.
pub(super) fn of(event: &Event) -> String {
    let mut lines = Lines::default();
    match event {
        Event::Ready { .. } => ready(&mut lines, event),
        Event::Published { .. } => published(&mut lines, event),
        Event::Plan { .. } => plan(&mut lines, event),
        Event::Fetched { .. } => fetched(&mut lines, event),
        Event::Versions { versions } => all_versions(&mut lines, versions),
        Event::Files { files } => files_of(&mut lines, "", files),
        Event::Diff {
            added,
            removed,
            changed,
        } => {
            files_of(&mut lines, "+ ", added);
            files_of(&mut lines, "- ", removed);
            files_of(&mut lines, "~ ", changed);
            let (added, removed, changed) = (added.len(), removed.len(), changed.len());
            lines.add(format_args!(
                "{added} added, {removed} removed, {changed} changed"
            ));
        }
        Event::Verified { shards, bytes, bad } => verified(&mut lines, *shards, *bytes, bad),
        Event::Changed {
            message,
            freed_bytes,
        } => {
            lines.add(format_args!("{}", escape(message)));
            if *freed_bytes > 0 {
                lines.add(format_args!("Freed {}.", HumanBytes(*freed_bytes)));
            }
        }
        Event::Rotated {
            dataset,
            record,
            sequence,
        } => {
            lines.add(format_args!(
                "Dataset {dataset} has new owners: record {record}, number {sequence}."
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
        Event::Id { peer, addresses } => {
            lines.add(format_args!("{}", escape(peer)));
            for address in addresses {
                lines.add(format_args!("{}", escape(address)));
            }
        }
        Event::Peers { peers } => {
            for peer in peers {
                let rtt = peer
                    .rtt_ms
                    .map_or_else(|| "-".to_owned(), |rtt| format!("{rtt} ms"));
                let agent = escape(peer.agent.as_deref().unwrap_or("-"));
                let addresses = peer.addresses.join(" ");
                lines.add(format_args!(
                    "{}  {rtt}  {agent}  {}",
                    escape(&peer.peer),
                    escape(&addresses)
                ));
            }
        }
        Event::Status { counters, running } => {
            for (name, count) in counters {
                lines.add(format_args!("{:<28} {count}", escape(name)));
            }
            for sentence in running {
                lines.add(format_args!("{}", escape(sentence)));
            }
        }
        Event::Exported { records, .. } => {
            lines.add(format_args!("{} records", records.len()));
        }
        // These are not results.
        Event::Progress(_)
        | Event::Warning { .. }
        | Event::BadPeer { .. }
        | Event::Failed { .. } => {}
    }
    lines.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a string never fails.
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    /// A line with a name, if there is a value.
    fn field(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.add(format_args!("{name:<12} {}", escape(value)));
        }
    }
}

fn ready(lines: &mut Lines, event: &Event) {
    let Event::Ready {
        peer,
        addresses,
        api,
        gateway,
    } = event
    else {
        return;
    };
    lines.add(format_args!("Node {} is ready.", escape(peer)));
    for address in addresses {
        lines.add(format_args!("Listens on   {}", escape(address)));
    }
    lines.field("API", api.as_deref());
    lines.field("Gateway", gateway.as_deref());
}

fn published(lines: &mut Lines, event: &Event) {
    let Event::Published {
        manifest,
        sequence,
        link,
        files,
        bytes,
        seconds,
        new,
        ..
    } = event
    else {
        return;
    };
    let size = HumanBytes(*bytes);
    if *new {
        let seconds = format_seconds(*seconds);
        lines.add(format_args!(
            "Published version {sequence}: {files} files, {size}, in {seconds}."
        ));
    } else {
        lines.add(format_args!(
            "Nothing has changed: version {sequence} has the same {files} files, {size}."
        ));
    }
    lines.add(format_args!("Manifest     {manifest}"));
    lines.add(format_args!("Link         {}", escape(link)));
    lines.add(format_args!("Keep it reachable with: opendag daemon"));
}

fn plan(lines: &mut Lines, event: &Event) {
    let Event::Plan {
        manifest,
        files,
        bytes,
        reused_bytes,
        missing_bytes,
        peers,
        output,
    } = event
    else {
        return;
    };
    lines.add(format_args!("Version      {manifest}"));
    lines.add(format_args!("Target       {}", path(output)));
    lines.add(format_args!(
        "Selected     {files} files, {}",
        HumanBytes(*bytes)
    ));
    lines.add(format_args!("Here         {}", HumanBytes(*reused_bytes)));
    lines.add(format_args!(
        "To fetch     {} from {} peers",
        HumanBytes(*missing_bytes),
        peers.len()
    ));
    for peer in peers {
        lines.add(format_args!("Peer         {}", escape(peer)));
    }
}

fn fetched(lines: &mut Lines, event: &Event) {
    let Event::Fetched {
        output,
        files,
        bytes,
        received_bytes,
        reused_bytes,
        wasted_bytes,
        ..
    } = event
    else {
        return;
    };
    let Event::Fetched {
        peers,
        seconds,
        manifest,
        ..
    } = event
    else {
        return;
    };
    let (size, seconds) = (HumanBytes(*bytes), format_seconds(*seconds));
    lines.add(format_args!(
        "Fetched {files} files, {size}, in {seconds} to {}",
        path(output)
    ));
    lines.add(format_args!("Version      {manifest}"));
    lines.add(format_args!(
        "Received     {}, of no use {}; was here {}",
        HumanBytes(*received_bytes),
        HumanBytes(*wasted_bytes),
        HumanBytes(*reused_bytes)
    ));
    shares(lines, peers);
}

fn shares(lines: &mut Lines, peers: &[PeerShare]) {
    let total: u64 = peers.iter().map(|share| share.bytes).sum();
    for PeerShare { peer, bytes } in peers {
        let percent = bytes.saturating_mul(100).checked_div(total).unwrap_or(0);
        lines.add(format_args!(
            "{percent:>3} %        {} from {}",
            HumanBytes(*bytes),
            escape(peer)
        ));
    }
}

fn all_versions(lines: &mut Lines, versions: &[VersionInfo]) {
    if versions.is_empty() {
        lines.add(format_args!(
            "Nothing is here yet. Publish a folder, or fetch a link."
        ));
    }
    for (index, info) in versions.iter().enumerate() {
        if index > 0 {
            lines.add(format_args!(""));
        }
        version(lines, info);
    }
}

fn version(lines: &mut Lines, info: &VersionInfo) {
    let label = info
        .label
        .as_deref()
        .map(|label| format!(" ({label})"))
        .unwrap_or_default();
    let newest = if info.newest {
        ", the newest known"
    } else {
        ""
    };
    lines.add(format_args!(
        "{}, version {}{}{newest}",
        escape(&info.name),
        info.sequence,
        escape(&label)
    ));
    lines.field("Title", info.title.as_deref());
    lines.field("About", info.description.as_deref());
    lines.add(format_args!(
        "{:<12} {} files, {}",
        "Content",
        info.files,
        HumanBytes(info.bytes)
    ));
    lines.field("Licence", info.license.as_deref());
    lines.field("Languages", Some(&info.languages.join(", ")));
    lines.field("Tags", Some(&info.tags.join(", ")));
    lines.field("Homepage", info.homepage.as_deref());
    lines.field("Created", Some(&time(info.created_at)));
    lines.field("Dataset", Some(&info.dataset.to_string()));
    lines.field("Manifest", Some(&info.manifest.to_string()));
    lines.field(
        "Parent",
        info.parent.map(|parent| parent.to_string()).as_deref(),
    );
    lines.field("Made from", Some(&ids(&info.derived_from)));
    let owners = info.owners.join(", ");
    lines.field(
        "Owners",
        Some(&format!("{owners}; {} must sign", info.threshold)),
    );
    lines.field("Link", Some(&info.link));
    for place in &info.places {
        let kept = if place.pinned { "kept" } else { "not kept" };
        let (kind, shards) = (escape(&place.kind), place.shards);
        lines.add(format_args!(
            "{:<12} {} ({kind}, {kept}, {shards} files)",
            "Here",
            path(&place.path)
        ));
        if place.stale > 0 {
            lines.add(format_args!(
                "{:<12} {} files have changed on disk",
                "Stale", place.stale
            ));
        }
    }
    if let Some(since) = info.head_expired_since {
        lines.add(format_args!(
            "{:<12} since {} the publisher has not said that this is still the newest",
            "Warning",
            time(since)
        ));
    }
    if !info.equivocations.is_empty() {
        lines.add(format_args!(
            "{:<12} the publisher signed other versions with the same number: {}",
            "Warning",
            ids(&info.equivocations)
        ));
    }
}

fn ids(ids: &[ManifestId]) -> String {
    ids.iter()
        .map(ManifestId::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

fn files_of(lines: &mut Lines, mark: &str, files: &[FileInfo]) {
    for file in files {
        lines.add(format_args!(
            "{mark}{}  {:>14}  {}",
            file.blake3,
            file.size,
            escape(&file.path)
        ));
    }
}

fn verified(lines: &mut Lines, shards: u64, bytes: u64, bad: &[BadShard]) {
    for shard in bad {
        let repaired = if shard.repaired {
            "; fetched again"
        } else {
            ""
        };
        lines.add(format_args!(
            "{}: {}{repaired}",
            path(&shard.path),
            escape(&shard.problem)
        ));
    }
    let wrong = bad.iter().filter(|shard| !shard.repaired).count();
    lines.add(format_args!(
        "Verified {shards} files, {}: {wrong} wrong.",
        HumanBytes(bytes)
    ));
}

fn path(path: &Path) -> String {
    escape(&path.to_string_lossy()).into_owned()
}

fn format_seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

fn time(timestamp: Timestamp) -> String {
    let since_epoch = Duration::from_secs(timestamp.as_secs());
    let time = std::time::SystemTime::UNIX_EPOCH.checked_add(since_epoch);
    time.map_or_else(
        || timestamp.as_secs().to_string(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

#[cfg(test)]
mod tests;
