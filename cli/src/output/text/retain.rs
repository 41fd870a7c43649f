//! What stays on disk, and what is freed.

use indicatif::HumanBytes;
use opendag_node::ops::{FreedInfo, FreedVersion, FreedWhy, PinInfo};

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
