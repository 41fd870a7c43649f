//! What stays on disk, and what is freed.

use indicatif::HumanBytes;
use opendag_node::ops::{FreedInfo, FreedVersion, FreedWhy, PinInfo, QuotaInfo};

use super::{Lines, escape, path};

/// What is pinned.
pub(super) fn pins(lines: &mut Lines, pins: &[PinInfo]) {
    if pins.is_empty() {
        lines.add(format_args!("Nothing is pinned."));
    }
    for pin in pins {
        let name = escape(pin.name.as_deref().unwrap_or("(not known here)"));
        let what = match pin.sequence {
            Some(sequence) => format!(", version {sequence}"),
            None => String::new(),
        };
        let here = match pin.here.len() {
            0 => "nothing of it is here".to_owned(),
            count => format!("{count} here"),
        };
        lines.add(format_args!("{}  {name}{what}: {here}", pin.id));
    }
}

/// What was freed, or would be, and why.
pub(super) fn freed(lines: &mut Lines, freed: &FreedInfo) {
    for version in &freed.versions {
        freed_version(lines, version);
    }
    for (what, bytes) in [
        (
            "Hash trees of files that lie nowhere else",
            freed.outboard_bytes,
        ),
        (
            "Descriptions that no version here needs",
            freed.description_bytes,
        ),
        ("The cache", freed.cache_bytes),
    ] {
        if bytes > 0 {
            lines.add(format_args!("{what}: {}", HumanBytes(bytes)));
        }
    }
    let bytes = HumanBytes(freed.bytes);
    match (freed.planned, freed.bytes, freed.versions.len()) {
        (_, 0, 0) => lines.add(format_args!("There is nothing to free.")),
        (true, ..) => lines.add(format_args!("Would free {bytes}. Nothing was touched.")),
        (false, ..) => lines.add(format_args!("Freed {bytes}.")),
    }
}

fn freed_version(lines: &mut Lines, version: &FreedVersion) {
    let name = match &version.name {
        Some(name) => escape(name).into_owned(),
        None => version.manifest.to_string(),
    };
    let number = match version.sequence {
        Some(sequence) => format!(", version {sequence}"),
        None => String::new(),
    };
    let why = match version.why {
        FreedWhy::LetGo => "nothing holds it",
        FreedWhy::NoRoom => "the disk budget has no room for it",
    };
    let (folder, kind) = (path(&version.path), escape(&version.kind));
    let what = match version.files_stay {
        true => "served no longer, its files stay".to_owned(),
        false => HumanBytes(version.bytes).to_string(),
    };
    lines.add(format_args!(
        "{name}{number} ({kind}): {what}; {why}; {folder}"
    ));
}

/// The disk budget, and what lies here.
pub(super) fn quota(lines: &mut Lines, info: &QuotaInfo) {
    if let Some(done) = info.freed.as_ref().filter(|done| done.bytes > 0) {
        freed(lines, done);
    }
    let used = HumanBytes(info.used);
    match info.limit {
        Some(limit) => lines.add(format_args!(
            "{:<12} {used} of {} used",
            "Budget",
            HumanBytes(limit)
        )),
        None => lines.add(format_args!("{:<12} none; {used} used", "Budget")),
    }
    if info.over > 0 {
        let over = HumanBytes(info.over);
        lines.add(format_args!(
            "{:<12} {over} more than that is kept by you; nothing more is fetched until you let some of it go",
            "Over"
        ));
    }
    for (name, bytes, what) in [
        (
            "Kept",
            info.kept,
            "copied or mirrored, and pinned or not let go",
        ),
        ("Fetched", info.fetched, "to folders of yours"),
        (
            "Mirrored",
            info.mirrored,
            "by mirrors; makes room for what you fetch",
        ),
        ("Let go", info.let_go, "`opendag gc` frees it"),
        ("Cache", info.cache, "of what was read; makes room first"),
        (
            "Records",
            info.records,
            "with descriptions, hash trees and the index",
        ),
        (
            "Arriving",
            info.arriving,
            "still to come by running fetches",
        ),
        (
            "Published",
            info.published,
            "your files, where they are; they do not count",
        ),
    ] {
        let bytes = HumanBytes(bytes).to_string();
        lines.add(format_args!("{name:<12} {bytes:>12}  {what}"));
    }
    if let Some(free) = info.free {
        let free = HumanBytes(free).to_string();
        lines.add(format_args!("{:<12} {free:>12}  on this disk", "Free"));
    }
}
