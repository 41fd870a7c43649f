//! What is followed, as `follow list` prints it.

use opendag_node::ops::{FollowInfo, Watched};

use super::{Lines, escape, path};

/// All that is followed, with an empty line between two.
pub(super) fn all(lines: &mut Lines, follows: &[FollowInfo]) {
    if follows.is_empty() {
        lines.add(format_args!(
            "Nothing is followed. Begin with: opendag follow LINK --auto-fetch"
        ));
    }
    for (index, follow) in follows.iter().enumerate() {
        if index > 0 {
            lines.add(format_args!(""));
        }
        match follow.what {
            Watched::Dataset(id) => lines.add(format_args!("Dataset {id}")),
            Watched::Publisher(key) => lines.add(format_args!("Publisher {key}")),
        }
        let folder = match (&follow.output, follow.auto_fetch) {
            (Some(folder), _) => Some(path(folder)),
            (None, true) => Some("the data directory".to_owned()),
            (None, false) => None,
        };
        lines.field("Goes to", folder.as_deref());
        let keep = follow.keep.map(|keep| format!("the newest {keep}"));
        lines.field("Keeps", keep.as_deref());
        for followed in &follow.datasets {
            let id = followed.dataset.to_string();
            let name = followed.name.as_deref().unwrap_or(&id);
            let state = match (&followed.problem, followed.newest, followed.here) {
                (Some(problem), _, _) => problem.as_str(),
                (None, None, _) => "is not known here yet",
                (None, Some(_), true) => "is up to date",
                (None, Some(_), false) => "is being fetched, or waits for its turn",
            };
            lines.add(format_args!("- {}: {}", escape(name), escape(state)));
            if let Some(seconds) = followed.retry_in {
                lines.add(format_args!("  is tried again in {seconds} s"));
            }
        }
    }
}
