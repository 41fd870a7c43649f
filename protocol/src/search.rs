//! What a user searches for: words, phrases and facets, parsed from a line of text.
//!
//! Source: `specs/search.md`. All parts must hold; a part with `-` before it must not. What a word or a
//! facet finds is decided by whoever has an index.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use crate::{
    limits::{QUERY_BYTES_MAX, QUERY_PARTS_MAX, QUERY_VALUES_MAX},
    units,
};

/// Why a text is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Longer than anybody types.
    #[error(
        "a search may have {QUERY_BYTES_MAX} bytes, and this one has {0}; leave some words out"
    )]
    TooLong(usize),
    /// Too much to look for at once.
    #[error("a search may have {QUERY_PARTS_MAX} words and facets; leave some out")]
    TooManyParts,
    /// A facet with too many values.
    #[error("{facet}: may have {QUERY_VALUES_MAX} values; leave some out")]
    TooManyValues {
        /// The facet.
        facet: &'static str,
    },
    /// A quotation mark without its partner.
    #[error("the quotation mark before \"{0}\" is not closed; add one after the phrase")]
    Unclosed(String),
    /// No such facet.
    #[error(
        "there is no facet \"{0}:\"; the facets are license:, lang:, tag:, publisher:, size:, updated: and has:, \
         and a text with a colon can be searched for in quotation marks"
    )]
    NoFacet(String),
    /// A facet without a value.
    #[error("{facet}: needs a value, such as {example}")]
    NoValue {
        /// The facet.
        facet: &'static str,
        /// A part of a query that has one.
        example: &'static str,
    },
    /// A value that the facet does not have.
    #[error("{facet}: cannot be \"{value}\"; write it like {example}")]
    BadValue {
        /// The facet.
        facet: &'static str,
        /// What was given, cut.
        value: String,
        /// A part of a query that is right.
        example: &'static str,
    },
}

/// Must a part hold, or must it not?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// It must.
    Yes,
    /// It must not: `-` stands before it.
    No,
}

/// How much of a word is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Perhaps only its beginning: it is the last word, and the user may still be typing.
    Beginning,
}

/// A facet whose values are words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    /// `license:`, a licence of the SPDX expression.
    License,
    /// `lang:`, a language or the beginning of its tag.
    Language,
    /// `tag:`, a whole tag.
    Tag,
    /// `publisher:`, a public key or an alias.
    Publisher,
    /// `has:`, see [`HAS`].
    Has,
}

/// What a dataset may have, as `has:` names it.
pub const HAS: [&str; 7] = [
    "card",
    "croissant",
    "description",
    "license",
    "lineage",
    "mirror",
    "title",
];

impl Facet {
    /// Its name, without the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::License => "license",
            Self::Language => "lang",
            Self::Tag => "tag",
            Self::Publisher => "publisher",
            Self::Has => "has",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::License => "license:cc-by-4.0",
            Self::Language => "lang:zh",
            Self::Tag => "tag:vision",
            Self::Publisher => "publisher:KEY, or an alias of it",
            Self::Has => {
                "has:croissant; there are card, croissant, description, license, lineage, mirror and title"
            }
        }
    }
}

/// What a part of a query says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// A word, in the title, the name, the description, the tags, the card or a path.
    Word(String, Extent),
    /// Words that stand beside each other.
    Phrase(String),
    /// A facet with any of these values, in lower case but for keys.
    Is(Facet, Vec<String>),
    /// Bytes of all files.
    Size(RangeInclusive<u64>),
    /// Seconds since the newest version was made.
    Age(RangeInclusive<u64>),
}

/// A part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Must it hold?
    pub want: Want,
    /// What?
    pub term: Term,
}

/// What a user searches for. An empty one means everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    parts: Vec<Part>,
}

