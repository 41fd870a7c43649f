//! Differences as text.

use indicatif::HumanBytes;
use opendag_node::ops::{DiffInfo, MovedFile, SchemaDiff, SchemaFit};
use opendag_protocol::schema::compare::{FieldChange, Fit};

use super::{Lines, escape, files_of};

/// What differs between two versions.
pub(super) fn diff(lines: &mut Lines, info: &DiffInfo) {
    files_of(lines, "+ ", &info.added);
    files_of(lines, "- ", &info.removed);
    files_of(lines, "~ ", &info.changed);
    for MovedFile { from, file } in &info.moved {
        let (from, to) = (escape(from), escape(&file.path));
        lines.add(format_args!(
            "> {}  {:>14}  {from} -> {to}",
            file.blake3, file.size
        ));
    }
    let counts = [
        (info.added.len(), info.bytes.added, "added"),
        (info.removed.len(), info.bytes.removed, "removed"),
        (info.changed.len(), info.bytes.changed, "changed"),
        (info.moved.len(), info.bytes.moved, "moved"),
    ];
    let counts =
        counts.map(|(count, bytes, what)| format!("{count} {what} ({})", HumanBytes(bytes)));
    lines.add(format_args!("{}", counts.join(", ")));
    for schema in info.schemas.iter().flatten() {
        schema_of(lines, schema);
    }
}

fn schema_of(lines: &mut Lines, info: &SchemaDiff) {
    let fit = match info.fit {
        SchemaFit::Compatible => "compatible",
        SchemaFit::Widened => "widened",
        SchemaFit::Broken => "broken",
        SchemaFit::New => "new",
        SchemaFit::Gone => "gone",
        SchemaFit::Unknown => "unknown: a schema could not be read",
    };
    let folder = match info.folder.as_str() {
        "" => "the top".into(),
        folder => escape(folder),
    };
    lines.add(format_args!("{} in {folder}: {fit}", info.format));
    for FieldChange { field, fit, why } in &info.fields {
        let fit = match fit {
            Fit::Compatible => "compatible",
            Fit::Widened => "widened",
            Fit::Broken => "broken",
        };
        lines.add(format_args!(
            "  {fit:<12} {} {}",
            escape(field),
            escape(why)
        ));
    }
}
