//! What would hurt the clients of others, told before anything is hashed. None of it stops a publish.

use std::io::Read;

use super::{
    card,
    readers::{self, Reader},
    walk::Walk,
};
use crate::ops::PublishRequest;

/// The clients of Hugging Face fetch no larger file over plain HTTP.
const FILE_BYTES_MAX: u64 = 50_000_000_000;
/// Bytes of a card that are looked at: what it says to programs comes first.
const CARD_BYTES_MAX: u64 = 1024 * 1024;

/// Sentences about the folder, each with what to do.
pub(super) fn hints(request: &PublishRequest, walk: &Walk) -> Vec<String> {
    let card = read_card(walk);
    let front = card
        .as_deref()
        .map(|text| front_matter(text).unwrap_or_default());
    let mut hints = Vec::new();
    hints.extend(large(walk));
    hints.extend(mixed(walk, front));
    match front {
        None if request.card.is_none() && request.path.is_dir() => hints.push(
            "The folder has no README.md, in which clients of Hugging Face look for the licence and for what \
             to load: publish with --write-card to have one written."
                .to_owned(),
        ),
        Some(front) if !has_key(front, "license") => {
            hints.extend(request.license.as_deref().map(license));
        }
        None | Some(_) => {}
    }
    hints
}

fn license(license: &str) -> String {
    format!(
        "README.md names no licence, and clients of Hugging Face look only there: begin it with `license: {}` \
         between two lines of `---`.",
        card::license(license)
    )
}

fn large(walk: &Walk) -> Option<String> {
    let mut large = walk
        .files
        .iter()
        .filter(|found| found.size > FILE_BYTES_MAX);
    let (first, more) = (large.next()?, large.count());
    let others = match more {
        0 => String::new(),
        more => format!(" (and {more} others)"),
    };
    Some(format!(
        "{}{others} has more than 50 GB, and clients of Hugging Face fetch no file larger than that: split it.",
        first.path
    ))
}

fn mixed(walk: &Walk, front: Option<&str>) -> Option<String> {
    let (counts, taken) = readers::count(walk.files.iter().map(|found| found.path.as_str()));
    let taken = taken.filter(|_| counts.len() > 1)?;
    if front.is_some_and(|front| has_key(front, "configs")) {
        return None;
    }
    let list = |(reader, count): (&Reader, &u64)| format!("{count} {}", reader.name());
    let all = counts.iter().map(list).collect::<Vec<_>>().join(", ");
    Some(format!(
        "Files of several formats ({all}): `load_dataset` reads one format of a dataset, here {}, and may \
         stumble over the others. Name the files of one in `configs` of README.md (--write-card writes it if \
         there is none), or publish each format under a name of its own.",
        taken.name()
    ))
}

/// The beginning of the README.md at the root, if there is one.
fn read_card(walk: &Walk) -> Option<String> {
    let found = walk
        .files
        .iter()
        .find(|found| found.path.as_str() == card::NAME)?;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(walk.file(found)).ok()?;
    file.take(CARD_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The YAML between two lines of `---` at the beginning.
fn front_matter(card: &str) -> Option<&str> {
    let rest = card.trim_start_matches('\u{feff}').strip_prefix("---")?;
    let rest = rest.strip_prefix('\r').unwrap_or(rest).strip_prefix('\n')?;
    let end = rest.find("\n---")?;
    rest.get(..end)
}

/// Has the mapping this key? Those of a card are at the beginning of a line.
fn has_key(front: &str, key: &str) -> bool {
    let values = front.lines().filter_map(|line| line.strip_prefix(key));
    values
        .filter_map(|rest| rest.trim_start().strip_prefix(':'))
        .count()
        > 0
}

#[cfg(test)]
mod tests;
