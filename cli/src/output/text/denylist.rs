//! Denylists as `denylist list` prints them.

use opendag_node::ops::DenylistInfo;

use super::{Lines, escape, version::time};

/// All lists, with an empty line between two.
pub(super) fn all(lines: &mut Lines, lists: &[DenylistInfo]) {
    for (index, list) in lists.iter().enumerate() {
        if index > 0 {
            lines.add(format_args!(""));
        }
        let count = list.entries.len();
        match (&list.author, list.id) {
            (None, _) => lines.add(format_args!("Your own list, {count} entries")),
            (Some(author), None) => {
                lines.add(format_args!("{}, which has not come yet", escape(author)));
            }
            (Some(author), Some(id)) => {
                lines.add(format_args!("{}, {count} entries", escape(author)));
                lines.field("Record", Some(&id.to_string()));
            }
        }
        lines.field("Issued", list.issued_at.map(time).as_deref());
        lines.field("Until", list.expires_at.map(time).as_deref());
        for entry in &list.entries {
            let until = entry.expires_at.map(|at| format!(", until {}", time(at)));
            let reason = entry.reason.as_deref().unwrap_or("no reason is given");
            lines.add(format_args!(
                "- {}{}: {}",
                entry.what,
                until.unwrap_or_default(),
                escape(reason)
            ));
        }
    }
}
