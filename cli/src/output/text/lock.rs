//! Lockfiles and receipts as text.

use std::path::Path;

use indicatif::HumanBytes;
use opendag_node::ops::{LockChange, LockedInfo, ReceiptInfo};
use opendag_protocol::receipt::SignerKind;

use super::{Lines, escape, path, version::time};

/// What stands in a lockfile now.
pub(super) fn locked(lines: &mut Lines, file: &Path, datasets: &[LockedInfo]) {
    for info in datasets {
        let label = info.label.as_ref().map(|label| format!(" ({label})"));
        let change = match (info.change, info.before) {
            (LockChange::Same, _) => "as before".to_owned(),
            (LockChange::Updated, Some(before)) if before != info.sequence => {
                format!("was version {before}")
            }
            (LockChange::Updated, _) => "changed".to_owned(),
            (LockChange::Added, _) => "new".to_owned(),
        };
        lines.add(format_args!(
            "{}, version {}{}, in {}: {change}",
            escape(&info.name),
            info.sequence,
            escape(&label.unwrap_or_default()),
            escape(&info.target)
        ));
    }
    let file = path(file);
    lines.add(format_args!(
        "Written to {file}. `opendag fetch --locked` fetches exactly this."
    ));
}

/// A receipt that holds.
pub(super) fn receipt(lines: &mut Lines, info: &ReceiptInfo) {
    let (name, sequence) = (escape(&info.name), info.sequence);
    lines.add(format_args!(
        "The receipt holds: {name}, version {sequence}"
    ));
    lines.field("Dataset", Some(&info.dataset.to_string()));
    lines.field("Manifest", Some(&info.manifest.to_string()));
    let size = HumanBytes(info.bytes);
    lines.add(format_args!(
        "{:<12} {} files, {size}",
        "Verified", info.files
    ));
    lines.field("Only", Some(&info.include.join(" ")));
    lines.field("Without", Some(&info.exclude.join(" ")));
    lines.field("When", Some(&time(info.verified_at)));
    let by = match info.signed_by {
        SignerKind::Node => "node",
        SignerKind::Publisher => "publisher",
    };
    lines.add(format_args!(
        "{:<12} {by} {}",
        "Signed by",
        escape(&info.signer)
    ));
    lines.field("Node", info.node.as_deref());
    match &info.here {
        None => lines.add(format_args!("{:<12} the files do not lie here", "Here")),
        Some(here) => lines.add(format_args!(
            "{:<12} {}: hashed again, {} wrong",
            "Here",
            path(here),
            info.bad.len()
        )),
    }
    for shard in &info.bad {
        let (at, problem) = (path(&shard.path), escape(&shard.problem));
        lines.add(format_args!("{:<12} {at}: {problem}", ""));
    }
}
