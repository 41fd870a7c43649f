//! A lineage as a tree: what stands in several places is told once.

use std::collections::BTreeSet;

use opendag_node::ops::{LicenseFit, LineageEdge, LineageFormat, LineageInfo, LineageVersion};
use opendag_protocol::ManifestId;

use super::{Lines, dot, escape};

/// Which way a tree is drawn.
#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

impl Way {
    fn begins(self, edge: &LineageEdge) -> ManifestId {
        match self {
            Self::Up => edge.version,
            Self::Down => edge.made_from,
        }
    }

    fn ends(self, edge: &LineageEdge) -> ManifestId {
        match self {
            Self::Up => edge.made_from,
            Self::Down => edge.version,
        }
    }
}

/// What a version is called, in a few words.
pub(super) fn title(version: &LineageVersion) -> String {
    let name = version.name.as_deref().unwrap_or("?");
    let number = version.sequence.unwrap_or(0);
    match &version.label {
        Some(label) => format!("{name}, version {number} ({label})"),
        None => format!("{name}, version {number}"),
    }
}

/// As it was asked for.
pub(super) fn lineage(lines: &mut Lines, info: &LineageInfo) {
    match info.format {
        LineageFormat::Text => trees(lines, info),
        LineageFormat::Dot => lines.0.push_str(&dot::graph(info)),
    }
}

/// Both trees.
fn trees(lines: &mut Lines, info: &LineageInfo) {
    lines.add(format_args!("{}", line(info, info.root)));
    let ways = [
        (
            Way::Up,
            "Made from",
            "It names nothing that it was made from.",
        ),
        (
            Way::Down,
            "Used for",
            "Nothing is known here that was made from it.",
        ),
    ];
    for (way, heading, nothing) in ways {
        if info.edges.iter().any(|edge| way.begins(edge) == info.root) {
            lines.add(format_args!("{heading}"));
            tree(lines, info, way);
        } else {
            lines.add(format_args!("{nothing}"));
        }
    }
    let contradicts = |edge: &&LineageEdge| edge.license == LicenseFit::Contradicts;
    if info.edges.iter().any(|edge| contradicts(&edge)) {
        lines.add(format_args!(
            "Licences that may contradict each other are marked with \"!\": a hint, not legal advice."
        ));
    }
    if info.cut {
        lines.add(format_args!(
            "There is more, which is left out: give --depth, or look at one of these versions."
        ));
    }
}

/// A step that waits to be drawn, and what stands before it.
struct Step<'a> {
    edge: &'a LineageEdge,
    before: String,
    is_last: bool,
}

fn tree(lines: &mut Lines, info: &LineageInfo, way: Way) {
    let mut told = BTreeSet::from([info.root]);
    let mut waiting = steps(info, way, info.root, "");
    while let Some(step) = waiting.pop() {
        let id = way.ends(step.edge);
        let (branch, below) = if step.is_last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let is_new = told.insert(id);
        let again = if is_new { "" } else { "  (see above)" };
        lines.add(format_args!(
            "{}{branch}{}{again}",
            step.before,
            line(info, id)
        ));
        let below = format!("{}{below}", step.before);
        if let Some(how) = &step.edge.how {
            lines.add(format_args!("{below}  {}", escape(how)));
        }
        if let Some(reason) = &step.edge.reason {
            let mark = match step.edge.license {
                LicenseFit::Contradicts => "!",
                LicenseFit::Unknown | LicenseFit::Fits => "?",
            };
            lines.add(format_args!("{below}{mark} licence: {}", escape(reason)));
        }
        if is_new {
            waiting.extend(steps(info, way, id, &below));
        }
    }
}

/// The steps from a version, the first last.
fn steps<'a>(info: &'a LineageInfo, way: Way, from: ManifestId, before: &str) -> Vec<Step<'a>> {
    let edges = info.edges.iter().filter(|edge| way.begins(edge) == from);
    let steps = edges.rev().enumerate().map(|(index, edge)| Step {
        edge,
        before: before.to_owned(),
        is_last: index == 0,
    });
    steps.collect()
}

fn line(info: &LineageInfo, id: ManifestId) -> String {
    let version = info.versions.iter().find(|version| version.manifest == id);
    match version.filter(|version| version.known) {
        Some(version) => {
            let license = version.license.as_deref().unwrap_or("no licence");
            let (title, license) = (title(version), escape(license).into_owned());
            format!("{}, {license}  {id}", escape(&title))
        }
        None => format!("{id}  (not known here, and nobody told of it)"),
    }
}

#[cfg(test)]
pub(in crate::output::text) mod tests {
    use opendag_protocol::Hash;

    use super::*;

    fn id(name: &str) -> ManifestId {
        ManifestId::from_hash(Hash::of(name.as_bytes()))
    }

    fn version(name: &str, license: Option<&str>) -> LineageVersion {
        LineageVersion {
            manifest: id(name),
            known: license.is_some(),
            dataset: None,
            name: license.map(|_| name.to_owned()),
            sequence: license.map(|_| 0),
            label: None,
            license: license.map(str::to_owned),
            created_at: None,
        }
    }

    fn edge(version: &str, made_from: &str, license: LicenseFit) -> LineageEdge {
        let reason = (license != LicenseFit::Fits).then(|| "a reason".to_owned());
        LineageEdge {
            version: id(version),
            made_from: id(made_from),
            how: Some("filtered".to_owned()),
            license,
            reason,
        }
    }

    /// `model` from `left` and `right`, both from `source`, which is from something that is missing.
    pub(in crate::output::text) fn diamond() -> LineageInfo {
        LineageInfo {
            root: id("model"),
            versions: vec![
                version("model", Some("MIT")),
                version("left", Some("CC-BY-SA-4.0")),
                version("right", Some("MIT")),
                version("source", Some("MIT")),
                version("gone", None),
            ],
            edges: vec![
                edge("model", "left", LicenseFit::Contradicts),
                edge("model", "right", LicenseFit::Fits),
                edge("left", "source", LicenseFit::Fits),
                edge("right", "source", LicenseFit::Fits),
                edge("source", "gone", LicenseFit::Unknown),
            ],
            cut: false,
            format: LineageFormat::Text,
        }
    }

    fn text(info: &LineageInfo) -> String {
        let mut lines = Lines::default();
        lineage(&mut lines, info);
        lines.0
    }

    #[test]
    fn a_diamond_is_told_once_and_marked_where_it_meets_again() {
        let text = text(&diamond());
        assert_eq!(text.matches("(see above)").count(), 1, "{text}");
        assert_eq!(text.matches("! licence: a reason").count(), 1, "{text}");
        assert_eq!(text.matches("? licence: a reason").count(), 1, "{text}");
        assert_eq!(text.matches("nobody told of it").count(), 1, "{text}");
        assert!(text.contains("├─ left, version 0, CC-BY-SA-4.0"), "{text}");
        assert!(text.contains("└─ right, version 0, MIT"), "{text}");
        assert!(
            text.contains("Nothing is known here that was made from it."),
            "{text}"
        );
        assert!(text.contains("not legal advice"), "{text}");
    }

    #[test]
    fn p8_a_cycle_ends() {
        let mut info = diamond();
        info.edges.push(edge("gone", "model", LicenseFit::Fits));
        info.edges.push(edge("left", "left", LicenseFit::Fits));
        let text = text(&info);
        assert!(text.lines().count() < 40, "{text}");
    }
}
