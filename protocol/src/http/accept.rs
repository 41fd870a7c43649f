//! The `Accept` header of RFC 9110, for two forms of one answer.

/// Does a client want JSON more than HTML? What accepts both alike, as `*/*` does, gets HTML.
#[must_use]
pub fn prefers_json(accept: &str) -> bool {
    quality(accept, "application", "json") > quality(accept, "text", "html")
}

/// How much a client wants a form, from 0 to 1: the most specific range counts, as the standard has it.
fn quality(accept: &str, kind: &str, subtype: &str) -> f32 {
    let (mut specific, mut quality) = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let matches = match media.split_once('/') {
            Some((a, b)) if a == kind && b == subtype => 3,
            Some((a, "*")) if a == kind => 2,
            Some(("*", "*")) => 1,
            Some(_) | None => 0,
        };
        if matches > specific {
            let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            specific = matches;
            quality = weight.map_or(1.0, weight_of);
        }
    }
    quality
}

/// A weight that is no number between 0 and 1 counts for nothing.
fn weight_of(text: &str) -> f32 {
    let weight = text.parse().ok();
    weight
        .filter(|weight| (0.0..=1.0).contains(weight))
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_html_and_who_asks_for_json_gets_json() {
        for html in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/json",
            "application/json;q=0.5, text/*",
            "application/json;q=0, */*",
            "application/json;q=nan",
            "application/json;q=-1",
            "application/jsonlines",
            "json",
        ] {
            assert!(!prefers_json(html), "{html}");
        }
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json, */*;q=0.1",
            "application/json, text/plain, */*; q=0.5",
            "text/html;q=0.5, application/*",
            "text/html;q=0, */*",
        ] {
            assert!(prefers_json(json), "{json}");
        }
    }
}
