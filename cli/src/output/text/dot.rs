//! A lineage for Graphviz.

use std::fmt::Write as _;

use opendag_node::ops::{LicenseFit, LineageInfo, LineageVersion};

use super::{escape, lineage::title};

/// A directed graph in the DOT language: from what was made to what it was made from.
pub(super) fn graph(info: &LineageInfo) -> String {
    let mut dot =
        "digraph lineage {\n  rankdir=BT;\n  node [shape=box, fontname=\"sans-serif\"];\n"
            .to_owned();
    for version in &info.versions {
        let style = match (version.known, version.manifest == info.root) {
            (false, _) => ", style=dashed",
            (true, true) => ", style=bold",
            (true, false) => "",
        };
        // Writing into a string never fails.
        let _ = writeln!(
            dot,
            "  {} [label={}{style}];",
            quoted(&version.manifest.to_string()),
            quoted(&label(version))
        );
    }
    for edge in &info.edges {
        let (version, from) = (edge.version.to_string(), edge.made_from.to_string());
        let style = match edge.license {
            LicenseFit::Fits => "",
            LicenseFit::Unknown => ", style=dashed",
            LicenseFit::Contradicts => ", color=red, fontcolor=red",
        };
        let why = edge
            .reason
            .as_deref()
            .filter(|_| edge.license == LicenseFit::Contradicts);
        let words: Vec<&str> = edge.how.as_deref().into_iter().chain(why).collect();
        let _ = writeln!(
            dot,
            "  {} -> {} [label={}{style}];",
            quoted(&version),
            quoted(&from),
            quoted(&words.join("\n"))
        );
    }
    dot.push_str("}\n");
    dot
}

fn label(version: &LineageVersion) -> String {
    let license = version.license.as_deref().unwrap_or("no licence");
    match version.known {
        true => format!("{}\n{license}", title(version)),
        false => format!("{}\nnot known here", version.manifest),
    }
}

/// A text as a string of DOT, in which only quotes and backslashes mean something.
fn quoted(text: &str) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| escape(line).replace('\\', "\\\\").replace('"', "\\\""))
        .collect();
    format!("\"{}\"", lines.join("\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::text::lineage::tests::diamond;

    #[test]
    fn s15_names_cannot_break_out_of_their_quotes() {
        assert_eq!(quoted("a\"] b\\"), "\"a\\\"] b\\\\\"");
        assert_eq!(quoted("a\u{1b}\nb"), "\"a\\\\u{1b}\\nb\"");
    }

    #[test]
    fn a_graph_has_a_line_for_each_version_and_step() {
        let info = diamond();
        let dot = graph(&info);
        assert!(
            dot.starts_with("digraph lineage {\n") && dot.ends_with("}\n"),
            "{dot}"
        );
        let steps = dot.lines().filter(|line| line.contains(" -> ")).count();
        assert_eq!(steps, info.edges.len(), "{dot}");
        assert_eq!(dot.matches("color=red, fontcolor=red").count(), 1, "{dot}");
        assert_eq!(dot.matches("not known here").count(), 1, "{dot}");
    }
}