impl Query {
    /// What must hold.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Replaces the values of a facet, such as aliases by the keys that they stand for.
    ///
    /// # Errors
    /// The first one of `value`.
    pub fn replace<E>(
        &mut self,
        facet: Facet,
        value: impl Fn(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        for part in &mut self.parts {
            if let Term::Is(of, values) = &mut part.term
                && *of == facet
            {
                *values = values
                    .iter()
                    .map(|old| value(old))
                    .collect::<Result<_, E>>()?;
            }
        }
        Ok(())
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(QueryError::TooLong(text.len()));
        }
        let mut parts = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            if parts.len() >= QUERY_PARTS_MAX {
                return Err(QueryError::TooManyParts);
            }
            let (want, after) = match rest.strip_prefix('-') {
                Some(after) => (Want::No, after),
                None => (Want::Yes, rest),
            };
            let (term, after) = term(after)?;
            parts.extend(term.map(|term| Part { want, term }));
            rest = after.trim_start();
        }
        let last = parts
            .iter_mut()
            .rev()
            .find_map(|part| match &mut part.term {
                Term::Word(_, extent) if part.want == Want::Yes => Some(extent),
                Term::Word(..) | Term::Phrase(_) | Term::Is(..) | Term::Size(_) | Term::Age(_) => {
                    None
                }
            });
        if let Some(extent) = last {
            *extent = Extent::Beginning;
        }
        Ok(Self { parts })
    }
}

/// The term at the beginning of a text, and what follows it. A lone mark says nothing.
fn term(text: &str) -> Result<(Option<Term>, &str), QueryError> {
    if text.starts_with('"') {
        let (phrase, rest) = quoted(text)?;
        let says_something = !phrase.trim().is_empty();
        return Ok((
            says_something.then(|| Term::Phrase(phrase.to_owned())),
            rest,
        ));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let Some((name, _)) = word.split_once(':') else {
        let said = !word.is_empty();
        return Ok((
            said.then(|| Term::Word(word.to_owned(), Extent::Whole)),
            rest,
        ));
    };
    let after = text
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix(':'));
    let after = after.unwrap_or_default();
    let (value, rest) = if after.starts_with('"') {
        quoted(after)?
    } else {
        (word.split_once(':').map_or("", |(_, value)| value), rest)
    };
    facet(name, value).map(|term| (Some(term), rest))
}

/// What stands between the mark at the beginning and the next one, and what follows that.
fn quoted(text: &str) -> Result<(&str, &str), QueryError> {
    let inside = text.strip_prefix('"').unwrap_or(text);
    inside
        .split_once('"')
        .ok_or_else(|| QueryError::Unclosed(cut(inside)))
}

fn facet(name: &str, value: &str) -> Result<Term, QueryError> {
    let facet = match name.to_ascii_lowercase().as_str() {
        "license" | "licence" => Facet::License,
        "lang" | "language" => Facet::Language,
        "tag" => Facet::Tag,
        "publisher" => Facet::Publisher,
        "has" => Facet::Has,
        "size" => return size(value),
        "updated" => return age(value),
        _ => return Err(QueryError::NoFacet(cut(name))),
    };
    let values: Vec<String> = value
        .split(',')
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(|value| match facet {
            Facet::Publisher => value.to_owned(),
            Facet::License | Facet::Language | Facet::Tag | Facet::Has => value.to_lowercase(),
        })
        .collect();
    if values.is_empty() {
        return Err(QueryError::NoValue {
            facet: facet.name(),
            example: facet.example(),
        });
    }
    if values.len() > QUERY_VALUES_MAX {
        return Err(QueryError::TooManyValues {
            facet: facet.name(),
        });
    }
    if facet == Facet::Has
        && let Some(value) = values.iter().find(|value| !HAS.contains(&value.as_str()))
    {
        return Err(QueryError::BadValue {
            facet: facet.name(),
            value: cut(value),
            example: facet.example(),
        });
    }
    Ok(Term::Is(facet, values))
}

fn size(value: &str) -> Result<Term, QueryError> {
    let range = bounds(value, units::bytes).ok_or_else(|| QueryError::BadValue {
        facet: "size",
        value: cut(value),
        example: "size:>10GB or size:<500MB",
    })?;
    Ok(Term::Size(range))
}

fn age(value: &str) -> Result<Term, QueryError> {
    let range = bounds(value, units::seconds).ok_or_else(|| QueryError::BadValue {
        facet: "updated",
        value: cut(value),
        example: "updated:<30d (in the last 30 days) or updated:>1y (before)",
    })?;
    Ok(Term::Age(range))
}

/// `>N`, `>=N`, `<N` or `<=N`.
fn bounds(value: &str, number: impl Fn(&str) -> Option<u64>) -> Option<RangeInclusive<u64>> {
    let (sign, value) = value.split_at_checked(1)?;
    let (same, value) = match value.strip_prefix('=') {
        Some(value) => (0, value),
        None => (1, value),
    };
    let number = number(value)?;
    match sign {
        ">" => Some(number.checked_add(same)?..=u64::MAX),
        "<" => Some(0..=number.checked_sub(same)?),
        _ => None,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
