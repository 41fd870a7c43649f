//! Names that a user gives to publishers: what stands before the slash in `alias/dataset`.
//!
//! One name serves every client, so it must be a namespace of the Hub, a bucket of S3 and the first part of
//! a path under `/d/`, where it must not be taken for an id.

use std::{fmt, str::FromStr};

use crate::RecordId;

/// The namespace of datasets by their ids, which no publisher may be called.
pub const OWN_NAMESPACE: &str = "opendag";
/// A bucket's name has at least so many bytes,
const BYTES_MIN: usize = 3;
/// and at most so many: S3 counts as DNS does. The Hub allows more.
const BYTES_MAX: usize = 63;
/// What S3 keeps for itself among names that are fine otherwise.
const S3_PREFIXES: [&str; 2] = ["sthree-", "amzn-s3-demo-"];
/// As [`S3_PREFIXES`].
const S3_SUFFIX: &str = "-s3alias";

/// Why a text is no alias.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// Clients would refuse it.
    #[error(
        "\"{text}\" is no name that the clients of the Hub and of S3 take: choose {BYTES_MIN} to {BYTES_MAX} of a-z, 0-9 and -, with a letter or digit at both ends and no two - in a row"
    )]
    NotAName {
        /// The text, cut.
        text: String,
    },
    /// It has a meaning already.
    #[error("\"{text}\" has a meaning of its own and cannot be an alias: choose another name")]
    Reserved {
        /// The text.
        text: String,
    },
}

/// A user's name for a publisher.
///
/// Invariant: 3 to 63 of `a-z`, `0-9` and `-`, a letter or digit first and last, no `--`, not reserved by
/// OpenDAG or S3, no id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(String);

impl Alias {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Alias {
    type Err = AliasError;

    fn from_str(text: &str) -> Result<Self, AliasError> {
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (BYTES_MIN..=BYTES_MAX).contains(&text.len())
            && text.bytes().all(fine)
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.contains("--");
        if !is_name {
            let text = text.chars().take(BYTES_MAX + 1).collect();
            return Err(AliasError::NotAName { text });
        }
        let is_reserved = text == OWN_NAMESPACE
            || S3_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
            || text.ends_with(S3_SUFFIX)
            || text.parse::<RecordId>().is_ok();
        if is_reserved {
            let text = text.to_owned();
            return Err(AliasError::Reserved { text });
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;

    #[test]
    fn names_that_all_clients_take_are_aliases() {
        for text in ["abc", "alice", "a-1", "0x0", "bafy", &"a".repeat(63)] {
            assert_eq!(text.parse::<Alias>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_a_client_would_refuse_or_take_for_something_else_is_refused() {
        let long = "a".repeat(64);
        let not_names = [
            "",
            "a",
            "ab",
            &long,
            "Alice",
            "al ice",
            "al_ice",
            "al.ice",
            "al/ice",
            "-alice",
            "alice-",
            "al--ice",
            "älice",
            "al\nice",
            "..",
            "192.168.0.1",
        ];
        for text in not_names {
            let refused = text.parse::<Alias>();
            assert!(
                matches!(refused, Err(AliasError::NotAName { .. })),
                "{text}: {refused:?}"
            );
        }
        let id = RecordId::from_hash(Hash::of(b"x")).to_string();
        for text in [
            "opendag",
            "sthree-a",
            "amzn-s3-demo-a",
            "alice-s3alias",
            &id,
        ] {
            let refused = text.parse::<Alias>();
            assert!(
                matches!(refused, Err(AliasError::Reserved { .. })),
                "{text}: {refused:?}"
            );
        }
    }
}
