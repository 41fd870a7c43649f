//! What is mirrored, and how far that is.

use indicatif::HumanBytes;
use opendag_node::ops::{MirrorInfo, Watched};

use super::{Lines, escape};

/// Versions that are named one by one; of more, how many.
const NAMED_MAX: usize = 10;

/// All that is mirrored.
pub(super) fn mirrors(lines: &mut Lines, mirrors: &[MirrorInfo]) {
    if mirrors.is_empty() {
        lines.add(format_args!("Nothing is mirrored."));
    }
    for info in mirrors {
        mirror(lines, info);
    }
}

/// One mirror.
pub(super) fn mirror(lines: &mut Lines, info: &MirrorInfo) {
    let what = match &info.what {
        Watched::Dataset(id) => match &info.name {
            Some(name) => format!("{} ({id})", escape(name)),
            None => id.to_string(),
        },
        Watched::Publisher(key) => key.to_string(),
    };
    let more = match info.needs {
        0 => String::new(),
        needs => format!(", {} more needed for the others", HumanBytes(needs)),
    };
    let budget = match info.budget {
        Some(budget) => format!(", within {}", HumanBytes(budget)),
        None => String::new(),
    };
    lines.add(format_args!(
        "Mirror of {what}: {} of {} versions held{budget}{more}",
        info.held, info.versions
    ));
    for left in info.left_out.iter().take(NAMED_MAX) {
        let why = match left.needs {
            0 => "still to come".to_owned(),
            needs => format!("left out, needs {}", HumanBytes(needs)),
        };
        let name = escape(&left.name);
        lines.add(format_args!("  {name}, version {}: {why}", left.sequence));
    }
    if let Some(rest) = info
        .left_out
        .len()
        .checked_sub(NAMED_MAX)
        .filter(|rest| *rest > 0)
    {
        lines.add(format_args!("  and {rest} more"));
    }
    if let Some(problem) = &info.problem {
        lines.add(format_args!("  {}", escape(problem)));
    }
}
