//! Drafts and owners.

use indicatif::HumanBytes;
use opendag_node::ops::{DraftInfo, DraftKind, OwnerSet, OwnersInfo};

use super::{Lines, escape, path, version::time};

/// What a draft says, in plain words, before whose signatures it has: whoever signs must know what.
pub(super) fn draft(lines: &mut Lines, draft: &DraftInfo) {
    let what = match draft.kind {
        DraftKind::Version => "the next version of a dataset",
        DraftKind::Owners => "a change of the owners of a dataset",
        DraftKind::Head => "the word that a version is still the newest",
    };
    lines.add(format_args!("{:<12} {what}", "Draft of"));
    let dataset = format!("{} ({})", draft.name, draft.dataset);
    lines.field("Dataset", Some(&dataset));
    if let Some(version) = &draft.version {
        let label = version.label.as_deref();
        let label = label.map_or_else(String::new, |label| format!(" ({label})"));
        let (files, size) = (version.files, HumanBytes(version.bytes));
        lines.add(format_args!(
            "{:<12} {}{}: {files} files, {size}",
            "Version",
            version.sequence,
            escape(&label)
        ));
        lines.field("Title", version.title.as_deref());
        lines.field("Licence", version.license.as_deref());
        lines.field("Made", Some(&time(version.created_at)));
        lines.field("Manifest", Some(&version.manifest.to_string()));
        let parent = version.parent.map(|parent| parent.to_string());
        lines.field("Parent", parent.as_deref());
    }
    if let Some(expires_at) = draft.head_expires_at {
        lines.field("Newest until", Some(&time(expires_at)));
    }
    if draft.owners_before == draft.owners_after {
        owners(lines, "Owners", &draft.owners_after);
    } else {
        owners(lines, "Owners now", &draft.owners_before);
        owners(lines, "Owners then", &draft.owners_after);
    }
    for key in &draft.signed_by {
        let now = if draft.signed_now.contains(key) {
            " (now, with a key of this node)"
        } else {
            ""
        };
        lines.add(format_args!("{:<12} {}{now}", "Signed by", escape(key)));
    }
    for missing in &draft.missing {
        lines.add(format_args!(
            "{:<12} {} of {} ({})",
            "Missing",
            missing.count,
            escape(&missing.of.join(", ")),
            escape(&missing.record)
        ));
    }
    let file = path(&draft.path);
    if draft.missing.is_empty() {
        lines.add(format_args!(
            "Complete. Apply it with: opendag publish --finish {file}"
        ));
    } else {
        lines.add(format_args!(
            "Not complete. Let the others run: opendag sign {file}"
        ));
    }
}

fn owners(lines: &mut Lines, name: &str, owners: &OwnerSet) {
    lines.add(format_args!(
        "{name:<12} {} of {} must sign: {}",
        owners.threshold,
        owners.keys.len(),
        escape(&owners.keys.join(", "))
    ));
}

/// Who owns a dataset, the current owners first.
pub(super) fn all_owners(lines: &mut Lines, info: &OwnersInfo) {
    let dataset = format!("{} ({})", info.name, info.dataset);
    lines.field("Dataset", Some(&dataset));
    for (index, record) in info.records.iter().enumerate() {
        let (owners, number) = (&record.owners, record.sequence);
        let when = if index == 0 { "now" } else { "before" };
        lines.add(format_args!(
            "{:<12} {} of {} must sign, {when} (record {number}, {})",
            "Owners",
            owners.threshold,
            owners.keys.len(),
            record.record
        ));
        for key in &owners.keys {
            let here = info.here.iter().find(|here| here.public == *key);
            let here = here.filter(|_| index == 0);
            let here = here.map_or_else(String::new, |here| format!("  here as {}", here.name));
            lines.add(format_args!("{:<12} {}{}", "", escape(key), escape(&here)));
        }
    }
}
