//! Versions as `ls`, `show` and `log` print them.

use std::time::{Duration, SystemTime};

use indicatif::HumanBytes;
use opendag_node::ops::{
    ForkInfo, HeadInfo, ImportedInfo, LicenseFit, PinnedBy, PlaceInfo, VersionInfo,
};
use opendag_protocol::{ManifestId, Timestamp, catalogue::EquivocationKind};

use super::{Lines, escape, path, review};

/// All versions, with an empty line between two.
pub(super) fn all(lines: &mut Lines, versions: &[VersionInfo]) {
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
    if let Some(head) = &info.head {
        freshness(lines, head, info.newest);
    }
    let pinned = info.pinned.map(|by| match by {
        PinnedBy::Version => "this version",
        PinnedBy::Dataset => "all versions of the dataset",
    });
    lines.field("Pinned", pinned);
    places(lines, &info.places);
    if let Some(reviews) = &info.reviews {
        review::all(lines, reviews);
    }
    warnings(lines, info);
}

/// A version that a file carried.
pub(super) fn imported(lines: &mut Lines, info: &ImportedInfo) {
    let what = match info.new {
        true => "Imported",
        false => "Known already:",
    };
    lines.add(format_args!(
        "{what} {}, version {}: all signatures hold.",
        escape(&info.name),
        info.sequence
    ));
    lines.field("Version", Some(&info.manifest.to_string()));
    lines.field("Label", info.label.as_deref());
    lines.field("Title", info.title.as_deref());
    lines.field("Licence", info.license.as_deref());
    lines.add(format_args!(
        "{:<12} {}, {}; their list came {}",
        "Files",
        info.files,
        HumanBytes(info.bytes),
        match info.table {
            true => "with the file",
            false => "not with the file, so a peer has to give it",
        }
    ));
    lines.field("Link", Some(&info.link));
}

/// How fresh it is what is known of a dataset.
pub(super) fn freshness(lines: &mut Lines, head: &HeadInfo, newest: bool) {
    let (issued, expires) = (time(head.issued_at), time(head.expires_at));
    let until = match head.expired {
        true => format!("expired {expires}: there may be a newer one"),
        false => format!("good until {expires}"),
    };
    let which = match newest {
        true => "this version".to_owned(),
        false => format!("version {}", head.sequence),
    };
    lines.add(format_args!(
        "{:<12} {which}, as the owners said {issued}, {until}",
        "Newest"
    ));
}

fn places(lines: &mut Lines, places: &[PlaceInfo]) {
    for place in places {
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
}

fn warnings(lines: &mut Lines, info: &VersionInfo) {
    if let Some(renewal) = &info.renewal {
        let until = time(renewal.expires_at);
        lines.add(format_args!(
            "{:<12} before {until} {} owners must sign again that this is the newest: opendag owners renew {} --draft \
             FILE",
            "Renew",
            renewal.threshold,
            escape(&info.name)
        ));
    }
    if let Some(denied) = &info.denied {
        lines.add(format_args!(
            "{:<12} {}: this node neither fetches, serves, passes on nor lists it",
            "Denied",
            escape(denied)
        ));
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
    for fork in &info.forks {
        forked(lines, fork);
    }
    for hint in &info.license_hints {
        let says = match hint.fit {
            LicenseFit::Contradicts => "the licence may contradict that of",
            LicenseFit::Unknown | LicenseFit::Fits => {
                "nothing can be said of the licence beside that of"
            }
        };
        lines.add(format_args!(
            "{:<12} {says} {}, from which it was made: {} (a hint, not legal advice)",
            "Licences",
            hint.made_from,
            escape(&hint.reason)
        ));
    }
}

/// Two records, both signed, of which only one may be true.
fn forked(lines: &mut Lines, fork: &ForkInfo) {
    let what = match fork.kind {
        EquivocationKind::Owners => "two changes of owners",
        EquivocationKind::Manifest => "two versions",
        EquivocationKind::Head => "two words on which version is newest",
    };
    let open = match (fork.kind, fork.open) {
        (_, true) => ", and nobody can tell which one they mean",
        (EquivocationKind::Owners, false) => "; the first that was seen here counts",
        (_, false) => "; a newer version has decided between them",
    };
    lines.add(format_args!(
        "{:<12} the owners signed {what} with the number {}{open}",
        "Fork", fork.sequence
    ));
    for side in [&fork.first, &fork.second] {
        let id = side
            .manifest
            .map_or_else(|| side.record.to_string(), |id| id.to_string());
        let at = side
            .at
            .map_or_else(|| "at an unknown time".to_owned(), time);
        lines.add(format_args!(
            "{:<12} {id}, {at}, signed by {}",
            "",
            escape(&side.signers.join(", "))
        ));
    }
}

fn ids(ids: &[ManifestId]) -> String {
    ids.iter()
        .map(ManifestId::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn time(timestamp: Timestamp) -> String {
    let since_epoch = Duration::from_secs(timestamp.as_secs());
    let time = SystemTime::UNIX_EPOCH.checked_add(since_epoch);
    time.map_or_else(
        || timestamp.as_secs().to_string(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}
