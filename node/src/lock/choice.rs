//! What a link means beside the entries of a lockfile.

use opendag_protocol::{
    link::Link,
    revision::{self, Meaning, Revision},
};

use super::{
    LockError,
    file::{Entry, Lock},
};

/// The entries that links mean; all without links.
pub(super) fn chosen<'a>(lock: &'a Lock, links: &[String]) -> Result<Vec<&'a Entry>, LockError> {
    let mut chosen = Vec::new();
    for link in links {
        let before = chosen.len();
        chosen.extend(
            lock.entries()
                .filter(|entry| means(entry, link) == Means::This),
        );
        if chosen.len() == before {
            return Err(not_locked(link, lock));
        }
    }
    if links.is_empty() {
        chosen.extend(lock.entries());
    }
    Ok(chosen)
}

pub(super) fn not_locked(link: &str, lock: &Lock) -> LockError {
    let has = lock.entries().take(8).map(|entry| {
        let label = entry.label.as_ref().map(|label| format!(" ({label})"));
        format!(
            "{}@{}{}",
            entry.name,
            entry.sequence,
            label.unwrap_or_default()
        )
    });
    let has: Vec<_> = has.collect();
    LockError::NotLocked {
        link: link.chars().take(64).collect(),
        has: match has.is_empty() {
            true => "nothing".to_owned(),
            false => has.join(", "),
        },
    }
}

/// What a link means beside an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// The version of the entry.
    This,
    /// Another version of its dataset.
    Disputed,
    /// Another dataset.
    Another,
}

/// Only by what the two texts say: a lockfile means the same on every machine.
pub(super) fn means(entry: &Entry, link: &str) -> Means {
    let at = |revision: Option<&Revision>| match revision {
        Some(revision) if !revision.is_newest() => {
            match revision.among(std::iter::once(entry.called())) {
                Meaning::None => Means::Disputed,
                Meaning::One(_) | Meaning::Several(_) => Means::This,
            }
        }
        Some(_) | None => Means::This,
    };
    if let Ok(link) = link.parse::<Link>() {
        let is_this = link.id() == entry.id.into() || link.id() == entry.manifest.into();
        return match is_this {
            true => at(link.revision()),
            false => Means::Another,
        };
    }
    let is_called = |name: &str| name == entry.name || name == entry.target;
    if is_called(link) {
        return Means::This;
    }
    for (name, revision) in revision::split(link) {
        if let (true, Ok(revision)) = (is_called(name), revision.parse()) {
            return at(Some(&revision));
        }
    }
    Means::Another
}
