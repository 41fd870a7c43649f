//! A folder's list as a page of ours: no script, nothing from elsewhere, and every name escaped.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    http::header,
    response::{Html, IntoResponse, Response},
};
use opendag_protocol::http::encode_path;
use quick_xml::escape::escape;
use sha2::{Digest, Sha256};

use super::{Entry, List};
use crate::gateway::answer::set;

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.25rem;overflow-wrap:anywhere;margin:0}\
p{margin:.25rem 0;font-size:.875rem;opacity:.75;overflow-wrap:anywhere}\
table{width:100%;border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}\
th,td{text-align:left;padding:.3rem .5rem;border-bottom:1px solid #8884;overflow-wrap:anywhere}\
th:last-child,td:last-child{text-align:right;white-space:nowrap}\
a{text-decoration:none}a:hover,a:focus{text-decoration:underline}\
.next{font-size:1rem;opacity:1}";

/// What the page may do: show its own style, and be left by a link or a download.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = data_encoding::BASE64.encode(&Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; sandbox allow-downloads"
    )
});

/// The page.
pub(super) fn page(list: &List) -> Response {
    let mut response = Html(text(list)).into_response();
    set(&mut response, header::CONTENT_SECURITY_POLICY, &POLICY);
    response
}

fn text(list: &List) -> String {
    let mut html = String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    let (name, path) = (escape(&list.name), escape(&list.path));
    // Writing into a string never fails.
    let _ = writeln!(
        html,
        "<meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{name}/{path}</title>\n<style>{STYLE}</style>\n<h1>{}</h1>\n<p>Version {} of {name}: {}</p>\n\
         <table>\n<thead><tr><th>Name<th>Size</thead>\n<tbody>",
        trail(list),
        list.sequence,
        list.manifest,
    );
    if !list.path.is_empty() {
        html.push_str("<tr><td><a href=\"../\">../</a><td>\n");
    }
    for entry in &list.entries {
        row(&mut html, entry, list.path.len());
    }
    html.push_str("</table>\n");
    if let Some(next) = &list.next {
        let next = escape(next);
        let _ = writeln!(
            html,
            "<p class=\"next\"><a rel=\"next\" href=\"{next}\">Next page</a></p>"
        );
    }
    html
}

/// The folder's path, each part of it a link.
fn trail(list: &List) -> String {
    let folders: Vec<_> = list.path.split_terminator('/').collect();
    let parts = std::iter::once(list.name.as_str()).chain(folders.iter().copied());
    let links = parts.zip((0..=folders.len()).rev()).map(|(part, up)| {
        let (part, up) = (escape(part), "../".repeat(up));
        match up.as_str() {
            "" => part.into_owned(),
            up => format!("<a href=\"{up}\">{part}</a>"),
        }
    });
    links.collect::<Vec<_>>().join(" / ")
}

/// A link is relative, and has `./` before it: no name is taken for a scheme or another host.
fn row(html: &mut String, entry: &Entry, folder_bytes: usize) {
    let name = entry.path().get(folder_bytes..).unwrap_or_default();
    let (href, name) = (encode_path(name), escape(name));
    let size = match entry {
        Entry::Folder { .. } => String::new(),
        Entry::File { size, .. } => readable(*size),
    };
    let _ = writeln!(html, "<tr><td><a href=\"./{href}\">{name}</a><td>{size}");
}

/// Bytes for people: three digits are enough.
fn readable(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_000 {
            break;
        }
        (tenths, unit) = (tenths.div_ceil(1000), next);
    }
    match (unit, tenths) {
        ("B", _) => format!("{bytes} B"),
        (unit, 0..100) => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        (unit, _) => format!("{} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use opendag_protocol::Hash;

    use super::*;

    fn list(path: &str, entries: Vec<Entry>) -> List {
        let hash = Hash::of(b"x");
        List {
            dataset: opendag_protocol::DatasetId::from_hash(hash),
            manifest: opendag_protocol::RecordId::from_hash(hash).into(),
            name: "a & b".to_owned(),
            sequence: 3,
            path: path.to_owned(),
            entries,
            next: Some("?after=%22%3E&limit=2".to_owned()),
        }
    }

    fn file(path: &str) -> Entry {
        Entry::File {
            path: path.to_owned(),
            size: 1,
            blake3: Hash::of(b"x"),
            sha256: None,
        }
    }

    #[test]
    fn s15_names_are_text_and_links_of_this_folder() {
        let names = [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "' onmouseover='alert(1)",
            "javascript:alert(1)",
            "//evil.example",
            "a b+c%20&amp;",
        ];
        let entries = names.iter().map(|name| file(&format!("d<i>/{name}")));
        let html = text(&list("d<i>/", entries.collect()));
        for tag in ["<script", "<img", "<i>", "' onmouseover"] {
            assert!(!html.contains(tag), "{tag} in {html}");
        }
        let links: Vec<_> = html.split("href=\"").skip(1).collect();
        for link in &links {
            let link = link.split('"').next().unwrap();
            assert!(
                link.starts_with("./") || link.starts_with("../") || link.starts_with('?'),
                "{link}"
            );
        }
        assert!(
            html.contains("href=\"./a%20b%2Bc%2520%26amp%3B\""),
            "{html}"
        );
        assert!(html.contains("a b+c%20&amp;amp;</a>"), "{html}");
        assert!(
            html.contains("href=\"?after=%22%3E&amp;limit=2\""),
            "{html}"
        );
        assert!(
            html.contains("<a href=\"../\">a &amp; b</a> / d&lt;i&gt;</h1>"),
            "{html}"
        );
    }

    #[test]
    fn s17_the_page_may_do_nothing_but_look_as_it_does() {
        let response = page(&list("", vec![file("x")]));
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        for word in [
            "sandbox allow-downloads",
            "frame-ancestors 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(word), "{policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains("allow-scripts"),
            "{policy}"
        );
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1001, "1.1 kB"),
            (12_345, "12 kB"),
            (999_999, "1.0 MB"),
            (18_446_744_073_709_551_615, "18 EB"),
        ] {
            assert_eq!(readable(bytes), text, "{bytes}");
        }
    }
}
