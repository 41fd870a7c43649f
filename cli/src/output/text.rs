//! Events as text for people. All text that a stranger may have written is escaped.

mod denylist;
mod diff;
mod dot;
mod draft;
mod follow;
mod found;
mod lineage;
mod lock;
mod mirror;
mod node;
mod retain;
mod review;
mod version;

use std::{fmt::Write as _, path::Path};

use indicatif::HumanBytes;
use opendag_node::ops::{BadShard, Event, FileInfo, PeerShare, SourcesInfo};

use super::escape;

/// Lines for people, each with its newline; empty if there is nothing to say.
pub(super) fn of(event: &Event) -> String {
    let mut lines = Lines::default();
    match event {
        Event::Ready { .. } => ready(&mut lines, event),
        Event::Card {
            path: file,
            configs,
            ..
        } => {
            lines.add(format_args!("Wrote {}.", path(file)));
            lines.field("It loads", Some(&configs.join(", ")));
        }
        Event::Published { .. } => published(&mut lines, event),
        Event::Plan { .. } => plan(&mut lines, event),
        Event::Fetched { .. } => fetched(&mut lines, event),
        Event::Versions { versions } => version::all(&mut lines, versions),
        Event::Files { files } => files_of(&mut lines, "", files),
        Event::Diff(info) => diff::diff(&mut lines, info),
        Event::Verified { shards, bytes, bad } => verified(&mut lines, *shards, *bytes, bad),
        Event::Locked { file, datasets } => lock::locked(&mut lines, file, datasets),
        Event::Restored {
            datasets,
            files,
            bytes,
            ..
        } => lines.add(format_args!(
            "All {datasets} datasets are as the lockfile says: {files} files, {}.",
            HumanBytes(*bytes)
        )),
        Event::Receipt(info) => lock::receipt(&mut lines, info),
        Event::Changed {
            message,
            freed_bytes,
        } => {
            lines.add(format_args!("{}", escape(message)));
            if *freed_bytes > 0 {
                lines.add(format_args!("Freed {}.", HumanBytes(*freed_bytes)));
            }
        }
        Event::Freed(freed) => retain::freed(&mut lines, freed),
        Event::Quota(info) => retain::quota(&mut lines, info),
        Event::Mirrors { mirrors } => mirror::mirrors(&mut lines, mirrors),
        Event::Pins { pins } => retain::pins(&mut lines, pins),
        Event::Owners(owners) => draft::all_owners(&mut lines, owners),
        Event::Denylists { lists } => denylist::all(&mut lines, lists),
        Event::Follows { follows } => follow::all(&mut lines, follows),
        Event::Reviewed(review) => review::said(&mut lines, review),
        Event::Lineage(info) => lineage::lineage(&mut lines, info),
        Event::Found(found) => found::found(&mut lines, found),
        Event::Searched { hits, more } => found::searched(&mut lines, *hits, *more),
        Event::Draft(info) => draft::draft(&mut lines, info),
        Event::Rotated { .. }
        | Event::Keys { .. }
        | Event::Aliases { .. }
        | Event::Id { .. }
        | Event::Peers { .. }
        | Event::Status { .. }
        | Event::Env { .. }
        | Event::Mounted { .. }
        | Event::Unmounted { .. } => node::say(&mut lines, event),
        Event::Exported { records, .. } => {
            lines.add(format_args!("{} records", records.len()));
        }
        Event::Sources(info) => sources(&mut lines, info),
        Event::Imported(info) => version::imported(&mut lines, info),
        Event::Described { manifest, .. } => {
            lines.add(format_args!("Description of {manifest}"));
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

/// Files that are needed, in the form that `aria2c -i` takes.
fn sources(lines: &mut Lines, info: &SourcesInfo) {
    for file in &info.files {
        let path = escape(&file.path);
        match &file.url {
            Some(url) => {
                lines.add(format_args!("{}", escape(url)));
                lines.add(format_args!(" out={path}"));
                lines.add(format_args!(" checksum=sha-256={}", escape(&file.sha256)));
            }
            None => lines.add(format_args!("# {path} lies beside the description")),
        }
    }
}

fn ready(lines: &mut Lines, event: &Event) {
    let Event::Ready {
        peer,
        addresses,
        api,
        gateway,
        s3,
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
    lines.field("S3", s3.as_deref());
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
        license,
        license_kept,
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
    if let Some(license) = license {
        let kept = if *license_kept {
            ", as the version before"
        } else {
            ""
        };
        lines.add(format_args!("Licence      {}{kept}", escape(license)));
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
        newest,
        head,
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
    if let Some(head) = head {
        version::freshness(lines, head, *newest);
    }
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

#[cfg(test)]
mod tests;
