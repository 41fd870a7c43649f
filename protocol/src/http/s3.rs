//! What read-only S3 clients ask for, path style.

use super::decode;

/// Keys in one answer, as S3 has it.
pub const KEYS_MAX: usize = 1000;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All buckets.
    Buckets,
    /// A bucket.
    Bucket(String),
    /// An object: bucket and key.
    Object(String, String),
}

/// A question for the keys of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Is it of the second version, with continuation tokens?
    pub is_v2: bool,
    /// What the keys begin with.
    pub prefix: String,
    /// Keys are gathered up to this text behind the prefix.
    pub delimiter: Option<String>,
    /// At most so many keys and gathered prefixes.
    pub keys_max: usize,
    /// Only what comes behind this.
    pub after: Option<String>,
    /// Are keys to be percent-encoded in the answer?
    pub is_encoded: bool,
}

impl Target {
    /// Parses the path of a URL as it came. `None`: it is not UTF-8.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let (bucket, key) = (decode(bucket)?, decode(key)?);
        Some(match (bucket.is_empty(), key.is_empty()) {
            (true, _) => Self::Buckets,
            (false, true) => Self::Bucket(bucket),
            (false, false) => Self::Object(bucket, key),
        })
    }
}

impl List {
    /// Parses the query of a URL. What is not known is ignored; `None`: a number is none.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let mut list = Self {
            is_v2: false,
            prefix: String::new(),
            delimiter: None,
            keys_max: KEYS_MAX,
            after: None,
            is_encoded: false,
        };
        let (mut token, mut start) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let filled = || Some(value.clone().into_owned()).filter(|value| !value.is_empty());
            match &*name {
                "list-type" => list.is_v2 = value == "2",
                "prefix" => list.prefix = value.into_owned(),
                "delimiter" => list.delimiter = filled(),
                "max-keys" => list.keys_max = value.parse::<usize>().ok()?.min(KEYS_MAX),
                "continuation-token" | "marker" => token = filled(),
                "start-after" => start = filled(),
                "encoding-type" => list.is_encoded = value == "url",
                _ => {}
            }
        }
        list.after = token.max(start);
        Some(list)
    }
}

/// Is a switch such as `location` in a query?
#[must_use]
pub fn has(query: &str, name: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_buckets_and_objects() {
        let text = str::to_owned;
        let cases = [
            ("/", Target::Buckets),
            ("", Target::Buckets),
            ("/opendag", Target::Bucket(text("opendag"))),
            ("/opendag/", Target::Bucket(text("opendag"))),
            (
                "/opendag/x/a%20b%2Bc%2525",
                Target::Object(text("opendag"), text("x/a b+c%25")),
            ),
            ("/opendag//x", Target::Object(text("opendag"), text("/x"))),
        ];
        for (path, target) in cases {
            assert_eq!(Target::parse(path), Some(target), "{path}");
        }
        assert_eq!(Target::parse("/opendag/%ff"), None);
    }

    #[test]
    fn queries_of_clients() {
        let list = List::parse(
            "list-type=2&prefix=a%2Fb%20c&delimiter=%2F&max-keys=7&encoding-type=url&continuation-token=a%2Fb%20c%2Fd&fetch-owner=false",
        );
        let expected = List {
            is_v2: true,
            prefix: "a/b c".to_owned(),
            delimiter: Some("/".to_owned()),
            keys_max: 7,
            after: Some("a/b c/d".to_owned()),
            is_encoded: true,
        };
        assert_eq!(list, Some(expected));
        let plain = List::parse("").unwrap();
        assert!(!plain.is_v2 && plain.keys_max == KEYS_MAX && plain.after.is_none());
        assert_eq!(List::parse("max-keys=99999").unwrap().keys_max, KEYS_MAX);
        assert_eq!(List::parse("max-keys=0").unwrap().keys_max, 0);
        for bad in [
            "max-keys=x",
            "max-keys=-1",
            "max-keys=99999999999999999999999",
        ] {
            assert_eq!(List::parse(bad), None, "{bad}");
        }
        // The later of the two counts.
        let both = List::parse("start-after=z&continuation-token=a").unwrap();
        assert_eq!(both.after.as_deref(), Some("z"));
        assert!(has("location", "location") && has("a=1&location=", "location"));
        assert!(!has("prefix=location", "location"));
    }
}
