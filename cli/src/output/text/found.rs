//! What a search found.

use indicatif::HumanBytes;
use opendag_node::ops::FoundInfo;

use super::{Lines, escape, version::time};

/// Columns that most names and licences keep to; a longer one moves its line only.
const NAME_WIDTH: usize = 28;
const SIZE_WIDTH: usize = 10;
const LICENSE_WIDTH: usize = 14;

/// A hit: what it is, and below why it was found.
pub(super) fn found(lines: &mut Lines, found: &FoundInfo) {
    let size = HumanBytes(found.bytes).to_string();
    let license = escape(found.license.as_deref().unwrap_or("-"));
    lines.add(format_args!(
        "{:<NAME_WIDTH$}  {size:>SIZE_WIDTH$}  {license:<LICENSE_WIDTH$}  {}  {}",
        escape(&found.name),
        time(found.updated).split('T').next().unwrap_or_default(),
        found.dataset,
    ));
    if let Some(title) = &found.title {
        lines.add(format_args!("    {}", escape(title)));
    }
    match &found.snippet {
        Some(snippet) => lines.add(format_args!("    {}", escape(snippet))),
        None if !found.matched.is_empty() => {
            lines.add(format_args!("    (in {})", found.matched.join(", ")));
        }
        None => {}
    }
}

/// The end of a search.
pub(super) fn searched(lines: &mut Lines, hits: u64, more: bool) {
    match (hits, more) {
        (0, _) => lines.add(format_args!("Nothing that is known here fits.")),
        (_, true) => lines.add(format_args!(
            "There are more; see them with --offset and --limit."
        )),
        (_, false) => {}
    }
}
