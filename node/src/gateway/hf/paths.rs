//! The paths that a body asks for: a form or JSON.

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::fields;

/// Paths in one question.
pub(super) const PATHS_MAX: usize = 10_000;

/// The paths; `None` if they are too many. What makes no sense asks for nothing.
pub(super) fn of(headers: &HeaderMap, body: &Bytes) -> Option<Vec<String>> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|value| value.starts_with("application/json"));
    let paths: Vec<_> = match is_json {
        true => {
            serde_json::from_slice(body)
                .unwrap_or(Wanted::default())
                .paths
                .0
        }
        false => fields(body, "paths").take(PATHS_MAX + 1).collect(),
    };
    (paths.len() <= PATHS_MAX).then_some(paths)
}

#[derive(Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    paths: Paths,
}

/// One path or several, and not many more than may be asked for: a body of commas is no memory of ours.
#[derive(Default)]
struct Paths(Vec<String>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathsVisitor)
    }
}

struct PathsVisitor;

impl<'de> Visitor<'de> for PathsVisitor {
    type Value = Paths;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a path or a list of paths")
    }

    fn visit_str<E>(self, path: &str) -> Result<Paths, E> {
        Ok(Paths(vec![path.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Paths, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = list.next_element()? {
            if paths.len() <= PATHS_MAX {
                paths.push(path);
            }
        }
        Ok(Paths(paths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(content_type: &str, body: &str) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        of(&headers, &Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn forms_and_json_ask_for_paths() {
        let (form, json) = ("application/x-www-form-urlencoded", "application/json");
        let cases = [
            (
                form,
                "paths=a%2Fb+c&expand=true&paths=d",
                vec!["a/b c", "d"],
            ),
            (
                json,
                r#"{"paths":["a/b c","d"],"expand":true}"#,
                vec!["a/b c", "d"],
            ),
            (json, r#"{"paths":"a"}"#, vec!["a"]),
            (json, r#"{"paths":[1]}"#, vec![]),
            (json, "{}", vec![]),
            (json, "no json", vec![]),
            (form, "", vec![]),
        ];
        for (kind, body, expected) in cases {
            assert_eq!(of_text(kind, body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn p6_more_paths_than_may_be_asked_for_are_refused_and_not_kept() {
        for count in [PATHS_MAX, PATHS_MAX + 1, 40 * PATHS_MAX] {
            let form = "paths=x&".repeat(count);
            let json = format!(r#"{{"paths":["x"{}]}}"#, r#","x""#.repeat(count - 1));
            for (kind, body) in [("text/plain", form), ("application/json", json)] {
                let paths = of_text(kind, &body).map(|paths| paths.len());
                assert_eq!(paths, (count <= PATHS_MAX).then_some(count), "{kind}");
            }
        }
    }
}
